"""Capabilities by name (capabilities(7)), and what a container's process is left with.

Only the bounding set matters for what root gets at execve; permitted and effective are set as well so that
the process is never more than it will be. Inheritable and ambient stay empty (CVE-2022-24769), so a process
that is not root has no capability at all after execve.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterable
from pathlib import Path

from minikubelet.linux import syscalls

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
    "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their numbers."""

NUMBERS = {name: number for number, name in enumerate(NAMES)}

DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
"""What containerd gives a container that asks for nothing."""


@functools.cache
def held() -> tuple[str, ...]:
    """Those this process has in effect (proc_pid_status(5)): it can give no other one away."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("\nCapEff:")[2].split(maxsplit=1)[0], 16)
    return tuple(name for name, number in NUMBERS.items() if effective >> number & 1)


def mask(names: Iterable[str]) -> int:
    """The set as bits; names with or without "CAP_". KeyError for an unknown one."""
    return sum(1 << NUMBERS[name] for name in {name.removeprefix("CAP_") for name in names})


def drop_bounding(keep: int) -> None:
    """Drop from the bounding set what is not in `keep`, up to the last capability this kernel knows."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                return  # the kernel has no more


def limit(keep: int) -> None:
    """Permitted and effective become `keep`; inheritable and ambient become empty."""
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    syscalls.capset(effective=keep, permitted=keep, inheritable=0)
