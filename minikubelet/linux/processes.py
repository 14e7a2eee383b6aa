"""What a process sets for itself: its name, who may look into it, how soon it dies for want of memory."""

from __future__ import annotations

import errno

from minikubelet.linux import paths, syscalls


def set_name(name: str) -> None:
    """What `ps` shows, at most 15 bytes (proc_pid_comm(5))."""
    paths.write_kernel_file("/proc/self/comm", name, syscalls.PROC_SUPER_MAGIC)


def hide() -> None:
    """Not dumpable: /proc/PID/mem, exe, fd and root of this process and its children are closed to others.

    It holds until execve (prctl(2), PR_SET_DUMPABLE).
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def set_oom_score(value: int) -> None:
    """oom_score_adj. Lowering it needs CAP_SYS_RESOURCE; without, the inherited value stays."""
    try:
        paths.write_kernel_file("/proc/self/oom_score_adj", str(value), syscalls.PROC_SUPER_MAGIC)
    except PermissionError as error:
        if error.errno != errno.EACCES:
            raise
