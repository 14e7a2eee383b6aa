"""fsGroup: a volume that belongs to a group of the pod's (kubelet-behaviour 10.8).

    everything            group = fsGroup, links themselves and not what they point to
    files                 mode |= 0660, in a read-only volume 0440
    directories           the same, and setgid + 0110, so that what is made in them gets the group, too

A volume that outlives pods is full of what strangers left, and somebody may be changing it while we walk. So
the walk is made of descriptors: no link is followed, no mount below is entered, one descriptor is open at a
time however deep it goes, and on the way up `..` must be the directory we came from. Blocks: call it in a
worker thread.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from minikubelet.v1 import Pod

WRITABLE, READ_ONLY = 0o660, 0o440
DIRECTORY = stat.S_ISGID | 0o110
ON_ROOT_MISMATCH = "OnRootMismatch"

_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fs_group(pod: Pod) -> int | None:
    """The group its volumes are to have; None: they stay as they are."""
    security = pod.spec.security_context if pod.spec else None
    return security.fs_group if security else None


def apply(pod: Pod, volume: Path, *, read_only: bool = False, once: bool = False) -> None:
    """Give the volume to the pod's fsGroup, if it has one. Raises OSError.

    `once`: a volume of this pod alone, which nobody has to give to it again, whatever the policy says.
    """
    group = fs_group(pod)
    if group is None:
        return
    directory = os.open(volume, _ENTER)
    try:
        security = pod.spec.security_context if pod.spec else None
        policy = security.fs_group_change_policy if security else None
        lazy = once or policy == ON_ROOT_MISMATCH
        if not (lazy and _fits(directory, group, read_only=read_only)):
            give(directory, group, read_only=read_only)
    finally:
        os.close(directory)


def give(directory: int, group: int, *, read_only: bool) -> None:
    """Everything below the directory, and last the directory itself: a walk that was broken off is not taken
    for a finished one by OnRootMismatch. The descriptor stays open. Raises OSError.
    """
    bits = READ_ONLY if read_only else WRITABLE
    root = os.fstat(directory)
    here = os.open(".", _ENTER, dir_fd=directory)
    levels = [_Level(root, sorted(os.listdir(here)))]
    try:
        while levels:
            if levels[-1].names:
                below = _give_one(here, levels[-1].names.pop(), group, bits, root.st_dev)
                if below >= 0:
                    os.close(here)
                    here = below
                    levels.append(_Level(os.fstat(here), sorted(os.listdir(here))))
                continue
            levels.pop()
            if levels:
                above = os.open("..", _ENTER, dir_fd=here)
                os.close(here)
                here = above
                _check_same(here, levels[-1].directory)
    finally:
        os.close(here)
    _set(directory, root, group, bits)


@dataclass(slots=True)
class _Level:
    """A directory on the way down, and what of it is still to be looked at."""

    directory: os.stat_result
    names: list[str]


def _give_one(parent: int, name: str, group: int, bits: int, device: int) -> int:
    """One entry; a descriptor to go on with if it is a directory, else -1. What vanished is nobody's."""
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        return -1
    try:
        found = os.fstat(fd)
        if found.st_dev != device:
            return -1
        if stat.S_ISLNK(found.st_mode):
            os.chown(name, -1, group, dir_fd=parent, follow_symlinks=False)
            return -1
        below = os.open(".", _ENTER, dir_fd=fd) if stat.S_ISDIR(found.st_mode) else -1
        _set(fd, found, group, bits)
        return below
    finally:
        os.close(fd)


def _set(fd: int, found: os.stat_result, group: int, bits: int) -> None:
    """By the magic link of the descriptor, which is this very file whatever its name says by now."""
    if stat.S_ISDIR(found.st_mode):
        bits |= DIRECTORY
    this = f"/proc/self/fd/{fd}"
    os.chown(this, -1, group)
    os.chmod(this, stat.S_IMODE(found.st_mode) | bits)


def _fits(directory: int, group: int, *, read_only: bool) -> bool:
    """Has the root of the volume what it needs already?"""
    found = os.fstat(directory)
    wanted = DIRECTORY | (READ_ONLY if read_only else WRITABLE)
    return found.st_gid == group and found.st_mode & wanted == wanted


def _check_same(fd: int, expected: os.stat_result) -> None:
    found = os.fstat(fd)
    if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino):
        raise OSError("the volume is being rearranged while its group is set")
