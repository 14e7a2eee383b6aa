"""One try to place one pod on the node: kube-scheduler's scheduling cycle, for one node. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from minikubelet.v1 import Pod

from .filters import Unfit, first_objection
from .node_info import NodeInfo, PlacedPod
from .preemption import no_node, preempt

# Dynamic resource allocation is asked before preemption and always says so.
NO_CLAIMS = "no new claims to deallocate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`message` is empty when the pod fits; otherwise what FailedScheduling says. `victims` are to be ended
    so that it will fit.
    """

    message: str = ""
    victims: tuple[Pod, ...] = ()

    @property
    def fits(self) -> bool:
        return not self.message


def schedule(pod: Pod, node: NodeInfo, nominated: Iterable[PlacedPod] = ()) -> Outcome:
    """`nominated`: pods of at least this priority for which others are being ended; their room is taken.
    What a pod must be together with has to be there without them, too.
    """
    coming = tuple(nominated)
    unfit = first_objection(pod, replace(node, pods=node.pods + coming)) if coming else None
    unfit = unfit or first_objection(pod, node)
    if unfit is None:
        return Outcome()
    found = preempt(pod, node, unfit)
    if found.victims:
        return Outcome(_no_place(unfit), found.victims)
    return Outcome(f"{_no_place(unfit)} {NO_CLAIMS}, preemption: {found.refusal}")


def _no_place(unfit: Unfit) -> str:
    if unfit.of_pod:
        return f"0/1 nodes are available: {', '.join(unfit.reasons)}."
    return no_node(unfit.reasons)
