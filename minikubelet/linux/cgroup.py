"""Control groups, version 2: find, create, limit, watch, kill, remove.

A cgroup is its directory, given as a path, and its files are used under their kernel names (cgroups(7),
Documentation/admin-guide/cgroup-v2.rst). Verbs that end something accept that it is gone already. Nothing
here waits: who wants to know when a cgroup is empty watches `cgroup.events`.

Used by the shim (one container) and by the agent (kubepods, limits, statistics).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

_GONE = (errno.ENOENT, errno.ENODEV)  # the directory; or the directory behind a file that is still open


def find_mount(mountinfo: str = "/proc/self/mountinfo") -> str:
    """Where cgroup2 is mounted: /sys/fs/cgroup, or …/unified on a machine that uses both versions."""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            mount, _, filesystem = line.partition(" - ")
            if filesystem.startswith("cgroup2 "):
                return mount.split(" ")[4].replace("\\040", " ")
    raise FileNotFoundError(errno.ENOENT, "no cgroup2 file system is mounted", mountinfo)


def read(path: str, file: str) -> str:
    """The contents of one file, without the newline at its end."""
    with open(os.path.join(path, file), encoding="ascii") as text:
        return text.read().rstrip("\n")


def write(path: str, file: str, value: str) -> None:
    """Set one file; in one write(2), as the kernel wants it."""
    name = os.path.join(path, file)
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {value!r}: {error.strerror}", name) from None
    finally:
        os.close(fd)


def read_keyed(path: str, file: str) -> dict[str, int]:
    """A "flat keyed" file such as memory.events or cpu.stat."""
    return {key: int(value) for key, value in (line.split() for line in read(path, file).splitlines())}


def controllers(path: str) -> list[str]:
    """The controllers this cgroup may use: cpu, memory, pids…"""
    return read(path, "cgroup.controllers").split()


def enable(path: str, names: Iterable[str]) -> None:
    """Give the children of this cgroup these controllers."""
    missing = set(names) - set(read(path, "cgroup.subtree_control").split())
    if missing:
        write(path, "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))


def create(path: str) -> None:
    """Make the directory, and those above it; they may exist."""
    os.makedirs(path, mode=0o755, exist_ok=True)


def processes(path: str) -> list[int]:
    """The processes in this cgroup itself, in the reader's pid namespace; empty when the cgroup is gone."""
    try:
        return [int(pid) for pid in read(path, "cgroup.procs").split()]
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def populated(path: str) -> bool:
    """Does any process live in this cgroup or below it?"""
    try:
        return read_keyed(path, "cgroup.events")["populated"] == 1
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise


def thaw(path: str) -> None:
    """Let a frozen cgroup run again: a frozen process would not see its signal."""
    try:
        if read(path, "cgroup.freeze") != "0":
            write(path, "cgroup.freeze", "0")
    except OSError as error:
        if error.errno not in _GONE:
            raise


def kill(path: str) -> None:
    """SIGKILL to every process in this cgroup and below it.

    Since Linux 5.14 the kernel does it in one step, and no fork escapes. Before, processes are killed one
    by one; the caller repeats that until `populated` says no.
    """
    thaw(path)
    try:
        write(path, "cgroup.kill", "1")
    except OSError as error:
        if error.errno not in _GONE:
            raise
        kill_one_by_one(path)


def kill_one_by_one(path: str) -> None:
    """The way without cgroup.kill. A pidfd opened for a listed pid is checked against a second listing."""
    for directory, _, _ in os.walk(path):
        for pid in processes(directory):
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                try:
                    if pid in processes(directory):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)


def can_kill(path: str) -> bool:
    """Has this kernel cgroup.kill, or is nothing left to kill?"""
    return os.path.exists(os.path.join(path, "cgroup.kill")) or not populated(path)


def read_open(fd: int) -> bytes:
    """A file that is kept open to be watched, from its beginning; empty when the cgroup is gone."""
    try:
        return os.pread(fd, 4096, 0)
    except OSError as error:
        if error.errno in _GONE:
            return b""
        raise


def remove(path: str) -> None:
    """Remove the directory and those below it. EBUSY is raised while a process lives there."""
    for directory, _, _ in os.walk(path, topdown=False):
        with suppress(FileNotFoundError):
            os.rmdir(directory)


def oom_killed(path: str) -> bool:
    """Did the kernel kill a process here for lack of memory? False where nobody counts memory."""
    try:
        events = read_keyed(path, "memory.events")
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return events.get("oom_kill", 0) > 0 or events.get("oom_group_kill", 0) > 0
