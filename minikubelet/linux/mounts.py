"""Mounts as data: each operation says what it is (`describe`) and does it (`execute`).

A container's root file system is a list of these. The list is made before anything is mounted, so it can be
logged, compared and shown; the kernel is asked only by `execute`, which gets the container's root as a
descriptor. All targets are resolved inside that root (`linux.paths`) and mounted on by descriptor with the
new mount API (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)); no path of the container is looked
at twice.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from minikubelet.linux import namespaces, paths, syscalls, trees, user_namespaces

_ATTRIBUTES = {
    "ro": syscalls.MOUNT_ATTR_RDONLY,
    "rro": syscalls.MOUNT_ATTR_RDONLY,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "noatime": syscalls.MOUNT_ATTR_NOATIME,
    "nodiratime": syscalls.MOUNT_ATTR_NODIRATIME,
    "strictatime": syscalls.MOUNT_ATTR_STRICTATIME,
}
_DEFAULTS = {"rw", "suid", "dev", "exec", "relatime", "bind", "rbind", "defaults"}
_PROPAGATION = {
    "private": syscalls.MS_PRIVATE,
    "slave": syscalls.MS_SLAVE,
    "shared": syscalls.MS_SHARED,
}

# What a source can be required to be, in the kubelet's words.
FILE_TYPES: dict[str, Callable[[int], bool]] = {
    "a directory": stat.S_ISDIR,
    "a file": stat.S_ISREG,
    "a socket file": stat.S_ISSOCK,
    "a character device": stat.S_ISCHR,
    "a block device": stat.S_ISBLK,
}


@dataclass(frozen=True, slots=True)
class Options:
    """mount(8)'s words, sorted by who understands them."""

    attributes: int = 0
    recursive: bool = False  # rbind: with everything mounted below the source
    recursive_readonly: bool = False  # rro
    propagation: int = syscalls.MS_PRIVATE
    values: tuple[tuple[str, str], ...] = ()  # for the file system: size=64m

    @classmethod
    def parse(cls, words: list[str]) -> Options:
        attributes, propagation, values = 0, syscalls.MS_PRIVATE, []
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                values.append((key, value))
            elif word in _ATTRIBUTES:
                attributes |= _ATTRIBUTES[word]
            elif word.removeprefix("r") in _PROPAGATION:
                propagation = _PROPAGATION[word.removeprefix("r")]
            elif word not in _DEFAULTS:
                raise ValueError(f"unknown mount option {word!r}")
        return cls(attributes, "rbind" in words, "rro" in words, propagation, tuple(values))


class Operation(Protocol):
    """One step on the way to a root file system."""

    def describe(self) -> str: ...
    def prepare(self) -> None:
        """What must be taken from the node's mounts before the namespace is cut off from them."""

    def execute(self, root: int) -> None: ...


@dataclass(slots=True)
class Filesystem:
    """A new file system, mounted inside the root.

    procfs and sysfs are refused where the image has put a link: what is written below them later has to be
    the kernel's.
    """

    kind: str
    destination: str
    options: Options = field(default_factory=Options)

    def describe(self) -> str:
        return f"mount {self.kind} on {self.destination}"

    def prepare(self) -> None:
        return

    def execute(self, root: int) -> None:
        strict = syscalls.RESOLVE_NO_SYMLINKS if self.kind in ("proc", "sysfs") else 0
        target = paths.open_or_make_directory(root, self.destination, resolve=strict)
        trees.attach(trees.new_filesystem(self.kind, self.options.attributes, self.options.values), target)


@dataclass(slots=True)
class Bind:
    """A part of the node's file tree, seen inside the root.

    The mount is cloned in `prepare` by the path on the node, or by `namespace` (the root of that mount
    namespace), or it was made before and is given as `tree`.

    A source that others can change is looked at once: it is opened, it must be of the
    `file_type` (a key of `FILE_TYPES`), `sub_path` is resolved beneath it, and what was looked at is cloned.
    """

    source: str
    destination: str
    options: Options = field(default_factory=Options)
    namespace: int = -1
    tree: int = -1
    sub_path: str = ""
    file_type: str = ""
    user_namespace: int = -1  # whose ids are seen in it; -1: the node's

    def describe(self) -> str:
        return f"bind {self.source} on {self.destination}"

    def prepare(self) -> None:
        if self.tree >= 0:
            return
        if self.sub_path or self.file_type:
            self.tree = self._clone_checked()
        elif self.namespace < 0:
            self.tree = trees.clone_tree(self.source, recursive=self.options.recursive)
        else:
            with namespaces.entered(self.namespace, syscalls.CLONE_NEWNS):
                self.tree = trees.clone_tree("/")
        if self.user_namespace >= 0:
            user_namespaces.map_ids(self.tree, self.user_namespace, self.source)

    def _clone_checked(self) -> int:
        source = os.open(self.source, os.O_PATH | os.O_CLOEXEC)
        try:
            if self.file_type and not FILE_TYPES[self.file_type](os.fstat(source).st_mode):
                problem = f"hostPath type check failed: {self.source} is not {self.file_type}"
                raise OSError(errno.EINVAL, problem)
            if self.sub_path:
                whole, source = source, paths.open_beneath(source, self.sub_path)
                os.close(whole)
            return trees.clone_open(source, recursive=self.options.recursive)
        finally:
            os.close(source)

    def execute(self, root: int) -> None:
        syscalls.mount_setattr(self.tree, propagation=self.options.propagation, recursive=True)
        if self.options.attributes:
            attributes, recursive = self.options.attributes, self.options.recursive_readonly
            syscalls.mount_setattr(self.tree, attr_set=attributes, recursive=recursive)
        directory = stat.S_ISDIR(os.fstat(self.tree).st_mode)
        make = paths.open_or_make_directory if directory else paths.open_or_make_file
        trees.attach(self.tree, make(root, self.destination))


