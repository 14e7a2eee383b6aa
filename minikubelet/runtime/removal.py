"""Remove a tree that a container has written: of any depth, and without following anything out of it.

`shutil.rmtree` is safe against links but recursive, with a descriptor for each level, and a container can
make ten thousand levels. Here the tree is flattened while it is removed: every directory found is moved up to
the root of the tree, so nothing is ever deeper than one level.

Two may remove the same tree at once: garbage collection the layers of a dead container, and the worker of its
pod, which is being deleted. So whatever has gone in the middle of it is as good as removed.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Accepts that it is gone already, or goes meanwhile. Raises OSError, also when something is mounted
    below. Blocks.
    """
    try:
        root = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    names = (f".removing-{number}" for number in itertools.count())
    former: list[str] = []
    try:
        # Each round leaves other names, or none; what stays as it is cannot be removed, and rmdir(2) says so.
        while (entries := os.listdir(root)) and entries != former:
            for entry in entries:
                with suppress(FileNotFoundError):
                    _remove_entry(root, entry, names)
            former = entries
    finally:
        os.close(root)
    with suppress(FileNotFoundError):
        os.rmdir(path)


def _remove_entry(root: int, name: str, names: Iterator[str]) -> None:
    """A file goes at once; of a directory the files go, and its directories move up."""
    if not _is_directory(root, name):
        os.unlink(name, dir_fd=root)
        return
    directory = os.open(name, _DIRECTORY, dir_fd=root)
    try:
        for child in os.listdir(directory):
            with suppress(FileNotFoundError):
                if _is_directory(directory, child):
                    _move_up(directory, child, root, names)
                else:
                    os.unlink(child, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=root)


def _move_up(directory: int, child: str, root: int, names: Iterator[str]) -> None:
    for name in names:  # the container may have had the same idea for a name
        try:
            os.rename(child, name, src_dir_fd=directory, dst_dir_fd=root)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise


def _is_directory(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
