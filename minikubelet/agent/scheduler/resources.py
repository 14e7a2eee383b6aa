"""Do a pod's requests fit beside the others' (kubelet-behaviour 7.1; the scheduler's NodeResourcesFit)? Pure.

Amounts are whole numbers: cpu in thousandths of a core, everything else in its own unit (bytes, pods).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from minikubelet.v1 import Pod
from minikubelet.v1.qos import effective_requests, pod_requests
from minikubelet.v1.quantity import parse

PODS, CPU, MEMORY, STORAGE = "pods", "cpu", "memory", "ephemeral-storage"
_FIRST = (CPU, MEMORY, STORAGE)

Amounts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shortage:
    """One resource that does not suffice."""

    resource: str
    requested: int
    used: int
    capacity: int

    @property
    def missing(self) -> int:
        """How much others would have to give back."""
        return self.requested - (self.capacity - self.used)

    @property
    def hopeless(self) -> bool:
        """More than the whole node has. (A node that takes no pods at all is not told apart, as there.)"""
        return self.resource != PODS and self.requested > self.capacity


def amounts(resources: Mapping[str, str]) -> dict[str, int]:
    """A resource list as whole numbers."""
    return {
        name: parse(text).milli_value() if name == CPU else parse(text).value()
        for name, text in resources.items()
    }


def requests_of(pod: Pod) -> dict[str, int]:
    """What the pod asks for as a whole, or has still while it is resized; one pod is one pod."""
    return {**amounts(effective_requests(pod)), PODS: 1}


def asked_for(pod: Pod) -> dict[str, int]:
    """The same by its spec alone."""
    return {**amounts(pod_requests(pod)), PODS: 1}


def shortages(requested: Amounts, others: Iterable[Amounts], allocatable: Amounts) -> list[Shortage]:
    """In the order of the kubelet's checks. A pod that asks for nothing of a resource is not checked for
    it.
    """
    others = list(others)
    found = []
    for resource in _in_order(requested):
        amount, capacity = requested.get(resource, 0), allocatable.get(resource, 0)
        used = sum(other.get(resource, 0) for other in others)
        if amount and amount + used > capacity:
            found.append(Shortage(resource, amount, used, capacity))
    return found


def _in_order(requested: Amounts) -> Iterator[str]:
    """pods, cpu, memory, ephemeral-storage, then the rest by name."""
    yield PODS
    yield from _FIRST
    yield from sorted(requested.keys() - {PODS, *_FIRST})
