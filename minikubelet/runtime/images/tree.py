"""A directory that a stranger's archive is written into, and that nothing gets out of.

Every path goes through here, one component at a time, each opened relative to the one before and never
through a symbolic link. A link met on the way is read and followed *inside* the tree, as the kernel's
RESOLVE_IN_ROOT would: an absolute target starts at the tree's root, and above the root there is only the
root. So a link planted by one entry cannot lead the next one out (threats A33), and images whose `lib` is a
link to `usr/lib` still unpack.

The tree is private while it is written (mode 0700, nobody else knows it), so there is nobody to race with.
"""

from __future__ import annotations

import os
import shutil
import stat
from types import TracebackType

MAX_LINKS = 40  # as the kernel's
MAX_DEPTH = 200  # directories above an entry; each costs a descriptor while a path is walked
MAX_PATH = 4096
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MISSING_PARENT_MODE = 0o755
OPAQUE = "trusted.overlay.opaque"


class UnsafePath(Exception):
    """A path that has no place in a layer."""


def components(path: str) -> list[str]:
    """The parts of an archive's path: "./" and a leading "/" mean nothing, ".." is refused."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UnsafePath(f"path {path[:200]!r} leads out of the layer")
    if "\0" in path or len(path) > MAX_PATH or len(parts) > MAX_DEPTH:
        raise UnsafePath(f"path {path[:200]!r} is too long or contains a null byte")
    return parts


def is_whiteout(status: os.stat_result) -> bool:
    """Overlayfs marks what a layer has deleted by a character device 0/0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


class Tree:
    """One tree being written."""

    def __init__(self, root: str) -> None:
        self.root = os.open(root, DIRECTORY)
        self._parent: tuple[list[str], int] | None = None  # of the last entry; archives come sorted

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
        os.close(self.root)

    def parent_of(self, parts: list[str]) -> int:
        """The directory that the entry `parts` is in; missing ones are made. Good until the next call."""
        above = parts[:-1]
        if self._parent is None or self._parent[0] != above:
            if self._parent is not None:
                os.close(self._parent[1])
                self._parent = None
            self._parent = (above, self._walk(above))
        return self._parent[1]

    def clear(self, directory: int, name: str) -> str:
        """Make room for a new entry; tells what was there: "", "directory", "whiteout" or "other"."""
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(name, dir_fd=directory)
            return "directory"
        os.unlink(name, dir_fd=directory)
        return "whiteout" if is_whiteout(status) else "other"

    def make_directory(self, directory: int, name: str) -> int:
        """The directory that is there or a new one; in place of a whiteout it hides what is below."""
        try:
            return os.open(name, DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            was = ""
        except NotADirectoryError:
            was = self.clear(directory, name)
        os.mkdir(name, MISSING_PARENT_MODE, dir_fd=directory)
        made = os.open(name, DIRECTORY, dir_fd=directory)
        if was == "whiteout":
            os.setxattr(made, OPAQUE, b"y")
        return made

    def _walk(self, parts: list[str]) -> int:
        """A new descriptor of the directory at `parts`, links followed inside the tree."""
        pending, stack, links = parts[::-1], [os.dup(self.root)], 0
        try:
            while pending:
                part = pending.pop()
                if part in ("", "."):
                    continue
                if part == "..":  # only out of a link's target; above the root there is the root
                    if len(stack) > 1:
                        os.close(stack.pop())
                    continue
                target = _link_target(stack[-1], part)
                if target is None:
                    stack.append(self._enter(stack[-1], part))
                else:
                    links += 1
                    pending += target.split("/")[::-1]
                    while target.startswith("/") and len(stack) > 1:
                        os.close(stack.pop())
                if links > MAX_LINKS or len(stack) > MAX_DEPTH:
                    raise UnsafePath(f"path {'/'.join(parts)[:200]!r} has too many links or directories")
            return stack.pop()
        finally:
            for descriptor in stack:
                os.close(descriptor)

    def _enter(self, directory: int, name: str) -> int:
        """A parent directory. A file in its place is a mistake; a whiteout there gets new content."""
        status = _status(directory, name)
        if status is not None and not stat.S_ISDIR(status.st_mode) and not is_whiteout(status):
            raise UnsafePath(f"entry {name[:200]!r} is a file and the parent of another entry")
        return self.make_directory(directory, name)


def _status(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _link_target(directory: int, name: str) -> str | None:
    status = _status(directory, name)
    if status is None or not stat.S_ISLNK(status.st_mode):
        return None
    return os.readlink(name, dir_fd=directory)
