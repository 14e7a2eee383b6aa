"""The seam between deciding and doing, in the words of the Container Runtime Interface.

The agent sees the node through these records and verbs only. There are two implementations: `runtime.service`
on the real kernel, and `tests/fakes.py` in virtual time; one contract suite holds both to the same promises.
Times are seconds since the epoch (wall clock). Every verb that removes or stops accepts "already gone".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from minikubelet.errors import FailedMount
from minikubelet.v1 import Container, Pod, ResourceRequirements

RUNTIME_NAME = "minikubelet"


def container_hash(container: Container) -> str:
    """Of a container's definition, over name and image only: when it changes, a running instance is
    replaced.
    """
    return sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """One pod sandbox: a shim and the namespaces it holds."""

    id: str
    attempt: int
    ready: bool
    created_at: float
    ip: str = ""  # empty: host network, or not ready
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """The numbers a process has."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """One instance of a container. `state` is "created", "running", "exited" or "unknown"."""

    id: str  # 64 hex digits, without scheme
    name: str
    attempt: int  # restartCount of this instance
    state: str
    image: str
    image_id: str
    created_at: float
    started_at: float = 0.0  # 0: never ran
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""  # of an exited one: Completed, Error, OOMKilled, StartError, Unknown
    message: str = ""  # the runtime's message, then the termination message
    log_path: str = ""
    hash: str = ""  # container_hash() of the definition it was made from
    sandbox_id: str = ""
    user: ContainerUser | None = None  # whom its first process runs as; None: not known
    resources: ResourceRequirements | None = None  # cpu and memory as applied; None: not known


@dataclass(frozen=True, slots=True)
class PodRuntimeStatus:
    """What exists of one pod: sandboxes and containers, newest first."""

    uid: str
    sandboxes: tuple[SandboxStatus, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()

    def instances(self, name: str) -> list[ContainerStatus]:
        """The instances of one container, newest first."""
        return [container for container in self.containers if container.name == name]


@dataclass(frozen=True, slots=True)
class PodLifecycleEvent:
    """Something changed below; `type` is ContainerStarted, ContainerDied or SandboxDied. Observe again."""

    uid: str
    type: str
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """`output` is stdout followed by stderr, cut to the limit asked for; `stderr` alone is cut to it, too."""

    exit_code: int
    output: bytes
    timed_out: bool = False
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that is on the node: `image_id` is what status shows as imageID."""

    image: str
    image_id: str
    size: int = 0  # bytes
    pulled: bool = False  # False: it was there already
    pull_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """From the container's cgroup: `cpu_usage` in nanoseconds, `memory_working_set` in bytes."""

    container_id: str
    name: str
    cpu_usage: int
    memory_working_set: int


@dataclass(frozen=True, slots=True)
class PodUsage:
    """From the pod's cgroup: memory in bytes, without what could be given back at once; processes."""

    memory: int
    processes: int


@dataclass(frozen=True, slots=True)
class PodDiskUsage:
    """Bytes on disk (or inodes, where that was asked for).

    `layers`, `logs`: container name → its writable layer, its logs; `volumes`: name → an emptyDir on disk;
    `files`: what the node has made for the pod and its containers may write to (/etc/hosts and the like).
    """

    layers: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(sum(part.values()) for part in (self.layers, self.logs, self.volumes, self.files))

    def container(self, name: str) -> int:
        """Writable layer and logs, which its ephemeral-storage limit counts."""
        return self.layers.get(name, 0) + self.logs.get(name, 0)


@dataclass(frozen=True, slots=True)
class PodCgroup:
    """A pod's own cgroup: the values its files have, those they should have, and what is used of its memory
    now, in bytes; `container_usage` by the ids of running containers. An absent value is not limited.
    """

    files: Mapping[str, str]
    wanted: Mapping[str, str]
    usage: int = 0
    container_usage: Mapping[str, int] = field(default_factory=dict)


