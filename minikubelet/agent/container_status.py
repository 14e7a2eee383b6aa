"""The status of each container, from the runtime's instances and the status before (kubelet-behaviour 1.8).
Pure.

The newest instance is `state`, the second newest `lastState`, older ones are invisible. Around this simple
rule stand the exceptions, each in a function of its own: nothing exists yet; an instance has vanished; a
start failed and will be tried again (the terminated state then moves to lastState, and waiting shows why:
1.8.1); a rule restarts all containers; probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from minikubelet.runtime.cri import RUNTIME_NAME, PodRuntimeStatus
from minikubelet.runtime.cri import ContainerStatus as Instance
from minikubelet.v1 import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    ContainerUser,
    LinuxContainerUser,
    Pod,
    PodStatus,
    ResourceRequirements,
    VolumeMount,
    VolumeMountStatus,
)
from minikubelet.v1.qos import COMPUTE

from .facts import NO_RESULTS, ProbeResults, ReasonCache
from .pod_actions import initialized_in_sandbox
from .restart_all import REASON as RESTARTING_ALL
from .restart_all import REMOVED_MESSAGE, was_being_reset
from .restart_policy import (
    all_containers,
    ephemeral_containers,
    failed,
    init_containers,
    is_sidecar,
    latest,
    regular_containers,
    should_be_started,
)

MESSAGES_LIMIT = 12288  # bytes for all termination messages of a pod
UNKNOWN_REASON, UNKNOWN_EXIT_CODE = "ContainerStatusUnknown", 137
NOT_LOCATED = "The container could not be located when the pod was terminated"
WAS_RUNNING = "The container could not be located when the pod was deleted.  The container used to be Running"
INIT_VANISHED = (
    "Unable to get init container status from container runtime and pod has been initialized, "
    "treat it as exited normally"
)


def ephemeral_statuses(
    pod: Pod, observed: PodRuntimeStatus, old: PodStatus, reasons: ReasonCache
) -> list[ContainerStatus]:
    """Of ephemeral containers, by name. Nobody waits for them: they have no `started` and are never ready."""
    statuses = [
        _status(pod, container, observed, old, reasons, is_init=False)
        for container in ephemeral_containers(pod)
    ]
    for one in statuses:
        one.started = None
    return sorted(statuses, key=lambda one: one.name or "")


def container_statuses(
    pod: Pod, observed: PodRuntimeStatus, old: PodStatus, reasons: ReasonCache
) -> tuple[list[ContainerStatus], list[ContainerStatus]]:
    """(of init containers in spec order, of regular containers by name), before probe results are merged
    in.
    """
    init = [
        _status(pod, container, observed, old, reasons, is_init=True) for container in init_containers(pod)
    ]
    regular = [
        _status(pod, container, observed, old, reasons, is_init=False)
        for container in regular_containers(pod)
    ]
    return init, sorted(regular, key=lambda one: one.name or "")


def terminated_unknown(message: str) -> ContainerStateTerminated:
    return ContainerStateTerminated(exit_code=UNKNOWN_EXIT_CODE, reason=UNKNOWN_REASON, message=message)


def container_id(instance_id: str) -> str:
    return f"{RUNTIME_NAME}://{instance_id}"


def _status(
    pod: Pod,
    container: Container,
    observed: PodRuntimeStatus,
    old: PodStatus,
    reasons: ReasonCache,
    *,
    is_init: bool,
) -> ContainerStatus:
    known = [
        *(old.init_container_statuses or ()),
        *(old.container_statuses or ()),
        *(old.ephemeral_container_statuses or ()),
    ]
    before = next((one for one in known if one.name == container.name), None)
    instances = observed.instances(container.name or "")
    if instances:
        status = _of_instances(pod, container, instances, before)
    elif before is not None and _was_reset(before, old):
        status = _removed_by_reset(container, before)
    elif is_init and not is_sidecar(container) and initialized_in_sandbox(pod, observed):
        status = _vanished_init(container, before)
    else:
        status = _without_instance(pod, container, before)
    if not (is_init and _is_done_init(container, observed)):
        _show_failed_start(pod, container, observed, status, reasons)
    elif len(instances) == 1:
        status.last_state = ContainerState()  # what it took to get done was pruned (2.4)
    return status


# The rule


def _of_instances(
    pod: Pod, container: Container, instances: Sequence[Instance], before: ContainerStatus | None
) -> ContainerStatus:
    newest = instances[0]
    limit = _message_limit(pod)
    status = ContainerStatus(
        name=container.name,
        state=_state(newest, before, limit),
        last_state=ContainerState(),
        ready=False,
        restart_count=newest.attempt,
        image=newest.image or container.image,
        image_id=newest.image_id,
        container_id=container_id(newest.id),
        started=_previously_started(newest, before),
        resources=_resources(container, newest),
        allocated_resources=container.resources.requests if container.resources else None,
        volume_mounts=_volume_mounts(container),
        user=_user(newest),
    )
    if newest.state == "unknown" and status.state and status.state.terminated and before:
        status.restart_count = (before.restart_count or 0) + 1
    if len(instances) > 1:
        status.last_state = _state(instances[1], None, limit)
    elif before is not None and newest.attempt > 0:
        status.last_state = _remembered_end(before, status)
    return status


def _resources(container: Container, newest: Instance) -> ResourceRequirements | None:
    """6.9: as granted, but cpu and memory of a running container as they are applied to it."""
    granted, applied = container.resources, newest.resources
    if granted is None or applied is None or newest.state != "running":
        return granted
    return ResourceRequirements(
        requests=_shown(granted.requests, applied.requests),
        limits=_shown(granted.limits, applied.limits),
        claims=granted.claims,
    )


def _shown(granted: dict[str, str] | None, applied: dict[str, str] | None) -> dict[str, str] | None:
    """A limit that comes from the pod as a whole is not the container's to show; one that is not applied yet
    is not shown.
    """
    if granted is None:
        return None
    return {
        name: (applied or {}).get(name, text) if name in COMPUTE else text
        for name, text in granted.items()
        if name not in COMPUTE or name in (applied or {})
    }


def _remembered_end(before: ContainerStatus, status: ContainerStatus) -> ContainerState:
    """The runtime has forgotten the instance before (a reboot empties /run); the status has not."""
    if before.container_id != status.container_id and before.state is not None and before.state.terminated:
        return before.state
    return before.last_state or ContainerState()


def _state(instance: Instance, before: ContainerStatus | None, limit: int) -> ContainerState:
    if instance.state == "running":
        return ContainerState(running=ContainerStateRunning(started_at=_time(instance.started_at)))
    if instance.state == "exited":
        return ContainerState(terminated=_terminated(instance, limit))
    was_running = before is not None and before.state is not None and before.state.running is not None
    if instance.state == "unknown" and was_running:
        return ContainerState(terminated=terminated_unknown(NOT_LOCATED))
    # Created and not yet running, for a moment; or unknown and never seen running.
    return ContainerState(waiting=ContainerStateWaiting())


def _terminated(instance: Instance, limit: int) -> ContainerStateTerminated:
    reason = instance.reason or ("Completed" if instance.exit_code == 0 else "Error")
    return ContainerStateTerminated(
        exit_code=instance.exit_code,
        reason=reason,
        message=_cut(instance.message, limit) or None,
        started_at=_time(instance.started_at),
        finished_at=_time(instance.finished_at),
        container_id=container_id(instance.id),
    )


def _previously_started(newest: Instance, before: ContainerStatus | None) -> bool:
    """`started` of a running instance is, until probes are looked at, what was published before (1.1)."""
    same = before is not None and before.container_id == container_id(newest.id)
    return newest.state == "running" and same and bool(before and before.started)


def _user(instance: Instance) -> ContainerUser | None:
    if instance.user is None:
        return None
    groups = list(instance.user.groups) or None
    linux = LinuxContainerUser(uid=instance.user.uid, gid=instance.user.gid, supplemental_groups=groups)
    return ContainerUser(linux=linux)


def _volume_mounts(container: Container) -> list[VolumeMountStatus] | None:
    mounts = [
        VolumeMountStatus(
            name=mount.name,
            mount_path=mount.mount_path,
            read_only=mount.read_only,
            recursive_read_only=_recursive_read_only(mount),
        )
        for mount in container.volume_mounts or ()
    ]
    return mounts or None


def _recursive_read_only(mount: VolumeMount) -> str | None:
    """Every kernel that runs this program can do it, so what is wanted if possible is so."""
    if not mount.read_only:
        return None
    return "Enabled" if mount.recursive_read_only in ("Enabled", "IfPossible") else "Disabled"


def _message_limit(pod: Pod) -> int:
    return MESSAGES_LIMIT // len(all_containers(pod))


def _cut(message: str, limit: int) -> str:
    """The first bytes; a character cut in two is left out."""
    return message.encode()[:limit].decode(errors="ignore")


def _time(stamp: float) -> datetime:
    """Of the runtime. 0, never started, is shown as 1970 like containerd's (1.10)."""
    return datetime.fromtimestamp(int(stamp), UTC)