@dataclass(slots=True)
class Devices:
    """A fresh /dev, filled before anybody could touch it: no name in it can be a trap (CVE-2025-31133).

    `of_node`: with all devices the node has now, as containerd does it for a privileged container.
    """

    destination: str = "/dev"
    of_node: bool = False
    more: list[tuple[str, os.stat_result]] = field(default_factory=list)

    def describe(self) -> str:
        return f"make devices in {self.destination}"

    def prepare(self) -> None:
        if self.of_node:
            self.more = list(_node_devices("/dev"))

    def execute(self, root: int) -> None:
        target = paths.open_or_make_directory(root, self.destination, resolve=syscalls.RESOLVE_NO_SYMLINKS)
        tree = trees.new_filesystem(
            "tmpfs", syscalls.MOUNT_ATTR_NOSUID, (("mode", "755"), ("size", "65536k"))
        )
        for name in DEVICE_DIRECTORIES:
            os.mkdir(name, dir_fd=tree)
        for name, major, minor in DEVICE_NODES:
            os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(major, minor), dir_fd=tree)
        for name, link in DEVICE_LINKS:
            os.symlink(link, name, dir_fd=tree)
        for path, found in self.more:
            _copy_device(path, found, tree)
        trees.attach(tree, target)


def _node_devices(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """Paths below the directory, links not followed. What a container has for itself is left out, and so is
    a device that is taken out of the node meanwhile.
    """
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(found.st_mode) and entry.name not in (*DEVICE_DIRECTORIES, "fd"):
            for path, status in _node_devices(entry.path):
                yield f"{entry.name}/{path}", status
        elif (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)) and entry.name not in _OWN_DEVICES:
            yield entry.name, found


def _copy_device(path: str, found: os.stat_result, tree: int) -> None:
    *directories, _ = path.split("/")
    for depth in range(len(directories)):
        try:
            os.mkdir("/".join(directories[: depth + 1]), 0o755, dir_fd=tree)
        except FileExistsError:
            continue
    os.mknod(path, found.st_mode, found.st_rdev, dir_fd=tree)
    os.chown(path, found.st_uid, found.st_gid, dir_fd=tree)


DEVICE_NODES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
DEVICE_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
DEVICE_DIRECTORIES = ("pts", "shm", "mqueue")
_OWN_DEVICES = (*(name for name, _, _ in DEVICE_NODES), *(name for name, _ in DEVICE_LINKS), "console")


@dataclass(slots=True)
class Console:
    """/dev/console: the container's terminal, by its descriptor (CVE-2025-52565)."""

    terminal: int
    destination: str = "/dev/console"

    def describe(self) -> str:
        return f"bind the terminal on {self.destination}"

    def prepare(self) -> None:
        return

    def execute(self, root: int) -> None:
        tree = syscalls.open_tree(self.terminal, "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH)
        trees.attach(tree, paths.open_or_make_file(root, self.destination))


@dataclass(slots=True)
class Mask:
    """Hide a path: a directory below an empty read-only tmpfs, a file below /dev/null.

    A missing path needs nothing.
    """

    destination: str

    def describe(self) -> str:
        return f"mask {self.destination}"

    def prepare(self) -> None:
        return

    def execute(self, root: int) -> None:
        try:
            target = paths.open_inside(root, self.destination)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(os.fstat(target).st_mode):
            trees.attach(trees.new_filesystem("tmpfs", syscalls.MOUNT_ATTR_RDONLY, (("size", "0"),)), target)
        else:
            trees.attach(_null_device(root), target)


def _null_device(root: int) -> int:
    """The container's /dev/null as a mount, once it is sure that it is the null device."""
    null = paths.open_inside(root, "/dev/null", resolve=syscalls.RESOLVE_NO_SYMLINKS)
    found = os.fstat(null)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        raise PermissionError(1, "not the null device", "/dev/null")
    tree = syscalls.open_tree(null, "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH)
    os.close(null)
    syscalls.mount_setattr(tree, attr_set=syscalls.MOUNT_ATTR_RDONLY)
    return tree


@dataclass(slots=True)
class ReadOnly:
    """Make a path and all mounts below it read-only, by binding it on itself.

    A missing path needs nothing.
    """

    destination: str

    def describe(self) -> str:
        return f"make {self.destination} read-only"

    def prepare(self) -> None:
        return

    def execute(self, root: int) -> None:
        try:
            target = paths.open_inside(root, self.destination)
        except (FileNotFoundError, NotADirectoryError):
            return
        clone = syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
        tree = syscalls.open_tree(target, "", clone)
        syscalls.mount_setattr(tree, attr_set=syscalls.MOUNT_ATTR_RDONLY, recursive=True)
        trees.attach(tree, target)
