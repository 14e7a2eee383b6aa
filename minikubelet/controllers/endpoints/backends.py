"""Which pods are behind a Service, and in which condition each of them is.

Pure (kubernetes/staging/src/k8s.io/endpointslice/util). A pod counts once it has an address and until it is
over. While it is being deleted it is still named, as terminating, so that who must can go on asking it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from minikubelet.controllers.pod_state import is_finished, is_terminating, ready_since

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """One pod behind a Service."""

    pod: Object
    address: str
    ready: bool  # takes new connections
    serving: bool  # is able to answer, also while it ends
    terminating: bool
    hostname: str  # by which it has a name of its own below the Service's; empty: none


def selects(service: Object, pod: Object) -> bool:
    """An empty selector selects nothing: such a Service has its endpoints from somebody else."""
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def backends_of(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """In the order of their addresses."""
    found = [
        _backend(service, pod)
        for pod in pods
        if selects(service, pod) and not is_finished(pod) and _has_address(pod)
    ]
    return sorted(found, key=lambda backend: (IPv4Address(backend.address), _name(backend)))


def target_port(pod: Object, port: Object) -> int | None:
    """Where in the pod a port of the Service leads to; None when the pod has no port of that name."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    sidecars = [
        container
        for container in pod["spec"].get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    ]
    for container in (*pod["spec"]["containers"], *sidecars):
        for candidate in container.get("ports") or ():
            named = candidate.get("name") == target
            if named and candidate.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(candidate["containerPort"])
    return None


def _backend(service: Object, pod: Object) -> Backend:
    serving, terminating = ready_since(pod) is not None, is_terminating(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    own_name = pod["spec"].get("subdomain") == service["metadata"]["name"]
    return Backend(
        pod,
        pod["status"]["podIP"],
        ready=always or (serving and not terminating),
        serving=serving,
        terminating=terminating,
        hostname=pod["spec"].get("hostname", "") if own_name else "",
    )


def _has_address(pod: Object) -> bool:
    """A status may be written by anybody who may write pods."""
    try:
        IPv4Address((pod.get("status") or {}).get("podIP", ""))
    except ValueError:
        return False
    return True


def _name(backend: Backend) -> str:
    return str(backend.pod["metadata"]["name"])