# Nothing exists


def _without_instance(pod: Pod, container: Container, before: ContainerStatus | None) -> ContainerStatus:
    """No instance yet, or it vanished: a terminated state stays, a running one is shown as lost."""
    if before is not None and before.state is not None and before.state.terminated is not None:
        return _again(before)
    status = ContainerStatus(
        name=container.name,
        state=ContainerState(waiting=ContainerStateWaiting(reason=_default_reason(pod))),
        last_state=(before.last_state if before else None) or ContainerState(),
        ready=False,
        restart_count=(before.restart_count if before else None) or 0,
        image=container.image,
        image_id="",
        started=False,
        volume_mounts=_volume_mounts(container),
    )
    was_running = before is not None and before.state is not None and before.state.running is not None
    if was_running and not (status.last_state and status.last_state.terminated):
        status.last_state = ContainerState(terminated=terminated_unknown(WAS_RUNNING))
        deleted = pod.metadata is not None and pod.metadata.deletion_timestamp is not None
        status.restart_count = (status.restart_count or 0) + (0 if deleted else 1)
    return status


def _default_reason(pod: Pod) -> str:
    return "PodInitializing" if init_containers(pod) else "ContainerCreating"


def _vanished_init(container: Container, before: ContainerStatus | None) -> ContainerStatus:
    """Its record is gone, but regular containers run: it must have exited well."""
    if before is not None and before.state is not None and before.state.terminated is not None:
        return _again(before)
    completed = ContainerStateTerminated(exit_code=0, reason="Completed", message=INIT_VANISHED)
    return ContainerStatus(
        name=container.name,
        state=ContainerState(terminated=completed),
        last_state=(before.last_state if before else None) or ContainerState(),
        ready=False,
        restart_count=(before.restart_count if before else None) or 0,
        image=container.image,
        image_id="",
        started=False,
    )


