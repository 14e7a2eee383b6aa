"""The kernel's own log, /dev/kmsg: who was killed when the whole node had no memory left.

A container that hits its own limit is told of by its cgroup; for the node itself the kernel has no file and
no counter that names the victim, only this line:

    oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/…,
    task=tail,pid=71,uid=0

One that says `oom_memcg=…` in place of `global_oom` is of a cgroup's limit and no business of the node.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

KMSG = Path("/dev/kmsg")
_RECORD = 8192  # bytes; the kernel's longest record is shorter
_KERNEL = 0  # the facility that no process can write
_OOM = re.compile(r"^oom-kill:constraint=.*,global_oom,task_memcg=.*,task=(.*),pid=(\d+),uid=\d+$")


@dataclass(frozen=True, slots=True)
class SystemOOM:
    """The process that was killed."""

    process: str
    pid: int


def parse_record(record: str) -> SystemOOM | None:
    """Of `<priority>,<sequence>,<microseconds>,<flags>;<message>` (Documentation/ABI/testing/dev-kmsg)."""
    prefix, _, rest = record.partition(";")
    priority = prefix.partition(",")[0]
    if not priority.isdigit() or int(priority) >> 3 != _KERNEL:
        return None
    found = _OOM.match(rest.partition("\n")[0])
    return SystemOOM(found[1], int(found[2])) if found else None


async def system_ooms(path: Path = KMSG) -> AsyncIterator[SystemOOM]:
    """Those from now on. Raises OSError when this log may not be read."""
    log = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        os.lseek(log, 0, os.SEEK_END)
        loop.add_reader(log, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            for record in _records(log):
                oom = parse_record(record)
                if oom is not None:
                    yield oom
    finally:
        loop.remove_reader(log)
        os.close(log)


def _records(log: int) -> list[str]:
    """All that are there; each read(2) gives one."""
    found: list[str] = []
    while True:
        try:
            found.append(os.read(log, _RECORD).decode(errors="replace"))
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno != errno.EPIPE:  # records were overwritten before we came to them: go on
                raise
