"""Entering and holding namespaces.

A namespace lives as long as a process is in it or its file is open. A process may enter another one for a
moment and come back (`entered`); whoever is born in between stays there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from minikubelet.linux import syscalls

_FILES = {
    syscalls.CLONE_NEWNS: "mnt",
    syscalls.CLONE_NEWPID: "pid",
    syscalls.CLONE_NEWNET: "net",
    syscalls.CLONE_NEWIPC: "ipc",
    syscalls.CLONE_NEWUTS: "uts",
    syscalls.CLONE_NEWCGROUP: "cgroup",
}


def open_own(kind: int) -> int:
    """The file of one of this process's namespaces."""
    return os.open(f"/proc/self/ns/{_FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def entered(fd: int, kind: int) -> Iterator[None]:
    """Be in another namespace for the duration of the block.

    For CLONE_NEWPID it is the *children* born in the block that are there; the caller stays where it is.
    """
    own = open_own(kind)
    try:
        syscalls.setns(fd, kind)
        try:
            yield
        finally:
            syscalls.setns(own, kind)
    finally:
        os.close(own)
