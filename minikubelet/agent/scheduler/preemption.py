"""Who would have to go so that a pod of higher priority fits (kube-scheduler's DefaultPreemption). Pure.

All pods of lower priority are thought away; if the pod fits then, they are thought back one by one, the most
important first, as long as it still fits. Who cannot come back is a victim. A static pod is none: whoever
deletes its mirror does not end it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from minikubelet.agent.phase import is_static
from minikubelet.v1 import Pod
from minikubelet.v1.status import PodStatus

from .filters import Unfit, first_objection
from .node_info import NodeInfo, PlacedPod, priority_of, spec_of

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NEVER = "not eligible due to preemptionPolicy=Never."
ENDING = "not eligible due to a terminating pod on the nominated node."


@dataclass(frozen=True, slots=True)
class Preemption:
    """`victims`, or why there are none: everything behind "preemption: "."""

    victims: tuple[Pod, ...] = ()
    refusal: str = ""


def preempt(pod: Pod, node: NodeInfo, unfit: Unfit) -> Preemption:
    """For a pod that does not fit, because of `unfit`."""
    if spec_of(pod).preemption_policy == "Never":
        return Preemption(refusal=NEVER)
    lower = [one for one in node.pods if _may_go(one.pod, pod)]
    if (pod.status or PodStatus()).nominated_node_name == node.name and any(map(_is_ending, lower)):
        return Preemption(refusal=ENDING)
    if not unfit.by_others:
        return Preemption(refusal=no_node([NOT_HELPFUL]))
    if not lower:
        return Preemption(refusal=no_node([NO_VICTIMS]))
    kept = [one for one in node.pods if one not in lower]
    still = first_objection(pod, replace(node, pods=tuple(kept)))
    if still is not None:
        return Preemption(refusal=no_node(still.reasons))
    victims = []
    for one in sorted(lower, key=_importance):
        if first_objection(pod, replace(node, pods=(*kept, one))) is None:
            kept.append(one)
        else:
            victims.append(one.pod)
    return Preemption(tuple(victims))


def no_node(reasons: Iterable[str]) -> str:
    """ "0/1 nodes are available: 1 …, 1 …."."""
    return f"0/1 nodes are available: {', '.join(sorted(f'1 {reason}' for reason in reasons))}."


def _may_go(other: Pod, pod: Pod) -> bool:
    return not is_static(other) and priority_of(other) < priority_of(pod)


def _is_ending(placed: PlacedPod) -> bool:
    metadata = placed.pod.metadata
    return metadata is not None and metadata.deletion_timestamp is not None


def _importance(placed: PlacedPod) -> tuple[int, float]:
    """Most important first: higher priority, then started earlier."""
    start = (placed.pod.status or PodStatus()).start_time
    return -priority_of(placed.pod), start.timestamp() if start else float("inf")