class ExecSession(Protocol):
    """A process attached to a client. Frames are (channel, payload); the last is (3, exit code as decimal
    text).
    """

    async def write_stdin(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...
    def frames(self) -> AsyncIterator[tuple[int, bytes]]: ...
    async def close(self) -> None: ...


class PortConnection(Protocol):
    """A TCP connection to a port of a pod. Errors: PortForwardError."""

    async def read(self) -> bytes:
        """What comes next; empty when the server has ended its half."""

    async def write(self, data: bytes) -> None:
        """Waits while the server does not take it."""

    def end(self) -> None:
        """Nothing more will be written."""

    def close(self) -> None: ...


class RuntimeService(Protocol):
    """The verbs. Errors: RuntimeServiceError and its kinds, nothing else."""

    async def run_pod_sandbox(self, pod: Pod, attempt: int) -> SandboxStatus:
        """Pod cgroup, shim, namespaces, address. Raises CreatePodSandboxError, leaving nothing behind."""

    async def refresh_volumes(self, pod: Pod) -> list[FailedMount]:
        """Bring the volumes that show API objects up to date, while the pod runs (10.5). What could not be,
        and why: those volumes keep the content they have.
        """

    async def stop_pod_sandbox(self, uid: str) -> None:
        """End every process of the pod, detach its network; records stay."""

    async def remove_pod_sandbox(self, uid: str) -> None:
        """Remove what is left of the pod's sandboxes and containers: records, layers, cgroups."""

    async def remove_volumes(self, uid: str) -> None:
        """The pod has ended: what its own volumes held on disk or in memory goes; records and logs stay."""

    async def remove_pod(self, uid: str) -> None:
        """As above, and volumes, logs and the pod directory: the pod is finished for good."""

    async def ensure_image(
        self, pod: Pod, container: Container, about_to_pull: Callable[[], None] | None = None
    ) -> ImageRef:
        """By imagePullPolicy. Raises ImageError.

        `about_to_pull` is called just before a pull begins, and only then; what it raises passes through (the
        pod worker records the Event Pulling there, or refuses because the image is in back-off).
        """

    async def create_container(self, pod: Pod, container: Container, attempt: int, image: ImageRef) -> str:
        """Prepare layers, cgroup, environment, mounts; the id. CreateContainerConfigError,
        CreateContainerError.
        """

    async def start_container(self, uid: str, container_id: str) -> None:
        """Returns when the process has exec'd. RunContainerError: the instance is exited, StartError, 128."""

    async def stop_container(self, uid: str, container_id: str, grace: float) -> None:
        """Stop signal, wait up to `grace` seconds, then kill everything in its cgroup; returns when all is
        dead.
        """

    async def remove_container(self, uid: str, container_id: str, *, keep_log: bool = False) -> None:
        """Forget an exited instance: record, layers, and its log unless that is to stay with the pod."""

    async def pod_cgroup(self, pod: Pod) -> PodCgroup:
        """The pod's own cgroup beside what `pod` asks for. Raises ResizeError."""

    async def update_pod_cgroup(self, pod: Pod, files: Collection[str]) -> None:
        """Write these files of the pod's cgroup as `pod` asks for. Raises ResizeError."""

    async def update_container_resources(
        self, pod: Pod, container: Container, container_id: str, resource: str
    ) -> None:
        """Write "cpu" or "memory" of a running container's cgroup as `pod` asks for, and remember that it
        was. Raises ResizeError.
        """

    async def exec_sync(
        self, uid: str, container_id: str, command: list[str], timeout: float | None, limit: int = 10240
    ) -> ExecResult:
        """Run a command in a container. Raises RunContainerError when it cannot be started."""

    async def exec(
        self, uid: str, container_id: str, command: list[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        """The same, attached to a client."""

    async def attach(self, uid: str, container_id: str, *, stdin: bool) -> ExecSession:
        """A client on the container's own streams."""

    async def port_forward(self, uid: str, port: int) -> PortConnection:
        """To a TCP port of the pod's own loopback, as seen inside its network namespace. PortForwardError."""

    async def pod_status(self, uid: str) -> PodRuntimeStatus:
        """What exists now. Never fails: an unreadable shim is a sandbox that is not ready."""

    async def list_pods(self) -> list[str]:
        """The uids of all pods of which anything exists."""

    async def stats(self, uid: str) -> list[ContainerStats]:
        """Of the running containers."""

    async def pod_usage(self, uid: str) -> PodUsage | None:
        """Of the whole pod; None: it has no cgroup, or the node keeps no account."""

    async def disk_usage(self, uid: str, *, inodes: bool = False, limit: float | None = None) -> PodDiskUsage:
        """Of the newest instance of each container, and of emptyDirs on disk. What a tree holds is counted
        without following links or entering mounts. Raises TimeoutError when that takes longer than `limit`
        seconds.
        """

    async def rotate_logs(self, uid: str) -> None:
        """kubelet-behaviour 11.1: rename what is larger than containerLogMaxSize and reopen."""

    def events(self) -> AsyncIterator[PodLifecycleEvent]:
        """For the one consumer that wakes the pod workers."""
