"""The addresses and the node's ports of Services: chosen, or checked when somebody asks for a certain one.

Who has what is read from the Services that are stored. A write to the API is not interrupted by another, so
nothing is noted, nothing can leak, and what a deleted Service had is free. As the API server does, we choose
at random, and addresses not from the first ones of the range: those are for people who ask for them.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from minikubelet.errors import FieldError, InternalError, Invalid
from minikubelet.store import Store
from minikubelet.v1.service import EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT
from minikubelet.v1.validation.field import invalid

Object = dict[str, Any]

NODE_PORTS = range(30000, 32768)


class ServiceAddresses:
    """Of the network of Services of this node."""

    def __init__(self, network: IPv4Network) -> None:
        self.network = network

    @property
    def first(self) -> IPv4Address:
        """The address of the Service `kubernetes`."""
        return self.network.network_address + 1

    def complete(self, service: Object, store: Store) -> None:
        """Give a Service that is about to be stored what its type has. Raises Invalid, and InternalError when
        nothing is left.
        """
        metadata = service["metadata"]
        me = (metadata.get("namespace"), metadata["name"])
        others = [
            other["spec"]
            for other in store.list("services")[0]
            if (other["metadata"].get("namespace"), other["metadata"]["name"]) != me
        ]
        spec = service["spec"]
        errors = [*self._address(spec, others), *_node_ports(spec, others)]
        if errors:
            raise Invalid.of("Service", metadata["name"], errors)

    def _address(self, spec: Object, others: Iterable[Object]) -> Iterator[FieldError]:
        if spec["type"] == EXTERNAL_NAME or spec.get("clusterIP") == HEADLESS:
            return
        taken = {IPv4Address(other["clusterIP"]) for other in others if _has_address(other)}
        if not spec.get("clusterIP"):
            spec["clusterIP"] = str(self._free(taken))
            spec["clusterIPs"] = [spec["clusterIP"]]
            return
        wanted, why = IPv4Address(spec["clusterIP"]), ""
        if wanted not in self.network or wanted in (self.network[0], self.network[-1]):
            why = (
                f"the provided IP ({wanted}) is not in the valid range. "
                f"The range of valid IPs is {self.network}"
            )
        elif wanted in taken:
            why = "provided IP is already allocated"
        if why:
            yield invalid("spec.clusterIPs", [str(wanted)], f"failed to allocate IP {wanted}: {why}")

    def _free(self, taken: Container[IPv4Address]) -> IPv4Address:
        size = self.network.num_addresses
        # As k8s.io/kubernetes/pkg/registry/core/service/ipallocator divides a range.
        lower = min(max(16, size // 16), 256) if size > 16 else 1
        for first, last in ((lower, size - 1), (2, lower)):
            found = _random_free(range(first, last), lambda number: self.network[number] in taken)
            if found is not None:
                return self.network[found]
        raise InternalError("failed to allocate a serviceIP: range is full")


def _has_address(spec: Object) -> bool:
    return bool(spec.get("clusterIP")) and spec["clusterIP"] != HEADLESS


def _node_ports(spec: Object, others: Iterable[Object]) -> Iterator[FieldError]:
    """One number may stand for several protocols of one Service."""
    if spec["type"] not in (NODE_PORT, LOAD_BALANCER):
        return
    ports: Sequence[Object] = spec.get("ports") or ()
    taken = {
        port["nodePort"] for other in others for port in other.get("ports") or () if port.get("nodePort")
    }
    for index, port in enumerate(ports):
        wanted = port.get("nodePort")
        if wanted and wanted not in NODE_PORTS:
            yield invalid(
                f"spec.ports[{index}].nodePort",
                wanted,
                "provided port is not in the valid range. "
                f"The range of valid ports is {NODE_PORTS[0]}-{NODE_PORTS[-1]}",
            )
        elif wanted in taken:
            yield invalid(f"spec.ports[{index}].nodePort", wanted, "provided port is already allocated")
    if spec["type"] == LOAD_BALANCER and not spec.get("allocateLoadBalancerNodePorts", True):
        return
    taken |= {port["nodePort"] for port in ports if port.get("nodePort")}
    for port in ports:
        if not port.get("nodePort"):
            free = _random_free(NODE_PORTS, lambda number: number in taken)
            if free is None:
                raise InternalError("failed to allocate a nodePort: range is full")
            port["nodePort"] = free
            taken.add(free)


def _random_free(numbers: range, is_taken: Callable[[int], bool]) -> int | None:
    """The first free one behind a random one."""
    start = secrets.randbelow(len(numbers)) if numbers else 0
    round_trip = itertools.chain(numbers[start:], numbers[:start])
    return next((number for number in round_trip if not is_taken(number)), None)
