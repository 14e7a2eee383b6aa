"""Backends by the ports they have: what becomes one slice, and one subset of the older form.

Usually all pods of a Service have the same ports. Where a port is given by name and means another number in
some of them, each combination is a group of its own. No group has more than a hundred. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.controllers.endpoints.backends import Backend, target_port

Object = dict[str, Any]

SHARED: tuple[str, ...] = ("hostname", "nodeName", "targetRef")
LARGEST = 100  # endpoints of one slice (--max-endpoints-per-slice)


@dataclass(frozen=True, slots=True)
class Port:
    """A port, as every endpoint of a group has it."""

    name: str
    protocol: str
    port: int
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints, as a slice has them, and their ports."""

    ports: tuple[Port, ...]
    endpoints: tuple[Object, ...]


def groups_of(service: Object, backends: Sequence[Backend]) -> list[Group]:
    """At least one: also a Service without a pod has a slice, an empty one."""
    by_ports: dict[tuple[Port, ...], list[Object]] = {}
    for backend in backends:
        by_ports.setdefault(_ports(service, backend), []).append(_endpoint(backend))
    groups = [
        Group(ports, tuple(found[start : start + LARGEST]))
        for ports, found in by_ports.items()
        for start in range(0, len(found), LARGEST)
    ]
    return groups or [Group((), ())]


def endpoints_of(groups: Iterable[Group]) -> list[Object]:
    """The subsets of the older form: Ready addresses, and the others. What terminates is in neither."""
    by_ports: dict[tuple[Port, ...], list[Object]] = {}
    for group in groups:
        by_ports.setdefault(group.ports, []).extend(group.endpoints)
    subsets = []
    for ports, found in by_ports.items():
        subset: Object = {}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            addresses = [_address(one) for one in found if _belongs(one, ready)]
            if addresses:
                subset[field] = addresses
        if subset:
            subset |= {"ports": [_older_port(port) for port in ports]} if ports else {}
            subsets.append(subset)
    return subsets


def mirrored_groups(endpoints: Object) -> list[Group]:
    """From Endpoints that somebody wrote by hand."""
    return [
        Group(
            tuple(
                Port(port.get("name", ""), port["protocol"], port["port"], port.get("appProtocol", ""))
                for port in subset.get("ports") or ()
            ),
            tuple(
                _mirrored(address, ready)
                for field, ready in (("addresses", True), ("notReadyAddresses", False))
                for address in subset.get(field) or ()
                if ":" not in address["ip"]  # no IPv6 here
            )[:LARGEST],
        )
        for subset in endpoints.get("subsets") or ()
    ]


def _ports(service: Object, backend: Backend) -> tuple[Port, ...]:
    """Those of the Service that this pod has."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(backend.pod, port)
        if number is not None:
            protocol, application = port.get("protocol", "TCP"), port.get("appProtocol", "")
            found.append(Port(port.get("name", ""), protocol, number, application))
    return tuple(found)


def _endpoint(backend: Backend) -> Object:
    metadata = backend.pod["metadata"]
    return {
        "addresses": [backend.address],
        "conditions": {
            "ready": backend.ready,
            "serving": backend.serving,
            "terminating": backend.terminating,
        },
        **({"hostname": backend.hostname} if backend.hostname else {}),
        **({"nodeName": backend.pod["spec"]["nodeName"]} if backend.pod["spec"].get("nodeName") else {}),
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }


def _belongs(endpoint: Object, ready: bool) -> bool:
    conditions = endpoint["conditions"]
    if conditions["ready"]:
        return ready
    return not ready and not conditions["terminating"]


def _address(endpoint: Object) -> Object:
    return {"ip": endpoint["addresses"][0], **_behind(endpoint)}


def _older_port(port: Port) -> Object:
    named = {"name": port.name} if port.name else {}
    application = {"appProtocol": port.app_protocol} if port.app_protocol else {}
    return {**named, "port": port.port, "protocol": port.protocol, **application}


def _mirrored(address: Object, ready: bool) -> Object:
    return {
        "addresses": [address["ip"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        **_behind(address),
    }


def _behind(endpoint: Object) -> Object:
    """What both forms say of an endpoint in the same words."""
    return {name: endpoint[name] for name in SHARED if name in endpoint}
