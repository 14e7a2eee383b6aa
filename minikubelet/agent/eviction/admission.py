"""Who is not let in while the node is under pressure (kubelet-behaviour 7.1 `Evicted`, 7.2). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.agent.critical_pods import is_critical
from minikubelet.agent.facts import Rejection
from minikubelet.agent.scheduler.taints import NO_SCHEDULE, tolerated
from minikubelet.v1 import Pod, Taint
from minikubelet.v1.qos import BEST_EFFORT, qos_class

from .messages import EVICTED
from .pressure import MEMORY_PRESSURE, TAINTS

_MEMORY_TAINT = Taint(key=TAINTS[MEMORY_PRESSURE], effect=NO_SCHEDULE)


def pressure_rejection(pod: Pod, conditions: Sequence[str]) -> Rejection | None:
    """`conditions` are those of the node that are True, in its order.

    Memory pressure alone rejects only BestEffort pods that do not tolerate it, any other pressure all.
    """
    if not conditions or is_critical(pod):
        return None
    only_memory = list(conditions) == [MEMORY_PRESSURE]
    if only_memory and (qos_class(pod) != BEST_EFFORT or tolerated(pod, _MEMORY_TAINT)):
        return None
    return Rejection(EVICTED, f"The node had condition: [{' '.join(conditions)}]. ")
