"""What a pod's containers share, held by the shim: namespaces, /dev/shm, a null device, perhaps process 1.

`prepare` and `enter` turn a fresh process into the pod sandbox; the first does not need to know whose it will
be, so it may happen long before. All of it is bound to the shim's life by descriptors and
namespaces: there is nothing to clean up on the node, however the shim ends.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import NoReturn

from minikubelet.linux import devices, interfaces, paths, processes, syscalls, trees, user_namespaces
from minikubelet.linux.user_namespaces import UserNamespace
from minikubelet.shim.protocol import SHM_SIZE, SandboxSpec


@dataclass(slots=True)
class Sandbox:
    """Descriptors every container of the pod is built with."""

    spec: SandboxSpec
    null: int  # a null device of the pod's own: what a container does to it touches nobody else
    shm: int  # mount namespace whose root is the pod's /dev/shm; -1 with hostIPC
    user: UserNamespace | None = None  # hostUsers false
    init_pid: int = 0  # shareProcessNamespace: process 1 of the pod
    init_pidfd: int = -1
    _device_policy: int = -1

    def device_policy(self) -> int:
        """The BPF program, loaded when the first container needs it."""
        if self._device_policy < 0:
            self._device_policy = devices.load_policy()
        return self._device_policy


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be known of a pod to make its sandbox but for the name: most pods are alike in it."""

    host_network: bool = False
    host_ipc: bool = False
    shm_size: int = SHM_SIZE
    first_id: int = 0
    ids: int = 65536

    @classmethod
    def of(cls, spec: SandboxSpec) -> Shape:
        return cls(spec.host_network, spec.host_ipc, spec.shm_size, spec.first_id, spec.ids)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` has made, beside the namespaces the process is in; as in `Sandbox`."""

    null: int
    shm: int
    user: UserNamespace | None


def prepare(shape: Shape) -> Prepared:
    """Make namespaces and step into them: network, IPC, UTS; loopback.

    With a user namespace of the pod's own, it is made first and owns the others.
    """
    kinds = (
        (syscalls.CLONE_NEWNET, shape.host_network),
        (syscalls.CLONE_NEWIPC, shape.host_ipc),
        (syscalls.CLONE_NEWUTS, shape.host_network),  # the node's network comes with the node's name
    )
    own = sum(kind for kind, shared_with_node in kinds if not shared_with_node)
    user = None
    if shape.first_id:
        user = user_namespaces.make(shape.first_id, shape.ids, own)
    else:
        syscalls.unshare(own)
    if not shape.host_network:
        interfaces.set_up("lo")
    shm = -1 if shape.host_ipc else trees.hold_tmpfs(shape.shm_size, shape.first_id)
    return Prepared(make_null_device(), shm, user)


def enter(spec: SandboxSpec, made: Prepared) -> Sandbox:
    """Make what was prepared the sandbox of this pod: host name, sysctls, perhaps process 1."""
    if not spec.host_network:
        socket.sethostname(spec.hostname)
    with nullcontext() if made.user is None else made.user.acting_as_root():
        for name, value in spec.sysctls.items():
            set_sysctl(spec, name, value)
    sandbox = Sandbox(spec, made.null, made.shm, made.user)
    if spec.share_process_namespace:
        start_init(sandbox)
    return sandbox


_IPC_SYSCTLS = ("kernel/shm", "kernel/msg", "kernel/sem", "fs/mqueue/")
_SWAPPED = str.maketrans("./", "/.")


def set_sysctl(spec: SandboxSpec, name: str, value: str) -> None:
    """Only what belongs to a namespace the pod has for itself: everything else would change the node.

    As sysctl(8), the name may have either separator, and the first says which; the other is then a dot in a
    file's name (net.ipv4.conf.eth0/1.forwarding).
    """
    separator = next((letter for letter in name if letter in "./"), "/")
    path = name if separator == "/" else name.translate(_SWAPPED)
    of_network = path.startswith("net/") and not spec.host_network
    of_ipc = path.startswith(_IPC_SYSCTLS) and not spec.host_ipc
    if not (of_network or of_ipc) or ".." in path.split("/"):
        raise PermissionError(1, "not a sysctl of the pod's own namespaces", name)
    paths.write_kernel_file(f"/proc/sys/{path}", value, syscalls.PROC_SUPER_MAGIC)


def make_null_device() -> int:
    """A null device on a detached tmpfs of its own, open."""
    tree = trees.new_filesystem("tmpfs", 0, (("size", "4k"),))
    try:
        os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3), dir_fd=tree)
        return os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)


def start_init(sandbox: Sandbox) -> None:
    """Process 1 of a shared pid namespace: reaps whoever is orphaned there, and dies with the shim."""
    shim = os.pidfd_open(os.getpid())
    sandbox.init_pid, sandbox.init_pidfd = syscalls.clone3(syscalls.CLONE_NEWPID)
    if sandbox.init_pid == 0:
        try:
            _be_init(shim, sandbox.shm, sandbox.user)
        finally:
            os._exit(125)
    os.close(shim)


def _be_init(shim: int, empty_mount_namespace: int, user: UserNamespace | None) -> NoReturn:
    """Containers of the pod can see this process, so it has nothing to see:

    No files but the pod's shared memory.
    """
    signal.set_wakeup_fd(-1)
    processes.die_with(shim)
    processes.set_name("mk-init")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if empty_mount_namespace >= 0:
        syscalls.setns(empty_mount_namespace, syscalls.CLONE_NEWNS)
    if user is not None:
        user.enter()
        processes.die_with(shim)  # a change of credentials clears it
    os.closerange(0, 3)
    syscalls.close_range(3)
    while True:
        with suppress(ChildProcessError):  # also before the first signal: of an earlier one nobody was told
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        signal.sigwait({signal.SIGCHLD})
