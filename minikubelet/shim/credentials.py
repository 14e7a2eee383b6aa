"""Who the process of a container becomes, and what is taken from it: ids, capabilities, system calls.

Two steps, because a filter has to be the last thing before execve: every system call after it must be one the
filter allows. A process may load a filter if it has CAP_SYS_ADMIN or gives up all new privileges
(seccomp(2)); without no_new_privs the capability is therefore kept until the filter is there, also across
setresuid (PR_SET_KEEPCAPS), and dropped then. Nobody can use it meanwhile: the process is not dumpable and
runs only what stands here.
"""

from __future__ import annotations

import os
from binascii import a2b_base64

from minikubelet.linux import capabilities, syscalls
from minikubelet.shim.protocol import ProcessSpec

_FOR_A_FILTER = capabilities.mask(["SYS_ADMIN"])


def assume(process: ProcessSpec) -> None:
    """Bounding set, groups, gid, uid, capabilities, no_new_privs."""
    keep = _kept(process)
    uid, gid = process.uid or 0, process.gid or 0
    capabilities.drop_bounding(keep)
    os.setgroups(process.groups or [])
    os.setresgid(gid, gid, gid)
    if _needs_privilege(process):
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)  # until execve
    os.setresuid(uid, uid, uid)
    capabilities.limit(_left(process) | (_FOR_A_FILTER if _needs_privilege(process) else 0))
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def confine(process: ProcessSpec) -> None:
    """Load the filter, and give up what was kept for it."""
    if process.seccomp is None:
        return
    syscalls.seccomp(a2b_base64(process.seccomp.program), process.seccomp.flags)
    left = _left(process)
    if _needs_privilege(process) and not left & _FOR_A_FILTER:
        syscalls.capset(effective=left, permitted=left, inheritable=0)


def _kept(process: ProcessSpec) -> int:
    return capabilities.mask(capabilities.DEFAULT if process.capabilities is None else process.capabilities)


def _left(process: ProcessSpec) -> int:
    """What the process has at the end: somebody else than root has nothing."""
    return 0 if process.uid else _kept(process)


def _needs_privilege(process: ProcessSpec) -> bool:
    return process.seccomp is not None and not process.no_new_privileges
