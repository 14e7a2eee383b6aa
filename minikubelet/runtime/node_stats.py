"""What is left of the node: memory, process ids, disks. Read as cAdvisor and the kubelet read them.

Four small files and two statvfs calls, every ten seconds: an idle node must not notice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Left:
    """Bytes, inodes or process ids."""

    available: int
    capacity: int


def memory(meminfo: str) -> Left:
    """From the text of /proc/meminfo: capacity less the working set of the root cgroup.

    The root cgroup has no memory.current. Its usage is what it is charged with, anonymous memory and the page
    cache; the working set leaves out the file pages that nobody has used lately.
    """
    kib = {}
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    usage = kib["AnonPages"] + kib["Cached"] + kib["Buffers"] + kib["SwapCached"]
    working_set = max(0, usage - kib["Inactive(file)"])
    return Left(max(0, kib["MemTotal"] - working_set) * 1024, kib["MemTotal"] * 1024)


def read_memory() -> Left:
    return memory(Path("/proc/meminfo").read_text())


def read_working_set() -> int:
    """Bytes of the node's memory that are in use and cannot be given back at once."""
    left = read_memory()
    return left.capacity - left.available


def read_own_memory(pid: int) -> int:
    """Bytes of a process that are neither files nor shared; 0 when it has just ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def busy(stat: str) -> int:
    """Nanoseconds all CPUs together have worked, from the text of /proc/stat.

    Its first line counts ticks: user, nice, system, idle, iowait, irq, softirq, steal, and then those of
    guests, which are in user already.
    """
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, stat.partition("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) * 10**9 // os.sysconf("SC_CLK_TCK")


def read_busy() -> int:
    return busy(Path("/proc/stat").read_text())


def read_process_ids() -> Left:
    """Tasks count, threads included; the fourth field of /proc/loadavg is running/all."""
    kernel = Path("/proc/sys/kernel")
    most = min(int((kernel / name).read_text()) for name in ("pid_max", "threads-max"))
    tasks = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return Left(max(0, most - tasks), most)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`space` is what an ordinary user could still take."""

    space: Left
    inodes: Left


def read_file_system(path: Path) -> FileSystem:
    """The one that `path` lies on. A file system without a fixed number of inodes (btrfs) says 0 of 0."""
    found = os.statvfs(path)
    return FileSystem(
        Left(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize),
        Left(found.f_favail, found.f_files),
    )
