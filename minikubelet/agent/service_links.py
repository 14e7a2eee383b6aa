"""The environment variables by which a container finds Services (kubelet-behaviour 9.4).

They are made when the container is, and never change: of a Service that comes later it knows nothing, which
is why names are the better way. `kubernetes` is always among them, the others of the pod's namespace unless
`enableServiceLinks` is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minikubelet.errors import NotFound
from minikubelet.store import Store
from minikubelet.v1 import Pod, PodSpec
from minikubelet.v1.service import HEADLESS

Object = Mapping[str, Any]

KUBERNETES = ("default", "kubernetes")


class ServiceLinks:
    """Reads the Services of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def variables(self, pod: Pod) -> dict[str, str]:
        """For a container that is about to be made."""
        namespace = (pod.metadata and pod.metadata.namespace) or ""
        services: list[Object] = []
        try:
            services.append(self._store.get("services", *KUBERNETES))
        except NotFound:  # nobody listens for pods
            services = []
        if (pod.spec or PodSpec()).enable_service_links is not False:
            services += self._store.list("services", namespace)[0]
        return variables(services)


def variables(services: Iterable[Object]) -> dict[str, str]:
    """Of all that have an address. Pure."""
    found: dict[str, str] = {}
    for service in services:
        spec = service["spec"]
        address, ports = spec.get("clusterIP", HEADLESS), spec.get("ports") or ()
        if address == HEADLESS or not ports:
            continue
        name = _variable(service["metadata"]["name"])
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                found[f"{name}_SERVICE_PORT_{_variable(port['name'])}"] = str(port["port"])
        found[f"{name}_PORT"] = _url(address, ports[0])
        for port in ports:
            prefix = f"{name}_PORT_{port['port']}_{port['protocol'].upper()}"
            found[prefix] = _url(address, port)
            found[f"{prefix}_PROTO"] = port["protocol"].lower()
            found[f"{prefix}_PORT"] = str(port["port"])
            found[f"{prefix}_ADDR"] = address
    return found


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _url(address: str, port: Object) -> str:
    return f"{port['protocol'].lower()}://{address}:{port['port']}"
