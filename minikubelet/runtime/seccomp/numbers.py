"""Numbers of system calls, by name and binary interface.

`syscalls.csv` was made from the kernel's own headers (Linux 6.1, <asm/unistd.h> of each machine); the calls
that came later, 451 and above, have one number everywhere, and so was added x86_64's `uretprobe`. A test
holds it against libseccomp's table. x32 shares x86_64's audit architecture and marks its calls with a bit,
which the table leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

X32_BIT = 0x4000_0000
PRIVATE_CALLS = 0xF_0000  # of arm: set_tls and the like, far above all others


@dataclass(frozen=True, slots=True)
class Abi:
    """One way to make system calls: `audit` is what `struct seccomp_data` says, <linux/audit.h>."""

    name: str  # as in OCI profiles, without SCMP_ARCH_
    audit: int
    wide: bool  # arguments have 64 bits; of x32's only the lower half counts, as for libseccomp
    base: int = 0  # added to every number


X86_64 = Abi("X86_64", 0xC000_003E, wide=True)
X86 = Abi("X86", 0x4000_0003, wide=False)
X32 = Abi("X32", 0xC000_003E, wide=False, base=X32_BIT)
AARCH64 = Abi("AARCH64", 0xC000_00B7, wide=True)
ARM = Abi("ARM", 0x4000_0028, wide=False)

MACHINES: Mapping[str, tuple[Abi, ...]] = {"x86_64": (X86_64, X86, X32), "aarch64": (AARCH64, ARM)}
"""What os.uname() says of the machine → what programs may use there, its own interface first."""

# On i386 these also exist as operations of one older call, chosen by its first argument (<linux/net.h>,
# <linux/ipc.h>). A rule about one has to be a rule about the other.
SOCKETCALLS = {
    "socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7,
    "socketpair": 8, "send": 9, "recv": 10, "sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14,
    "getsockopt": 15, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}  # fmt: skip
IPCS = {
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13,
    "msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}  # fmt: skip


@cache
def table(abi: Abi) -> Mapping[str, int]:
    """Name → number, the interface's bit included."""
    header, *lines = (Path(__file__).parent / "syscalls.csv").read_text().splitlines()
    column = header.split(",").index(abi.name.lower())
    rows = (line.split(",") for line in lines)
    return {row[0]: int(row[column]) + abi.base for row in rows if row[column]}
