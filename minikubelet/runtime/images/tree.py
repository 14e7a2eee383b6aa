"""A directory that a stranger's archive is written into, and that nothing gets out of.

The kernel resolves the directories above an entry as if the tree were the whole file system (openat2(2),
RESOLVE_IN_ROOT; see `linux.paths`), and the entry itself is named relative to its directory, never followed.
So a link planted by one entry cannot lead the next one out (threats A33), and images whose `lib` is a link to
`usr/lib` still unpack.
"""

from __future__ import annotations

import os
import shutil
import stat
from types import TracebackType

from minikubelet.linux import paths

MAX_DEPTH = 500  # directories above an entry
MAX_PATH = 4000
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_DIRECTORY_MODE = 0o755
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
            self._parent = (above, paths.open_or_make_directory(self.root, "/" + "/".join(above)))
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

    def mark_opaque(self, directory: int) -> None:
        """Nothing of the layers below shows in this directory."""
        itself = os.open(".", DIRECTORY, dir_fd=directory)
        try:
            os.setxattr(itself, OPAQUE, b"y")
        finally:
            os.close(itself)

    def make_directory(self, directory: int, name: str) -> int:
        """The directory that is there or a new one; in place of a whiteout it hides what is below."""
        try:
            return os.open(name, DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            was = ""
        except NotADirectoryError:
            was = self.clear(directory, name)
        os.mkdir(name, NEW_DIRECTORY_MODE, dir_fd=directory)
        made = os.open(name, DIRECTORY, dir_fd=directory)
        if was == "whiteout":
            os.setxattr(made, OPAQUE, b"y")
        return made
