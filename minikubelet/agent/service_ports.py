"""Which addresses and ports of Services lead where, from Services and EndpointSlices as they are stored.

Pure. A connection goes to endpoints that are Ready. When there is none, those that are about to end but still
answer are better than nobody (as kube-proxy's ProxyTerminatingEndpoints).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from minikubelet.runtime.network.service_rules import ServicePort
from minikubelet.v1.endpoint_slice import SERVICE_NAME
from minikubelet.v1.service import HEADLESS

Object = Mapping[str, Any]


def service_ports(services: Iterable[Object], slices: Iterable[Object]) -> list[ServicePort]:
    """One for each port of each Service that has an address of its own."""
    behind: dict[tuple[str, str], list[Object]] = {}
    for found in slices:
        name = (found["metadata"].get("labels") or {}).get(SERVICE_NAME)
        if name and found["addressType"] == "IPv4":
            behind.setdefault((found["metadata"]["namespace"], name), []).append(found)
    return [
        _service_port(service, port, behind.get(place_of(service), ()))
        for service in services
        if service["spec"].get("clusterIP", HEADLESS) != HEADLESS
        for port in service["spec"].get("ports") or ()
    ]


def endpoints_in_use(slices: Iterable[Object]) -> list[tuple[Object, Object]]:
    """(slice, endpoint): the Ready ones, or else those that still answer."""
    found = [(one, endpoint) for one in slices for endpoint in one.get("endpoints") or ()]
    ready = [pair for pair in found if (pair[1].get("conditions") or {}).get("ready", True)]
    if ready:
        return ready
    return [
        pair
        for pair in found
        if (pair[1].get("conditions") or {}).get("serving") and pair[1]["conditions"].get("terminating")
    ]


def place_of(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _service_port(service: Object, port: Object, slices: Sequence[Object]) -> ServicePort:
    spec = service["spec"]
    having = [found for found in slices if _number(found, port) is not None]
    backends = {
        (str(IPv4Address(endpoint["addresses"][0])), _number(found, port) or 0)
        for found, endpoint in endpoints_in_use(having)
    }
    sticky = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 0)
    return ServicePort(
        namespace=service["metadata"]["namespace"],
        name=service["metadata"]["name"],
        protocol=port["protocol"],
        address=spec["clusterIP"],
        port=port["port"],
        node_port=port.get("nodePort", 0),
        backends=tuple(sorted(backends)),
        sticky_seconds=sticky if spec.get("sessionAffinity") == "ClientIP" else 0,
    )


def _number(found: Object, port: Object) -> int | None:
    """Where the port of the Service is in the endpoints of a slice."""
    for candidate in found.get("ports") or ():
        same_name = (candidate.get("name") or "") == (port.get("name") or "")
        if same_name and candidate.get("protocol", "TCP") == port["protocol"]:
            number: int | None = candidate.get("port")
            return number
    return None
