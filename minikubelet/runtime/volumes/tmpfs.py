"""A tmpfs for a volume: of a fixed size, and never swapped where the kernel can promise that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from minikubelet.linux import syscalls, trees

LEAST_SIZE = 4096  # a size of 0 would be no limit


def mount(path: Path, size: int, mode: int) -> None:
    """Mount one of `size` bytes on an existing directory, unless something is mounted there."""
    if os.path.ismount(path):
        return
    target = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        tree = _new(max(size, LEAST_SIZE), mode)
    except OSError:
        os.close(target)
        raise
    trees.attach(tree, target)


def _new(size: int, mode: int) -> int:
    """A detached mount; `noswap` needs Linux 6.4."""
    context = syscalls.fsopen("tmpfs")
    try:
        for key, value in (("source", "tmpfs"), ("size", str(size)), ("mode", f"{mode:o}")):
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        try:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "noswap")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, 0)
    finally:
        os.close(context)
