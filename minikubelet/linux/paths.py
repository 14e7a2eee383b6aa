"""Paths inside a directory that may be hostile: a container's root.

Everything is resolved with openat2(2) as if the directory were the root of the file system: links, absolute
or not, and `..` cannot lead out of it, and magic links (`/proc/self/fd/3`, `/proc/1/root`) are refused. The
result is always a descriptor; whoever swaps the path afterwards (CVE-2021-30465) changes nothing, because
nobody looks at the path again.

A volume of a container is as hostile: what is used of it (subPath) is opened beneath it.

Used by `linux.mounts`, by the children in `shim/`, and by `runtime.volumes`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from minikubelet.linux import syscalls

INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS


def open_inside(root: int, path: str, flags: int = os.O_PATH, resolve: int = 0) -> int:
    """A descriptor of `path` below `root`; links stay inside. `resolve` adds RESOLVE_ flags."""
    return syscalls.openat2(root, path, flags, INSIDE | resolve)


def open_beneath(directory: int, path: str, flags: int = os.O_PATH) -> int:
    """A descriptor of `path` below `directory`; links are followed as long as they stay below it.

    What leads out is no file inside, as it would be in a root: it is refused (EXDEV).
    """
    return syscalls.openat2(directory, path, flags, BENEATH)


def open_or_make_directory(root: int, path: str, resolve: int = 0) -> int:
    """A descriptor of the directory `path` below `root`; what is missing is created."""
    return _open_or_make(root, path, _make_directory, resolve)


def open_or_make_file(root: int, path: str, resolve: int = 0) -> int:
    """A descriptor of the file `path` below `root`; what is missing is created, the file itself empty."""
    return _open_or_make(root, path, _make_file, resolve)


def _open_or_make(
    root: int, path: str, make: Callable[[int, str], None], resolve: int, links: int = 40
) -> int:
    try:
        return open_inside(root, path, resolve=resolve)
    except FileNotFoundError:
        parent_path, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", "..") or not links:
        raise FileNotFoundError(errno.ENOENT, "cannot be created", path)
    parent = _open_or_make(root, parent_path or "/", _make_directory, resolve, links)
    try:
        try:
            make(parent, name)
        except FileExistsError:  # a link to nowhere, or another container that shares this volume was faster
            link = _read_link(parent, name)
            if link:
                return _open_or_make(root, os.path.join(parent_path, link), make, resolve, links - 1)
        return syscalls.openat2(
            parent, name, os.O_PATH, syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        )
    finally:
        os.close(parent)


def _read_link(parent: int, name: str) -> str:
    """Where a link leads, "" if it is none."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return ""
        raise


def _make_directory(parent: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)


def _make_file(parent: int, name: str) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o644, dir_fd=parent))


def write_kernel_file(path: str, value: str, magic: int) -> None:
    """Write to a file of procfs or sysfs, after making sure that it is one (CVE-2019-19921)."""
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if syscalls.filesystem_type(fd) != magic:
            raise PermissionError(1, "not the kernel's own file system", path)
        os.write(fd, value.encode())
    finally:
        os.close(fd)
