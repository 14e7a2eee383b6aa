"""Critical pods (kubelet-behaviour 7.2): static pods, their mirrors, and pods of the two system priority
classes. Pure.
"""

from __future__ import annotations

from minikubelet.v1 import Pod
from minikubelet.v1.defaults import MIRROR

from .phase import is_static
from .scheduler.node_info import priority_of

SYSTEM_PRIORITY = 2_000_000_000  # of system-cluster-critical, and the least that is critical


def is_critical(pod: Pod) -> bool:
    annotations = (pod.metadata.annotations if pod.metadata else None) or {}
    return is_static(pod) or MIRROR in annotations or priority_of(pod) >= SYSTEM_PRIORITY