def _was_reset(before: ContainerStatus, old: PodStatus) -> bool:
    """RestartAllContainers removed its instances: just now, or earlier and it has not been started since."""
    if before.container_id:
        return was_being_reset(old)
    waiting = before.state.waiting if before.state else None
    return waiting is not None and waiting.reason == RESTARTING_ALL


def _removed_by_reset(container: Container, before: ContainerStatus) -> ContainerStatus:
    """2.7: whatever it did, it counts as ended for this reason, and one restart further."""
    if not before.container_id:
        return _again(before)
    ended = ContainerStateTerminated(exit_code=137, reason=RESTARTING_ALL, message=REMOVED_MESSAGE)
    waiting = ContainerStateWaiting(reason=RESTARTING_ALL, message=REMOVED_MESSAGE)
    return ContainerStatus(
        name=container.name,
        state=ContainerState(waiting=waiting),
        last_state=ContainerState(terminated=ended),
        ready=False,
        restart_count=(before.restart_count or 0) + 1,
        image=container.image,
        image_id="",
        started=False,
        volume_mounts=_volume_mounts(container),
    )


def _again(before: ContainerStatus) -> ContainerStatus:
    """The status before, as an object of its own; what it points to is never changed in place."""
    return ContainerStatus(**{name: getattr(before, name) for name in before.__struct_fields__})


# A start failed and will be tried again


def _is_done_init(container: Container, observed: PodRuntimeStatus) -> bool:
    newest = latest(observed, container.name)
    exited_well = newest is not None and newest.state == "exited" and not failed(newest)
    return exited_well and not is_sidecar(container)


def _show_failed_start(
    pod: Pod, container: Container, observed: PodRuntimeStatus, status: ContainerStatus, reasons: ReasonCache
) -> None:
    """1.8.1: only of a container that is to be started; others stay terminated."""
    cached = reasons.get(container.name or "")
    if cached is None or not should_be_started(pod, container, observed):
        return
    if status.state is not None and status.state.terminated is not None:
        status.last_state = status.state
    waiting = ContainerStateWaiting(reason=cached.reason, message=cached.message or None)
    status.state = ContainerState(waiting=waiting)
    status.started = False


# Probes (1.8: started, ready)


def merge_probe_results(pod: Pod, status: PodStatus, old: PodStatus, results: ProbeResults) -> None:
    """Set `started` and `ready`; `old` knows what held before the agent was restarted (14.1)."""
    before = {
        one.container_id: one
        for one in [*(old.init_container_statuses or ()), *(old.container_statuses or ())]
        if one.container_id
    }
    was_ready = any(c.type == "Ready" and c.status == "True" for c in old.conditions or ())
    definitions = {
        container.name: container for container in [*init_containers(pod), *regular_containers(pod)]
    }
    for one in status.container_statuses or ():
        _merge(one, definitions[one.name], before.get(one.container_id), was_ready, results)
    for one in status.init_container_statuses or ():
        if is_sidecar(definitions[one.name]):
            _merge(one, definitions[one.name], before.get(one.container_id), was_ready, results)
        else:
            ended = one.state.terminated if one.state else None
            one.ready = ended is not None and ended.exit_code == 0
            one.started = one.state is not None and one.state.running is not None


def _merge(
    one: ContainerStatus,
    container: Container,
    before: ContainerStatus | None,
    was_ready: bool,
    results: ProbeResults,
) -> None:
    running = one.state is not None and one.state.running is not None
    result = results.get((one.container_id or "").partition("://")[2], NO_RESULTS)
    if container.startup_probe is None or result.startup == "success":
        one.started = running
    elif result.startup in (None, "unknown"):
        one.started = running and before is not None and bool(before.started)
    else:
        one.started = False
    if container.readiness_probe is None or result.readiness == "success":
        one.ready = one.started
    elif result.readiness is None:
        one.ready = bool(one.started and before is not None and before.ready and was_ready)
    else:
        one.ready = False
