"""A container's first moments, told by its own process: from clone to execve.

The child is born by clone3(2) in its own mount and pid namespaces and in its cgroup; it is not dumpable, so
nobody in the pod can look into it (CVE-2016-9962), and it has imported all it needs. From there it does one
straight thing. Any step that fails is reported with its name and errno (`process.Reporter`), and the child
is gone.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NoReturn

from minikubelet.linux import processes, syscalls, trees
from minikubelet.linux.user_namespaces import UserNamespace
from minikubelet.shim import rootfs
from minikubelet.shim.process import Reporter, become, enter_user_namespace, open_root, open_working_directory
from minikubelet.shim.protocol import ContainerSpec, RootfsSpec
from minikubelet.shim.sandbox import Sandbox


def clone_flags(spec: ContainerSpec) -> int:
    """A pid namespace of its own, unless it shares the pod's or the node's."""
    return syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if spec.pid_mode == "container" else 0)


def run(
    spec: ContainerSpec, sandbox: Sandbox, devpts: int, streams: tuple[int, int, int], report: Reporter
) -> NoReturn:
    """The story of a container.

    1. oom_score_adj, while the node's /proc is still there.
    2. A cgroup namespace: only now, inside the cgroup, is its root the container's.
    3. Take clones of everything that is bound from the node; then let no mount travel back to the node.
    4. The root: an overlay.
    5. Mounts inside it, as planned.
    6. The working directory, resolved like any other path of the container; a read-only root, if asked for.
    7. pivot_root. Nothing of the node is left but descriptors.
    8. With hostUsers false: into the pod's user namespace, with a mount namespace that it owns. Everything
       above was done with the node's rights, and none of it can be undone with those that are left.
    9. Terminal, credentials, execve: `process.become`.
    """
    report.at("set oom_score_adj")
    processes.set_oom_score(spec.oom_score_adj)

    report.at("make a cgroup namespace")
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)

    operations = rootfs.plan(spec, sandbox, devpts, streams[0] if spec.process.tty else -1)
    for operation in operations:
        report.at(operation.describe())
        operation.prepare()
    report.at("cut off the mount namespace")
    trees.cut_off_from_node(syscalls.MS_SLAVE)

    report.at("mount the root file system")
    root = mount_root(spec.rootfs, sandbox.user)

    with nullcontext() if sandbox.user is None else sandbox.user.acting_as_root():
        for operation in operations:
            report.at(operation.describe())
            operation.execute(root)

        report.at(f"open the working directory {spec.process.cwd}")
        directory = open_working_directory(root, spec.process)
    if spec.rootfs.readonly:
        report.at("make the root file system read-only")
        syscalls.mount_setattr(root, attr_set=syscalls.MOUNT_ATTR_RDONLY)

    report.at("change the root")
    trees.make_root(root)

    if sandbox.user is not None:
        report.at("enter the user namespace")
        enter_user_namespace(sandbox.user, streams)
        syscalls.unshare(syscalls.CLONE_NEWNS)  # the kernel locks what is mounted: no mask can be taken off
        directory = open_working_directory(open_root(), spec.process)  # the mount it was opened on is gone

    become(spec.process, streams, directory, report)


def mount_root(layers: RootfsSpec, user: UserNamespace | None) -> int:
    """The overlay, with the node's ids in its layers or the pod's."""
    if user is None:
        return trees.mount_overlay(layers.lower, layers.upper, layers.work, layers.mountpoint)
    return trees.mount_mapped_overlay(layers.lower, layers.upper, layers.work, layers.mountpoint, user.fd)
