"""The phase of a pod from the states of its containers (kubelet-behaviour 1.1, 1.2). Pure.

Two tables. The first sorts every container into counters, the second turns the counters into a phase; both
are the rows of the document, in its order. What surprises:

- A container that waits for its *first* start keeps the pod Pending, even when others run; one that waits in
  CrashLoopBackOff does not, for it has a lastState.
- A container waiting in back-off never counts as succeeded.
- When the pod is being finished (all containers stopped after a kill), the restart policy no longer counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minikubelet.v1 import Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod

from .restart_all import REASON as RESTARTING_ALL
from .restart_policy import init_containers, is_sidecar, regular_containers, restarts_after_exit

PENDING, RUNNING, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"
TERMINAL = (SUCCEEDED, FAILED)
STATIC_POD_ANNOTATION = "kubernetes.io/config.source"
API = "api"  # the source of every other pod


@dataclass(slots=True)
class Counters:
    """1.1. `final` in a name means: the restart policy will not bring it back."""

    pending_init: int = 0
    failed_init_final: int = 0
    pending_sidecar: int = 0
    unknown: int = 0
    waiting: int = 0
    running: int = 0
    stopped: int = 0
    stopped_final: int = 0
    succeeded: int = 0


def is_terminal(phase: str | None) -> bool:
    return phase in TERMINAL


def is_static(pod: Pod) -> bool:
    """From a file on the node; marked by the annotation that the agent sets."""
    assert pod.metadata is not None
    source = (pod.metadata.annotations or {}).get(STATIC_POD_ANNOTATION, API)
    return source != API


def pod_phase(
    pod: Pod,
    init_statuses: Sequence[ContainerStatus],
    statuses: Sequence[ContainerStatus],
    *,
    initialized_in_sandbox: bool,
    stopped: bool = False,
) -> str:
    """1.2, first match wins. `stopped`: all containers are dead after a kill of the pod."""
    count = count_containers(pod, init_statuses, statuses)
    if count.failed_init_final:
        return FAILED
    if count.pending_init:
        return PENDING
    if count.pending_sidecar and not initialized_in_sandbox:
        return PENDING
    if count.waiting:
        return PENDING
    if count.running and not count.unknown:
        return RUNNING
    if count.running == 0 and count.stopped and not count.unknown:
        if stopped and not is_static(pod):
            return SUCCEEDED if count.stopped == count.succeeded else FAILED
        if count.stopped != count.stopped_final:
            return RUNNING
        return SUCCEEDED if count.stopped == count.succeeded else FAILED
    return PENDING


def count_containers(
    pod: Pod, init_statuses: Sequence[ContainerStatus], statuses: Sequence[ContainerStatus]
) -> Counters:
    count = Counters()
    by_name = {status.name: status for status in init_statuses}
    for container in init_containers(pod):
        status = by_name.get(container.name)
        if is_sidecar(container):
            _count_sidecar(status, count)
        else:
            _count_init(pod, container, status, count)
    by_name = {status.name: status for status in statuses}
    for container in regular_containers(pod):
        _count_regular(pod, container, by_name.get(container.name), count)
    return count


def _count_init(pod: Pod, container: Container, status: ContainerStatus | None, count: Counters) -> None:
    ended = _ended(status)
    if ended is None:
        count.pending_init += 1
    elif ended.exit_code and not _restartable(pod, container, ended):
        count.failed_init_final += 1


def _count_sidecar(status: ContainerStatus | None, count: Counters) -> None:
    if status is None:
        count.unknown += 1
        return
    state = status.state or ContainerState()
    if state.running:
        count.running += 1
        count.pending_sidecar += not status.started
    elif _ended(status):
        pass  # whatever its exit code: it never decides how a pod ends
    elif state.waiting:
        count.pending_sidecar += 1
        count.waiting += 1
    else:
        count.pending_sidecar += 1
        count.unknown += 1


def _count_regular(pod: Pod, container: Container, status: ContainerStatus | None, count: Counters) -> None:
    state = (status.state if status else None) or ContainerState()
    ended = _ended(status)
    if state.running:
        count.running += 1
    elif ended:
        count.stopped += 1
        count.stopped_final += not _restartable(pod, container, ended)
        count.succeeded += state.terminated is not None and not ended.exit_code
    elif state.waiting:
        count.waiting += 1
    else:
        count.unknown += 1


def _ended(status: ContainerStatus | None) -> ContainerStateTerminated | None:
    """How it ended: terminated now, or waiting to be started again."""
    if status is None or status.state is None:
        return None
    if status.state.terminated:
        return status.state.terminated
    if status.state.waiting and status.last_state:
        return status.last_state.terminated
    return None


def _restartable(pod: Pod, container: Container, ended: ContainerStateTerminated) -> bool:
    if ended.reason == RESTARTING_ALL:
        return True
    return restarts_after_exit(pod, container, ended.exit_code or 0)
