"""Who is not let in while the node is under pressure (kubelet-behaviour 7.1 `Evicted`, 7.2). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.agent.facts import Rejection
from minikubelet.agent.phase import is_static
from minikubelet.v1 import Pod, Toleration
from minikubelet.v1.qos import BEST_EFFORT, qos_class

from .messages import EVICTED
from .pressure import MEMORY_PRESSURE, TAINTS

SYSTEM_CRITICAL = 2_000_000_000


def is_critical(pod: Pod) -> bool:
    """Static, or of a priority that the system keeps for itself (7.2)."""
    priority = pod.spec.priority if pod.spec else None
    return is_static(pod) or (priority or 0) >= SYSTEM_CRITICAL


def pressure_rejection(pod: Pod, conditions: Sequence[str]) -> Rejection | None:
    """`conditions` are those of the node that are True, in its order.

    Memory pressure alone rejects only BestEffort pods that do not tolerate it, any other pressure all.
    """
    if not conditions or is_critical(pod):
        return None
    only_memory = list(conditions) == [MEMORY_PRESSURE]
    if only_memory and (qos_class(pod) != BEST_EFFORT or _tolerates_memory_pressure(pod)):
        return None
    return Rejection(EVICTED, f"The node had condition: [{' '.join(conditions)}]. ")


def _tolerates_memory_pressure(pod: Pod) -> bool:
    tolerations = (pod.spec.tolerations if pod.spec else None) or ()
    return any(_tolerates(toleration, TAINTS[MEMORY_PRESSURE]) for toleration in tolerations)


def _tolerates(toleration: Toleration, key: str) -> bool:
    """The taint `key:NoSchedule`, which has no value."""
    if toleration.effect not in (None, "", "NoSchedule") or toleration.key not in (None, "", key):
        return False
    return toleration.operator == "Exists" or not toleration.value
