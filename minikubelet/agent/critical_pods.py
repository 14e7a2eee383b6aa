"""Critical pods, and who makes room for one on the node itself (kubelet-behaviour 7.2). Pure.

Critical are static pods, their mirrors, and pods of the two system priority classes. The kubelet cannot let
one wait: if only resources are short it ends other pods, as few as it can, BestEffort before Burstable
before Guaranteed. (Guaranteed pods are chosen as if all of the lower classes were gone already, and so on, so
that no class is touched that need not be.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minikubelet.errors import MinikubeletError
from minikubelet.v1 import Pod
from minikubelet.v1.defaults import MIRROR
from minikubelet.v1.priority_class import SYSTEM_CRITICAL
from minikubelet.v1.qos import qos_class

from .phase import is_static
from .scheduler.node_info import PlacedPod, priority_of
from .scheduler.resources import CPU, MEMORY, Shortage

PREEMPTING = "Preempting"
PREEMPTED_TEXT = "Preempted in order to admit critical pod"
PREEMPTED_CONDITION = "Pod was preempted by Kubelet to accommodate a critical pod."


class NoVictims(MinikubeletError):
    """Not even without all pods that may be ended is there room."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """So much of a resource must be given back."""

    resource: str
    quantity: int

    def __str__(self) -> str:
        return f"(res: {self.resource}, q: {self.quantity}), "


def is_critical(pod: Pod) -> bool:
    annotations = (pod.metadata.annotations if pod.metadata else None) or {}
    return is_static(pod) or MIRROR in annotations or priority_of(pod) >= SYSTEM_CRITICAL


def victims_for(pod: Pod, others: Iterable[PlacedPod], lacking: Sequence[Shortage]) -> tuple[Pod, ...]:
    """The pods to end so that a critical pod fits. Raises NoVictims."""
    needs = [Requirement(short.resource, short.missing) for short in lacking]
    by_class: dict[str, list[PlacedPod]] = {"BestEffort": [], "Burstable": [], "Guaranteed": []}
    for other in others:
        if _may_go(other.pod, pod):
            by_class[qos_class(other.pod)].append(other)
    best_effort, burstable, guaranteed = by_class.values()
    impossible = _less(needs, [*best_effort, *burstable, *guaranteed])
    if impossible:
        raise _no_victims(impossible)
    ended_last = _nearest(guaranteed, _less(needs, [*best_effort, *burstable]))
    ended_then = _nearest(burstable, _less(needs, [*best_effort, *ended_last]))
    ended_first = _nearest(best_effort, _less(needs, [*ended_then, *ended_last]))
    return tuple(one.pod for one in [*ended_first, *ended_then, *ended_last])


def _may_go(other: Pod, critical: Pod) -> bool:
    """Not critical itself, or of lower priority; a static pod may have none at all."""
    if not is_critical(other):
        return True
    mine, its = _priority(critical), _priority(other)
    return mine is not None and its is not None and mine > its


def _priority(pod: Pod) -> int | None:
    return pod.spec.priority if pod.spec else None


def _nearest(pods: Iterable[PlacedPod], needs: list[Requirement]) -> list[PlacedPod]:
    """One by one the pod whose end leaves least of the needs open; of equals the smaller."""
    left, chosen = list(pods), list[PlacedPod]()
    while needs:
        if not left:
            raise _no_victims(needs)
        best = min(left, key=lambda one: (_distance(needs, one), _size(one)))
        left.remove(best)
        chosen.append(best)
        needs = _less(needs, [best])
    return chosen


def _less(needs: Iterable[Requirement], ended: Iterable[PlacedPod]) -> list[Requirement]:
    """What is still needed when these are gone."""
    ended = list(ended)
    rest = [
        Requirement(need.resource, need.quantity - sum(one.requests.get(need.resource, 0) for one in ended))
        for need in needs
    ]
    return [need for need in rest if need.quantity > 0]


def _distance(needs: Iterable[Requirement], pod: PlacedPod) -> float:
    """The sum of squares of the open fractions: each resource weighs the same."""
    open_parts = (
        max(0, need.quantity - pod.requests.get(need.resource, 0)) / need.quantity for need in needs
    )
    return sum(part * part for part in open_parts)


def _size(pod: PlacedPod) -> tuple[int, int]:
    return pod.requests.get(MEMORY, 0), pod.requests.get(CPU, 0)


def _no_victims(needs: Iterable[Requirement]) -> NoVictims:
    return NoVictims(
        "error finding a set of pods to preempt: no set of running pods found to reclaim resources: "
        f"[{''.join(map(str, needs))}]"
    )
