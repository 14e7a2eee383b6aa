"""What the agent and a shim say to each other, and what a shim writes down.

One connection carries either *requests* or one *stream*:

- Requests: JSON lines. The agent sends `{"id": 7, "op": "stop_container", …}`; the shim answers
  `{"id": 7, "result": {…}}` or `{"id": 7, "error": {"step", "errno", "text"}}`, in any order. The shim also
  sends events, `{"event": "container_died", "container": {…}}`, to every connection that subscribed.
- Stream: after `{"id": 1, "op": "exec", …}` or `"attach"` was answered with a result, the connection carries
  frames both ways until the shim closes it: one byte channel, four bytes big-endian length, payload. Channels
  are those of Kubernetes' remotecommand: 0 stdin, 1 stdout, 2 stderr, 3 exit, 4 resize. An empty stdin frame
  closes stdin; resize carries `{"width": 80, "height": 24}`; the exit frame, always last, carries
  `{"exit_code": 0}`. A client that closes the connection ends what runs only for it.

Standard library only: the zygote imports this before it forks. Times are seconds since the epoch (wall).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

VERSION = 1
SOCKET = "shim.sock"
STATE = "state.json"
SHM_SIZE = 64 << 20

STDIN, STDOUT, STDERR, EXIT, RESIZE = range(5)
FRAME_HEADER = 5
FRAME_LIMIT = 64 * 1024

T = TypeVar("T")


@dataclass(slots=True)
class SandboxSpec:
    """Everything a shim is born with (the zygote's `spawn` request, and kept in state.json)."""

    uid: str
    name: str
    namespace: str
    attempt: int
    sandbox_id: str  # 64 hex digits
    directory: str  # the shim's own: socket, lock, state.json
    hostname: str
    host_network: bool = False
    host_ipc: bool = False
    host_pid: bool = False
    share_process_namespace: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)
    shm_size: int = SHM_SIZE  # bytes of the pod's /dev/shm
    oom_score_adj: int = -998  # best effort: needs CAP_SYS_RESOURCE
    labels: dict[str, str] = field(default_factory=dict)  # opaque to the shim
    first_id: int = 0  # hostUsers false: the node's id of the pod's root; 0: the pod has the node's ids
    ids: int = 65536  # how many it has, if so
    cgroup: str = ""  # absolute directory the shim moves itself into; empty: it stays in the agent's


@dataclass(slots=True)
class NetworkSpec:
    """`configure_network`: what is set on eth0, which the agent has already moved into the namespace."""

    address: str  # "10.244.0.5"
    prefix: int  # 24
    gateway: str  # "10.244.0.1"; default route
    mtu: int = 1500


@dataclass(slots=True)
class MountSpec:
    """One mount in a container; `destination` is resolved inside its root, links never lead out of it.

    `kind` is "bind" (source is a path on the node), "tmpfs", "proc", "sysfs", "cgroup2", "mqueue", "devpts".
    `options` are mount(8)'s words: ro, rro, rw, nosuid, nodev, noexec, rbind, private, rslave, rshared,
    size=…, mode=…. A missing destination is created: a directory, or an empty file for a file.

    Of a bind `sub_path` takes only a part of the source, which must lie below it whatever links say, and
    `file_type` ("a file"…, the keys of `linux.mounts.FILE_TYPES`) is what the source must be.

    /proc, /dev with all that belongs in it, /sys and /sys/fs/cgroup need not be listed: every container has
    them. One that is listed replaces the usual one and everything below it.
    """

    kind: str
    destination: str
    source: str = ""
    options: list[str] = field(default_factory=list)
    sub_path: str = ""
    file_type: str = ""


@dataclass(slots=True)
class RootfsSpec:
    """An overlay: `lower` from top to bottom."""

    lower: list[str]
    upper: str
    work: str
    mountpoint: str  # an empty directory on the node; the mount is seen in the container's namespace only
    readonly: bool = False


@dataclass(slots=True)
class SeccompSpec:
    """A filter of system calls (seccomp(2)), compiled by the agent."""

    program: str  # base64 of an array of struct sock_filter
    flags: int = 0  # of SECCOMP_SET_MODE_FILTER


@dataclass(slots=True)
class ProcessSpec:
    """The process to execve; of a container or of an exec in it (there `uid`… None: as the container's)."""

    argv: list[str]
    env: list[str]  # "NAME=value"
    cwd: str = "/"
    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None
    capabilities: list[str] | None = None  # "CHOWN"…: the bounding set; None: the usual ones
    no_new_privileges: bool = False  # of an exec: also if the container's is True
    seccomp: SeccompSpec | None = None
    tty: bool = False
    stdin: bool = False


