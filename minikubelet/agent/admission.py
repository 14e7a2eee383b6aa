"""Does a pod fit on this node beside the others (kubelet-behaviour 7.1, resources only)?

Pure. The scheduler asks before it binds: a pod that does not fit stays Pending with FailedScheduling until
room is made. The kubelet asks again for every pod that begins, whoever bound it: then it is too late to
wait, and the pod is rejected. What else admission looks at (affinity, taints, ports, pressure) belongs to a
later issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from minikubelet.agent.facts import Rejection
from minikubelet.v1 import Pod
from minikubelet.v1.qos import pod_requests
from minikubelet.v1.quantity import Quantity

PODS, CPU, MEMORY = "pods", "cpu", "memory"


@dataclass(frozen=True, slots=True)
class Shortage:
    """One resource that does not suffice; cpu in thousandths of a core, memory in bytes."""

    resource: str
    requested: int
    used: int
    capacity: int


def shortages(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, str]) -> list[Shortage]:
    """In the order of the kubelet's checks. A pod that asks for nothing of a resource is not checked for
    it.
    """
    others = list(others)
    found = []
    for resource in (PODS, CPU, MEMORY):
        requested = _requested(pod, resource)
        used = sum(_requested(other, resource) for other in others)
        capacity = _amount(resource, allocatable[resource])
        if requested and requested + used > capacity:
            found.append(Shortage(resource, requested, used, capacity))
    return found


def rejection(lacking: list[Shortage]) -> Rejection | None:
    """What the kubelet says: the first shortage only."""
    if not lacking:
        return None
    first = lacking[0]
    return Rejection(
        f"OutOf{first.resource}",
        f"Node didn't have enough resource: {first.resource}, requested: {first.requested}, "
        f"used: {first.used}, capacity: {first.capacity}",
    )


def unschedulable(lacking: list[Shortage]) -> str:
    """What the scheduler says of its only node."""
    words = sorted(
        "Too many pods" if short.resource == PODS else f"Insufficient {short.resource}" for short in lacking
    )
    reasons = ", ".join(f"1 {word}" for word in words)
    return (
        f"0/1 nodes are available: {reasons}. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def _requested(pod: Pod, resource: str) -> int:
    if resource == PODS:
        return 1
    asked = pod_requests(pod).get(resource)
    return _amount(resource, asked) if asked else 0


def _amount(resource: str, quantity: str) -> int:
    parsed = Quantity.parse(quantity)
    return parsed.milli_value() if resource == CPU else parsed.value()
