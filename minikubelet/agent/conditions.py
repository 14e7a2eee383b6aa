"""The kubelet's conditions of a pod (kubelet-behaviour 1.7). Pure.

PodReadyToStartContainers: the sandbox is there. Initialized: init containers are done (and stays True).
ContainersReady: every regular container and every sidecar is ready. Ready: that, and all readiness gates.
PodScheduled: always True here. AllContainersRestarting: such a rule fired and is being carried out.

The order of the list is fixed; conditions of other owners come first and are kept as they are.
`lastTransitionTime` moves only when `status` changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import ContainerState, ContainerStatus, Pod, PodCondition, PodStatus

from .phase import FAILED, SUCCEEDED
from .pod_actions import sandbox_is_lost
from .resize import IN_PROGRESS, PENDING
from .restart_all import CONDITION as ALL_RESTARTING
from .restart_all import STARTED_MESSAGE, STARTED_REASON, has_restart_all_rule, is_being_reset
from .restart_policy import init_containers, is_sidecar, regular_containers

SANDBOX_READY = "PodReadyToStartContainers"
INITIALIZED = "Initialized"
READY = "Ready"
CONTAINERS_READY = "ContainersReady"
SCHEDULED = "PodScheduled"
DISRUPTION_TARGET = "DisruptionTarget"
RESIZES = (PENDING, IN_PROGRESS)
OWNED = (
    SANDBOX_READY,
    INITIALIZED,
    READY,
    CONTAINERS_READY,
    SCHEDULED,
    DISRUPTION_TARGET,
    *RESIZES,
    ALL_RESTARTING,
)

TRUE, FALSE = "True", "False"


def pod_conditions(
    pod: Pod,
    observed: PodRuntimeStatus,
    status: PodStatus,
    old: PodStatus,
    now: datetime,
    disruption: str = "",
    resizes: Sequence[PodCondition] = (),
) -> list[PodCondition]:
    """All conditions for `status`, whose phase and container statuses are final; `old` is the status
    before. `disruption`: the message of DisruptionTarget, if the node itself ends the pod; `resizes`: what is
    to be said of resizes, each with the generation it is about.
    """
    before = {condition.type: condition for condition in old.conditions or ()}
    others = [c for c in (pod.status and pod.status.conditions) or () if c.type not in OWNED]
    containers_ready = _containers_ready(pod, status)
    conditions = [
        *others,
        *resizes,
        *_disruption(disruption, before.get(DISRUPTION_TARGET)),
        PodCondition(type=SANDBOX_READY, status=FALSE if sandbox_is_lost(pod, observed) else TRUE),
        _initialized(pod, status, before.get(INITIALIZED)),
        _ready(pod, containers_ready, others),
        containers_ready,
        PodCondition(type=SCHEDULED, status=TRUE),
        *_all_restarting(pod, observed),
    ]
    generation = pod.metadata.generation if pod.metadata else None
    return [_stamped(condition, before.get(condition.type), generation, now) for condition in conditions]


def _disruption(message: str, before: PodCondition | None) -> list[PodCondition]:
    """Once it is there it stays."""
    if message:
        return [
            PodCondition(type=DISRUPTION_TARGET, status=TRUE, reason="TerminationByKubelet", message=message),
        ]
    return [before] if before is not None else []


def _stamped(
    condition: PodCondition, before: PodCondition | None, generation: int | None, now: datetime
) -> PodCondition:
    unchanged = before is not None and before.status == condition.status and before.last_transition_time
    return PodCondition(
        type=condition.type,
        status=condition.status,
        observed_generation=condition.observed_generation if condition.type in RESIZES else generation,
        last_probe_time=condition.last_probe_time,
        last_transition_time=unchanged or now.replace(microsecond=0),
        reason=condition.reason,
        message=condition.message,
    )


def _initialized(pod: Pod, status: PodStatus, before: PodCondition | None) -> PodCondition:
    if status.phase == SUCCEEDED:
        return PodCondition(type=INITIALIZED, status=TRUE, reason="PodCompleted")
    if before is not None and before.status == TRUE:
        return PodCondition(type=INITIALIZED, status=TRUE)
    if status.container_statuses is None:
        return _unknown_statuses(INITIALIZED)
    unknown, incomplete = _uninitialized(pod, status)
    if (not unknown and not incomplete) or any(_ever_ran(one) for one in status.container_statuses):
        return PodCondition(type=INITIALIZED, status=TRUE)
    message = _listing(("unknown", unknown), ("incomplete", incomplete))
    return PodCondition(type=INITIALIZED, status=FALSE, reason="ContainersNotInitialized", message=message)


def _uninitialized(pod: Pod, status: PodStatus) -> tuple[list[str], list[str]]:
    """The init containers (without status, not done)."""
    statuses = {one.name: one for one in status.init_container_statuses or ()}
    unknown, incomplete = [], []
    for container in init_containers(pod):
        one = statuses.get(container.name)
        if one is None:
            unknown.append(container.name or "")
        elif not (one.started if is_sidecar(container) else one.ready):
            incomplete.append(container.name or "")
    return unknown, incomplete


def _ever_ran(status: ContainerStatus) -> bool:
    state = status.state or ContainerState()
    return state.running is not None or state.terminated is not None


def _containers_ready(pod: Pod, status: PodStatus) -> PodCondition:
    if status.container_statuses is None:
        return _unknown_statuses(CONTAINERS_READY)
    if status.phase in (SUCCEEDED, FAILED):
        return PodCondition(type=CONTAINERS_READY, status=FALSE, reason=_ending(status.phase))
    statuses = {
        one.name: one for one in [*(status.init_container_statuses or ()), *status.container_statuses]
    }
    sidecars = [container for container in init_containers(pod) if is_sidecar(container)]
    names = [container.name or "" for container in [*sidecars, *regular_containers(pod)]]
    unknown = [name for name in names if name not in statuses]
    unready = [name for name in names if name in statuses and not statuses[name].ready]
    if not unknown and not unready:
        return PodCondition(type=CONTAINERS_READY, status=TRUE)
    message = _listing(("unknown", unknown), ("unready", unready))
    return PodCondition(type=CONTAINERS_READY, status=FALSE, reason="ContainersNotReady", message=message)


def _ending(phase: str) -> str:
    return "PodCompleted" if phase == SUCCEEDED else "PodFailed"


def _ready(pod: Pod, containers_ready: PodCondition, others: Sequence[PodCondition]) -> PodCondition:
    if containers_ready.status != TRUE:
        return PodCondition(
            type=READY, status=FALSE, reason=containers_ready.reason, message=containers_ready.message
        )
    problems = [problem for problem in _gate_problems(pod, others) if problem]
    if problems:
        return PodCondition(
            type=READY, status=FALSE, reason="ReadinessGatesNotReady", message=", ".join(problems)
        )
    return PodCondition(type=READY, status=TRUE)


def _gate_problems(pod: Pod, others: Sequence[PodCondition]) -> list[str]:
    assert pod.spec is not None
    status = {condition.type: condition.status for condition in others}
    problems = []
    for gate in pod.spec.readiness_gates or ():
        name = gate.condition_type
        if name not in status:
            problems.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif status[name] != TRUE:
            problems.append(f'the status of pod readiness gate "{name}" is not "True", but {status[name]}')
    return problems


def _all_restarting(pod: Pod, observed: PodRuntimeStatus) -> list[PodCondition]:
    if not has_restart_all_rule(pod):
        return []
    if not is_being_reset(pod, observed):
        return [PodCondition(type=ALL_RESTARTING, status=FALSE)]
    return [
        PodCondition(type=ALL_RESTARTING, status=TRUE, reason=STARTED_REASON, message=STARTED_MESSAGE),
    ]


def _unknown_statuses(type: str) -> PodCondition:
    return PodCondition(type=type, status=FALSE, reason="UnknownContainerStatuses")


def _listing(*groups: tuple[str, list[str]]) -> str:
    """`containers with unknown status: [a b], containers with unready status: [c]`."""
    return ", ".join(f"containers with {kind} status: [{' '.join(names)}]" for kind, names in groups if names)
