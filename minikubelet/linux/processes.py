"""What a process sets for itself: its name, who may look into it, when and how soon it dies."""

from __future__ import annotations

import errno
import os
import select
import signal

from minikubelet.linux import paths, syscalls


def set_name(name: str) -> None:
    """What `ps` shows, at most 15 bytes (proc_pid_comm(5))."""
    paths.write_kernel_file("/proc/self/comm", name, syscalls.PROC_SUPER_MAGIC)


def hide() -> None:
    """Not dumpable: /proc/PID/mem, exe, fd and root of this process and its children are closed to others.

    It holds until execve (prctl(2), PR_SET_DUMPABLE).
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """SIGKILL when the parent ends, of which this is a pidfd. (One that had ended before the kernel was told
    sends nothing any more, so it is looked at; its pid would not tell: in a new pid namespace it is 0.)

    It holds until the credentials change (prctl(2), PR_SET_PDEATHSIG).
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    ended, _, _ = select.select([parent], [], [], 0)
    if ended:
        os._exit(128 + signal.SIGKILL)  # process 1 of a namespace takes no SIGKILL from itself


def set_oom_score(value: int) -> None:
    """oom_score_adj. Lowering it needs CAP_SYS_RESOURCE; without, the inherited value stays."""
    try:
        paths.write_kernel_file("/proc/self/oom_score_adj", str(value), syscalls.PROC_SUPER_MAGIC)
    except PermissionError as error:
        if error.errno != errno.EACCES:
            raise
