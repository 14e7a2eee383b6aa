"""What the pod worker asks of its neighbours: the prober, the Event recorder, the hooks, the store.

Each is a protocol of a few verbs, so that worker and prober can be read, built and tested apart;
`agent.pod_manager` brings the real ones together, tests bring small ones. (The runtime's protocol is
`runtime.cri.RuntimeService`.)

A probe never acts. It stores a result under the id of the container instance it looked at and, when that
result changed, calls the pod's worker; the worker reads all results again and decides. A result of a former
instance can therefore never hit the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from minikubelet.errors import MinikubeletError
from minikubelet.runtime.cri import PodRuntimeStatus, RuntimeService
from minikubelet.v1 import Container, LifecycleHandler, Pod, PodCondition, PodStatus

from .clock import Clock
from .facts import NO_RESULTS, ContainerProbeResults, NodeFacts, ProbeOutcome, ProbeResults

__all__ = [
    "NO_RESULTS",
    "Allocations",
    "AsAsked",
    "Collaborators",
    "ContainerProbeResults",
    "HookError",
    "HookRunner",
    "HookTarget",
    "NodeFacts",
    "ProbeOutcome",
    "ProbeResults",
    "Prober",
    "Publisher",
    "Random",
    "Recorder",
]


class Prober(Protocol):
    """The probe workers of all pods (kubelet-behaviour section 3).

    The implementation is given, when it is made, a callback `changed(uid)` which it calls after every
    *change* of a stored result (in the event loop; it must not wait); the node leads it to
    `PodWorker.probe_changed`.
    """

    def add_pod(self, pod: Pod) -> None:
        """Make the probe workers that are missing (3.2); called before each runtime sync, cheap when
        nothing is new.
        """

    def remove_pod(self, uid: str) -> None:
        """End all probe workers of the pod and forget its results."""

    def stop_liveness_and_startup(self, uid: str) -> None:
        """Termination begins (3.7): end those of the regular containers; sidecars' and all readiness
        workers go on.
        """

    def results(self, uid: str) -> ProbeResults:
        """Every stored result of the pod's instances."""

    def status_published(self, pod: Pod, status: PodStatus) -> None:
        """The status as the API now shows it: what checks look at (3.3). Called after every publish."""

    def probe_readiness_now(self, uid: str, container_name: str) -> None:
        """A status was made in which this container is started but not ready: check at once, restart its
        ticker (3.2).
        """


class Recorder(Protocol):
    """Kubernetes Events; correlation and rate limits are its business (12.4)."""

    def event(self, pod: Pod, type: str, reason: str, message: str, field_path: str = "") -> None:
        """`type` is Normal or Warning; `field_path` is such as `spec.containers{web}`."""


class HookError(MinikubeletError):
    """A lifecycle hook failed; the message is the whole text of kubelet-behaviour 5.2."""


@dataclass(frozen=True, slots=True)
class HookTarget:
    """The running container instance a hook is for."""

    pod: Pod
    container: Container
    container_id: str
    pod_ip: str  # the node's for host network; may be empty


class HookRunner(Protocol):
    """postStart and preStop (section 5): exec, httpGet, sleep."""

    async def run(self, target: HookTarget, hook: LifecycleHandler) -> None:
        """Returns when the hook has ended well, raises HookError otherwise. Without a time limit of its
        own: the caller cancels it when the grace period is over.
        """


class Publisher(Protocol):
    """Where statuses go, and where a finished pod is reported."""

    def publish(self, pod: Pod, status: PodStatus) -> None:
        """Store the status of the API object if it differs; write, then tell. A pod that is gone is no
        error.
        """

    def finished(self, pod: Pod) -> None:
        """Nothing of the pod is left on the node: the API object may go (if it is this uid)."""


class Allocations(Protocol):
    """What pods were granted, and the resizes that are under way (6.12)."""

    def allocated(self, pod: Pod) -> Pod:
        """The pod as it was granted: what the kubelet does for it, it does for this one."""

    def is_stale(self, uid: str) -> bool:
        """May the pod's own cgroup be another than was granted?"""

    def applied(self, pod: Pod) -> None:
        """It is as it was granted now."""

    def failed(self, pod: Pod, error: str) -> None:
        """A resize could not be applied; it stays in progress."""

    def observe(self, pod: Pod, observed: PodRuntimeStatus) -> None:
        """What exists of the (allocated) pod: called before each status; a resize may be over."""

    def conditions(self, uid: str) -> Sequence[PodCondition]:
        """PodResizePending, PodResizeInProgress, as far as they apply."""


class AsAsked:
    """`Allocations` where nobody resizes: every pod has what it asks for."""

    def allocated(self, pod: Pod) -> Pod:
        return pod

    def is_stale(self, uid: str) -> bool:
        return False

    def applied(self, pod: Pod) -> None:
        return

    def failed(self, pod: Pod, error: str) -> None:
        return

    def observe(self, pod: Pod, observed: PodRuntimeStatus) -> None:
        return

    def conditions(self, uid: str) -> Sequence[PodCondition]:
        return ()


class Random(Protocol):
    """`random.Random` or a test's; spreads requeues (14.2)."""

    def uniform(self, a: float, b: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything a pod worker works with, in one record; shared by all workers of the node."""

    runtime: RuntimeService
    prober: Prober
    recorder: Recorder
    hooks: HookRunner
    publisher: Publisher
    clock: Clock
    random: Random
    node: NodeFacts = field(default_factory=NodeFacts)
    allocations: Allocations = field(default_factory=AsAsked)
    max_restart_delay: float = 300.0  # crashLoopBackOff.maxContainerRestartPeriod (2.8)
