"""What the pure decisions look at besides the pod and the runtime's records: plain data.

`pod_actions` and `pod_status` are functions of (pod, what exists, probe results, what was said before, now).
This module names the parts of that which belong to nobody else; it imports nothing that waits or acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from minikubelet.v1 import PodCondition

ProbeOutcome = Literal["success", "failure", "unknown"]


@dataclass(frozen=True, slots=True)
class ContainerProbeResults:
    """The stored results of one container instance; None: nothing is stored (kubelet-behaviour 3.3 row 4)."""

    liveness: ProbeOutcome | None = None
    readiness: ProbeOutcome | None = None
    startup: ProbeOutcome | None = None


NO_RESULTS = ContainerProbeResults()

# container id (64 hex digits, no scheme) → its results
ProbeResults = Mapping[str, ContainerProbeResults]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a pod's status says about the node."""

    name: str = ""
    host_ips: tuple[str, ...] = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class WaitingReason:
    """Why the last start of a container failed, as its waiting state will show it (1.8.1, 1.9)."""

    reason: str
    message: str = ""


# container name → why its last start failed; no entry after a success
ReasonCache = Mapping[str, WaitingReason]


@dataclass(frozen=True, slots=True)
class PhaseOverride:
    """Somebody else ends the pod: the active deadline, an eviction, a shutdown of the node (1.3.3).

    `disruption` is the message of the condition DisruptionTarget; empty: the pod does not get it (1.7).
    """

    reason: str
    message: str
    phase: str = "Failed"
    disruption: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Reason and message of a pod that is not let in (1.5), without "Pod was rejected: "."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known beside the pod when a status is made."""

    results: ProbeResults = field(default_factory=dict)
    reasons: ReasonCache = field(default_factory=dict)
    node: NodeFacts = field(default_factory=NodeFacts)
    override: PhaseOverride | None = None
    stopped: bool = False  # every container is dead after a kill of the pod: nothing will be restarted
    resizes: Sequence[PodCondition] = ()  # PodResizePending, PodResizeInProgress
    resize_unfinished: bool = False  # the pod's own cgroup is not yet what was granted
