"""From a pod, a container and its image to the one message a shim needs to start it.

Everything here is assembly: what the environment, the mounts and the user are was decided by `environment`,
`volumes` and `hostfiles`. The defaults are containerd's: capabilities, masked and read-only paths. /proc,
/dev, /sys and the like are not here: every container has them, the shim makes them.
"""

from __future__ import annotations

from collections.abc import Iterable

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.linux import capabilities
from minikubelet.runtime.users import User
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    MountSpec,
    ProcessSpec,
    RootfsSpec,
    SeccompSpec,
)
from minikubelet.v1 import Container, EphemeralContainer, Pod, SecurityContext

ALL_CAPABILITIES = "ALL"

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def pid_mode(pod: Pod, container: Container) -> str:
    """Whose PID namespace it gets (9.9); only one that would have its own can look for another's."""
    spec = pod.spec
    if spec and spec.host_pid:
        return "host"
    if spec and spec.share_process_namespace:
        return "pod"
    is_targeted = isinstance(container, EphemeralContainer) and container.target_container_name
    return "target" if is_targeted else "container"


def pid_target(pod: Pod, container: Container, records: Iterable[ContainerRecord]) -> str:
    """The id of the container whose PID namespace it joins, "" if none.

    Raises CreateContainerConfigError or CreateContainerError when there is nothing to join.
    """
    if pid_mode(pod, container) != "target" or not isinstance(container, EphemeralContainer):
        return ""
    name = container.target_container_name
    newest = max((r for r in records if r.name == name), key=lambda record: record.created_at, default=None)
    if newest is None:
        raise CreateContainerConfigError(f"unable to find target container {name}")
    if newest.state != "running":
        raise CreateContainerError(f'invalid target container: container "{newest.id}" is not running')
    return newest.id


def kept_capabilities(security: SecurityContext | None) -> list[str]:
    """The default set, with `drop` taken out and `add` put in; all if privileged, whatever else it says.

    All are those the agent itself has, as with containerd (WithAllCurrentCapabilities).
    """
    if security and security.privileged:
        return list(capabilities.held())
    asked = security.capabilities if security else None
    drop = {_plain(name) for name in (asked.drop or ())} if asked else set()
    add = [_plain(name) for name in (asked.add or ())] if asked else []
    kept = [] if ALL_CAPABILITIES in drop else [name for name in capabilities.DEFAULT if name not in drop]
    if ALL_CAPABILITIES in add:
        kept, add = [name for name in capabilities.held() if name not in drop], []
    return kept + [name for name in add if name not in kept]


def no_new_privileges(security: SecurityContext | None) -> bool:
    return bool(security and security.allow_privilege_escalation is False)


def process(
    container: Container,
    *,
    argv: list[str],
    env: list[str],
    cwd: str,
    user: User,
    seccomp: SeccompSpec | None,
) -> ProcessSpec:
    """Everything in it was looked up already. HOME is the user's, unless image or manifest say otherwise."""
    if not any(entry.startswith("HOME=") for entry in env):
        env = [*env, f"HOME={user.home}"]
    return ProcessSpec(
        argv=argv,
        env=env,
        cwd=cwd,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        capabilities=kept_capabilities(container.security_context),
        no_new_privileges=no_new_privileges(container.security_context),
        seccomp=seccomp,
        tty=bool(container.tty),
        stdin=bool(container.stdin),
    )


def container_spec(
    pod: Pod,
    container: Container,
    *,
    container_id: str,
    attempt: int,
    cgroup: str,
    log_path: str,
    rootfs: RootfsSpec,
    process: ProcessSpec,
    mounts: list[MountSpec],
    masked: Iterable[str],
    oom_score_adj: int,
    pid_target: str,
    labels: dict[str, str],
) -> ContainerSpec:
    security = container.security_context or SecurityContext()
    rootfs.readonly = bool(security.read_only_root_filesystem)
    unmasked = security.privileged or security.proc_mount == "Unmasked"
    return ContainerSpec(
        id=container_id,
        name=container.name or "",
        attempt=attempt,
        cgroup=cgroup,
        rootfs=rootfs,
        process=process,
        mounts=mounts,
        masked_paths=[*masked] if unmasked else [*MASKED_PATHS, *masked],
        readonly_paths=[] if unmasked else list(READONLY_PATHS),
        privileged=bool(security.privileged),
        log_path=log_path,
        oom_score_adj=oom_score_adj,
        pid_mode=pid_mode(pod, container),
        pid_target=pid_target,
        stdin_once=bool(container.stdin_once),
        labels=labels,
    )


def _plain(name: str) -> str:
    """CAP_NET_ADMIN and NET_ADMIN are the same; the CRI writes the latter."""
    return name.upper().removeprefix("CAP_")
