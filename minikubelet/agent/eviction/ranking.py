"""Which pod goes first (kubelet-behaviour 13.7). Pure.

memory and disk: those that use more than they asked for, then the lower priority, then who is furthest above
its request. Process ids: the lower priority, then who has most of them. A pod of which nothing is known goes
before all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from minikubelet.v1 import Pod
from minikubelet.v1.qos import pod_requests
from minikubelet.v1.quantity import Quantity

from .thresholds import MEMORY, PIDS, STORAGE


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What a pod uses of the resource that is short: bytes, inodes or processes; and each container of it,
    where that is counted.
    """

    total: int
    containers: Mapping[str, int] = field(default_factory=dict)


def rank(pods: Iterable[tuple[Pod, PodUsage | None]], resource: str) -> list[tuple[Pod, PodUsage | None]]:
    """The first to be evicted first."""
    order = _by_processes if resource == PIDS else partial(_by_excess, resource)
    return sorted(pods, key=lambda one: order(one[0], one[1]))


def _by_excess(resource: str, pod: Pod, usage: PodUsage | None) -> tuple[int, ...]:
    if usage is None:
        return (0, 0, _priority(pod), 0)
    requested = request(pod, resource)
    # Of inodes nobody can ask for any; their number is compared with the bytes asked for, as in the kubelet.
    excess = usage.total - (requested if resource == MEMORY else request(pod, STORAGE))
    return (1, 0 if usage.total > requested else 1, _priority(pod), -excess)


def _by_processes(pod: Pod, usage: PodUsage | None) -> tuple[int, ...]:
    return (_priority(pod), -(usage.total if usage else 0))


def _priority(pod: Pod) -> int:
    return (pod.spec.priority if pod.spec else None) or 0


def request(pod: Pod, resource: str) -> int:
    asked = pod_requests(pod).get(resource)
    return Quantity.parse(asked).value() if asked else 0
