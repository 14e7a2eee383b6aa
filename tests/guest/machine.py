"""Will this machine's own kernel do, or is the throw-away guest needed?

    python3 -P -m tests.guest.machine

prints what is missing and exits 1; prints nothing and exits 0 when the kernel will do.
Limits are what decides: a container's cpu, memory and process count need root and the three controllers in
cgroup v2. On a hybrid machine they are held by version 1, and the cgroup2 mount, wherever it is, lacks them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NEEDED_CONTROLLERS = ("cpu", "memory", "pids")


def missing(mountinfo: Path = Path("/proc/self/mountinfo"), uid: int | None = None) -> list[str]:
    """What this machine lacks, in words; empty when its kernel will do."""
    reasons = []
    if (os.geteuid() if uid is None else uid) != 0:
        reasons.append("you are not root")
    mount = cgroup2_mount(mountinfo.read_text())
    if mount is None:
        return [*reasons, "no cgroup2 file system is mounted"]
    offered = (mount / "cgroup.controllers").read_text().split()
    lacking = [name for name in NEEDED_CONTROLLERS if name not in offered]
    if lacking:
        reasons.append(f"cgroup v2 at {mount} lacks {', '.join(lacking)}")
    return reasons


def cgroup2_mount(mountinfo: str) -> Path | None:
    """The first cgroup2 mount in proc_pid_mountinfo(5); after the lone "-" come type, source, options."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            return Path(before.split()[4])
    return None


if __name__ == "__main__":
    reasons = missing()
    print("; ".join(reasons), end="\n" if reasons else "")
    sys.exit(1 if reasons else 0)
