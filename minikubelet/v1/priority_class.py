"""PriorityClass: a name for how important a pod is (scheduling.k8s.io/v1).

Every node has the two of the system; people may define others, below them.
"""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32
from minikubelet.v1.meta import ObjectMeta, Resource

SYSTEM_PREFIX = "system-"
HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CRITICAL = 2 * HIGHEST_USER_PRIORITY
PREEMPT = "PreemptLowerPriority"


class PriorityClass(Resource, kw_only=True):
    """Its value is what pods that name it get as `spec.priority`."""

    API_VERSION: ClassVar[str] = "scheduling.k8s.io/v1"

    value: Int32 | None = None
    global_default: bool | None = None
    description: str | None = None
    preemption_policy: str | None = None


def _system(name: str, value: int, description: str) -> PriorityClass:
    return PriorityClass(
        metadata=ObjectMeta(name=name), value=value, description=description, preemption_policy=PREEMPT
    )


SYSTEM_CLASSES = (
    _system(
        "system-cluster-critical",
        SYSTEM_CRITICAL,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if "
        "necessary.",
    ),
    _system(
        "system-node-critical",
        SYSTEM_CRITICAL + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
)
