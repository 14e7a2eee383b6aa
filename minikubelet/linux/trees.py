"""Mount trees: making file systems, cloning what is mounted, attaching, changing the root.

Thin verbs over the new mount API, which works on descriptors: a tree is made detached, seen by nobody, and
becomes visible in one step, `attach`. `linux.mounts` puts the verbs together to operations; the shim uses
some of them directly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from minikubelet.linux import namespaces, syscalls, user_namespaces


def new_filesystem(kind: str, attributes: int = 0, values: tuple[tuple[str, str], ...] = ()) -> int:
    """A detached mount of a new file system."""
    context = syscalls.fsopen(kind)
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", kind)
        for key, value in values:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def clone_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at `path`."""
    flags = syscalls.OPEN_TREE_CLONE | (syscalls.AT_RECURSIVE if recursive else 0)
    return syscalls.open_tree(syscalls.AT_FDCWD, path, flags)


def clone_open(fd: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount that `fd` stands on, with the file behind it as its root."""
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
    return syscalls.open_tree(fd, "", flags)


def attach(tree: int, target: int) -> None:
    """Mount `tree` on `target`; closes both."""
    try:
        syscalls.move_mount(tree, target)
    finally:
        os.close(target)
        os.close(tree)


def mount_overlay(lower: list[str], upper: str, work: str, mountpoint: str) -> int:
    """Mount an overlay and return its root."""
    target = os.open(mountpoint, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = new_overlay(lower, upper, work)
    attach(os.dup(tree), target)
    return tree


def new_overlay(lower: Sequence[str], upper: str = "", work: str = "") -> int:
    """A detached overlay; without `upper` it is read-only. Changes the working directory to / in the end.

    fsconfig(2) takes at most 255 bytes a string, which two layers with honest paths fill. So each directory
    is opened and named by its descriptor, relative to /proc/self/fd: "12:13:14". More than about eighty
    layers need Linux 6.8, which takes them one by one.
    """
    paths = [*lower, upper, work] if upper else lower
    directories = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in paths]
    names = [str(fd) for fd in directories]
    layers, writable = names[: len(lower)], names[len(lower) :]
    joined = ":".join(layers)
    values = [("lowerdir", joined)] if len(joined) < 256 else [("lowerdir+", layer) for layer in layers]
    values += zip(("upperdir", "workdir"), writable, strict=False)
    os.chdir("/proc/self/fd")
    try:
        return new_filesystem("overlay", 0, tuple(values))
    finally:
        os.chdir("/")
        for fd in directories:
            os.close(fd)


def mount_mapped_overlay(
    lower: list[str], upper: str, work: str, mountpoint: str, user_namespace: int
) -> int:
    """As `mount_overlay`, with the ids of `user_namespace` in the lower layers.

    An overlay cannot be id-mapped, its layers can (Linux 5.19), if they are mounted in this mount namespace:
    on a tmpfs that lies below the overlay and goes with it. The upper layer has the shifted ids on disk.
    """
    stage = new_filesystem("tmpfs", 0, (("size", "1m"),))
    attach(os.dup(stage), os.open(mountpoint, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    layers = []
    for number, layer in enumerate(lower):
        tree = clone_tree(layer)
        user_namespaces.map_ids(tree, user_namespace, layer)
        os.mkdir(str(number), dir_fd=stage)
        attach(tree, os.open(str(number), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=stage))
        layers.append(f"{mountpoint}/{number}")
    os.close(stage)
    return mount_overlay(layers, upper, work, mountpoint)


def cut_off_from_node(propagation: int) -> None:
    """Set the propagation of every mount of this namespace: MS_SLAVE, MS_PRIVATE."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        syscalls.mount_setattr(root, propagation=propagation, recursive=True)
    finally:
        os.close(root)


def make_root(root: int) -> None:
    """pivot_root(2) into the mount `root` and let go of everything else.

    The old root is put on top of the new one and then detached from there, so no directory for it is needed.
    """
    os.fchdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount2(".", syscalls.MNT_DETACH)
    os.chdir("/")


def hold_tmpfs(size: int, owner: int = 0) -> int:
    """A new mount namespace that consists of one tmpfs and nothing else; its file.

    Containers clone their /dev/shm from it, so all of a pod's containers see the same files, and nothing is
    mounted on the node: when the last descriptor is closed, however the shim ends, the tmpfs is gone. (A
    detached mount would be simpler still, but before Linux 6.15 it can be attached only once.)
    """
    own = namespaces.open_own(syscalls.CLONE_NEWNS)
    own_namespaces = os.open(
        "/proc/self/ns", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    )  # /proc is about to vanish
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        try:
            _make_tmpfs_the_root(size, owner)
            return os.open("mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own_namespaces)
        finally:
            syscalls.setns(own, syscalls.CLONE_NEWNS)
    finally:
        os.close(own_namespaces)
        os.close(own)


def _make_tmpfs_the_root(size: int, owner: int) -> None:
    values = (("size", str(size)), ("mode", "1777"), ("uid", str(owner)), ("gid", str(owner)))
    tree = new_filesystem("tmpfs", 0, values)
    try:
        cut_off_from_node(syscalls.MS_PRIVATE)
        target = os.open("/proc", os.O_PATH | os.O_CLOEXEC)  # any directory will do
        attach(os.dup(tree), target)
        make_root(tree)
    finally:
        os.close(tree)