@dataclass(slots=True)
class ContainerSpec:
    """`start_container`."""

    id: str  # 64 hex digits
    name: str
    attempt: int  # = restartCount
    cgroup: str  # absolute directory, exists, limits written
    rootfs: RootfsSpec
    process: ProcessSpec
    mounts: list[MountSpec]
    masked_paths: list[str]
    readonly_paths: list[str]
    log_path: str  # …/0.log
    oom_score_adj: int = 0
    pid_mode: str = "container"  # "container", "pod" (shareProcessNamespace), "host", "target"
    pid_target: str = ""  # the id of the container whose PID namespace is joined
    stdin_once: bool = False
    privileged: bool = False  # no device policy on its cgroup, all the node's devices, /sys writable
    labels: dict[str, str] = field(default_factory=dict)  # opaque to the shim, returned in its state


@dataclass(slots=True)
class ContainerRecord:
    """What the shim knows of one container it was asked to start. Written to state.json before it is told."""

    id: str
    name: str
    attempt: int
    state: str  # "created" (being started), "running", "stopped"
    pid: int = 0  # in the node's pid namespace
    created_at: float = 0.0
    started_at: float = 0.0  # 0: it never ran
    finished_at: float = 0.0
    exit_code: int = 0  # 128 + signal when killed by one
    oom_killed: bool = False
    error: str = ""  # why it never ran; exit_code is then 128
    log_path: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SandboxRecord:
    """state.json, and the answer to `state`."""

    version: int
    spec: SandboxSpec
    pid: int
    boot_id: str
    created_at: float
    network: NetworkSpec | None = None
    containers: list[ContainerRecord] = field(default_factory=list)


# Operations of a request connection, with their arguments → result:
#   subscribe          {}                           → {"state": SandboxRecord}, then events follow
#   state              {}                           → SandboxRecord
#   configure_network  {"spec": NetworkSpec}        → {}
#   start_container    {"spec": ContainerSpec}      → ContainerRecord (running, or stopped with `error`)
#   stop_container     {"container_id", "signal": 15, "grace": 30.0}
#                                                   → ContainerRecord, once it is dead; a second request may
#                                                     only shorten the time; grace 0 kills at once
#   remove_container   {"container_id"}             → {} (a stopped container is forgotten)
#   exec_sync          {"container_id", "process": ProcessSpec, "timeout": 1.0 | null, "limit": 10240}
#                                                   → {"exit_code", "output" (latin-1 text of stdout, then
#                                                     stderr, cut to `limit`), "timed_out", "stderr" (the
#                                                     same text of stderr alone)}
#   reopen_log         {"container_id"}             → {}
#   label_container    {"container_id", "labels"}   → ContainerRecord, with these labels beside the others
#   open_socket        {"family": "inet" | "inet6"} → {}, and with it (SCM_RIGHTS) a fresh TCP socket of the
#                                                     pod's network namespace; the only request of its
#                                                     connection
#   shutdown           {}                           → {}, and the shim ends; refused while a container runs
# Stream connections:
#   exec               {"container_id", "process": ProcessSpec, "width", "height"} → {"pid"}
#   attach             {"container_id", "stdin": bool}                            → {"tty": bool}
# Events: {"event": "container_died", "container": ContainerRecord}
#
# The zygote speaks SOCK_SEQPACKET, one JSON object a packet: {"id", "op": "spawn", "spec": SandboxSpec} →
# {"id", "pid"} once the new shim's socket listens, or {"id", "error": {"step", "errno", "text"}}.


def encode(message: dict[str, Any]) -> bytes:
    """One JSON line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def plain(record: Any) -> dict[str, Any]:
    """A record as dictionaries that `json` takes; nothing is copied that does not have to be."""
    return {name: _plain_value(getattr(record, name)) for name in record.__slots__}


def _plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    return plain(value) if hasattr(value, "__slots__") else value


_NESTED: dict[tuple[str, str], Any] = {}


def load(kind: type[T], data: dict[str, Any]) -> T:
    """The record of `kind` from its dictionary; unknown keys (a newer peer's) are left out."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in data.items():
        if key not in known:
            continue
        nested = _NESTED.get((kind.__name__, key))
        if nested is not None and isinstance(value, dict):
            value = load(nested, value)
        elif nested is not None and isinstance(value, list):
            value = [load(nested, item) for item in value]
        values[key] = value
    return kind(**values)


_NESTED.update(
    {
        ("ProcessSpec", "seccomp"): SeccompSpec,
        ("ContainerSpec", "rootfs"): RootfsSpec,
        ("ContainerSpec", "process"): ProcessSpec,
        ("ContainerSpec", "mounts"): MountSpec,
        ("SandboxRecord", "spec"): SandboxSpec,
        ("SandboxRecord", "network"): NetworkSpec,
        ("SandboxRecord", "containers"): ContainerRecord,
    }
)


def frame(channel: int, payload: bytes) -> bytes:
    """One frame of a stream connection."""
    return bytes([channel]) + len(payload).to_bytes(4, "big") + payload
