"""The plan of a container's root file system: which mounts, in which order. Nothing is mounted here.

What every container has comes first, then the mounts of its specification from the shortest path to the
longest, then what is hidden and what is read-only. A mount of the specification replaces the usual one at
the same place and all below it: an emptyDir on /dev/shm, a hostPath on /dev. A privileged container has the
node's devices in its /dev and may write to /sys.
"""

from __future__ import annotations

from minikubelet.linux.mounts import Bind, Console, Devices, Filesystem, Mask, Operation, Options, ReadOnly
from minikubelet.shim.protocol import ContainerSpec, MountSpec
from minikubelet.shim.sandbox import Sandbox

_QUIET = ["nosuid", "nodev", "noexec"]


def plan(spec: ContainerSpec, sandbox: Sandbox, devpts: int, terminal: int) -> list[Operation]:
    """The operations that build the root, to be executed in this order.

    `devpts` is the container's own instance, not attached yet; `terminal` is the slave of its terminal or -1.
    """
    user = -1 if sandbox.user is None else sandbox.user.fd
    own = sorted(spec.mounts, key=lambda mount: _depth(mount.destination))
    replaced = {_normal(mount.destination) for mount in own}
    usual = [
        (destination, operation)
        for destination, operation in _usual(sandbox, devpts, terminal, privileged=spec.privileged)
        if not any(destination == path or destination.startswith(f"{path}/") for path in replaced)
    ]
    return [
        *(operation for _, operation in usual),
        *(_mount(mount, user) for mount in own),
        *(Mask(path) for path in spec.masked_paths),
        *(ReadOnly(path) for path in spec.readonly_paths),
    ]


def _usual(sandbox: Sandbox, devpts: int, terminal: int, *, privileged: bool) -> list[tuple[str, Operation]]:
    shm = Options.parse(_QUIET)
    kernel = Options.parse([*_QUIET, "rw" if privileged else "ro"])
    operations: list[tuple[str, Operation]] = [
        ("/proc", Filesystem("proc", "/proc", Options.parse(_QUIET))),
        ("/dev", Devices(of_node=privileged)),
        ("/dev/pts", Bind("devpts", "/dev/pts", Options.parse(["nosuid", "noexec"]), tree=devpts)),
        (
            "/dev/shm",
            Bind("/dev/shm", "/dev/shm")
            if sandbox.shm < 0
            else Bind("the pod's shm", "/dev/shm", shm, sandbox.shm),
        ),
        ("/dev/mqueue", Filesystem("mqueue", "/dev/mqueue", Options.parse(_QUIET))),
        ("/sys", Filesystem("sysfs", "/sys", kernel)),
        ("/sys/fs/cgroup", Filesystem("cgroup2", "/sys/fs/cgroup", kernel)),
    ]
    if terminal >= 0:
        operations.append(("/dev/console", Console(terminal)))
    return operations


def _mount(mount: MountSpec, user: int) -> Operation:
    options = Options.parse(mount.options)
    if mount.kind == "bind":
        return Bind(
            mount.source,
            mount.destination,
            options,
            sub_path=mount.sub_path,
            file_type=mount.file_type,
            user_namespace=user,
        )
    return Filesystem(mount.kind, mount.destination, options)


def _normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _depth(path: str) -> int:
    return _normal(path).count("/")
