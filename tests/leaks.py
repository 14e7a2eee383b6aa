"""What a test leaves behind on the node: counted before and after, compared with patience.

    with no_leaks():
        …

Mounts, cgroups, links, network namespaces, nft tables, processes that descend from the test, and the test
process's own descriptors. Much of it is cleaned up by the kernel in its own time (a network namespace takes
a second), so the comparison waits until nothing is left or the limit is over; then it fails and names what
is still there.

Descendants are exact: the test process is a subreaper, so a lost shim becomes its child. Of the rest, what
has a name of ours counts; if another minikubelet is at work on this machine at the same time (never in CI
or in the guest), its traces cannot be told from ours, and only what carries this test run's own names is
looked at.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIMIT = 10.0
OURS = ("minikubelet", "kubepods", "mk", "pytest-of-")
RUN = (f"mk-test-{os.getpid()}", "pytest-of-")  # names only this test run uses

_PR_SET_CHILD_SUBREAPER = 36

Snapshot = dict[str, set[str]]


@contextmanager
def no_leaks(limit: float = LIMIT) -> Iterator[None]:
    """Fails when the block leaves something behind."""
    adopt_orphans()
    before = snapshot()
    yield
    left = wait_for_nothing_more_than(before, limit * float(os.environ.get("MK_TEST_FACTOR", "1")))
    assert not left, (
        f"left behind: {json.dumps({kind: sorted(items) for kind, items in left.items()}, indent=2)}"
    )


def wait_for_nothing_more_than(before: Snapshot, limit: float) -> Snapshot:
    """What is there beyond `before` when patience ends; empty as soon as there is nothing."""
    deadline = time.monotonic() + limit
    while True:
        bury_orphans()
        now = snapshot()
        left = {kind: items - before[kind] for kind, items in now.items() if items - before[kind]}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)  # the condition has no event: half of it is the kernel's deferred work


def snapshot() -> Snapshot:
    return {
        "mounts": mounts(),
        "cgroups": cgroups(),
        "links": {name for name in os.listdir("/sys/class/net") if ours(name)},
        "network namespaces": network_namespaces(),
        "nft tables": nft_tables(),
        "processes": {f"{pid} {name_of(pid)}" for pid in descendants(os.getpid())},
        "descriptors": descriptors(),
    }


def ours(text: str) -> bool:
    names = RUN if others_at_work() else OURS
    return any(part.startswith(names) for part in text.replace(" ", "/").split("/"))


_others: bool = False


def others_at_work() -> bool:
    """Is there a shim or zygote that does not descend from us? Once seen, so for the rest of the run."""
    global _others
    if not _others and not (os.environ.get("MK_GUEST") or os.environ.get("CI")):
        family = descendants(os.getpid())
        pids = (int(pid) for pid in os.listdir("/proc") if pid.isdigit())
        _others = any(name_of(pid) in ("mk-shim", "mk-zygote") and pid not in family for pid in pids)
    return _others


def mounts() -> set[str]:
    """Mount points with their file systems; ids differ after every remount and are left out."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {" ".join(line.split()[3:5]) + " " + line.partition(" - ")[2] for line in lines if ours(line)}


def cgroups() -> set[str]:
    found = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            root = Path(line.split()[4])
            for top in root.iterdir():
                if top.is_dir() and ours(top.name):
                    found |= {directory for directory, _, _ in os.walk(top)}
    return found


def network_namespaces() -> set[str]:
    """Named ones, and those some process of ours is in."""
    directory = Path("/run/netns")
    named = (
        {str(path) for path in directory.iterdir()} if directory.is_dir() and not others_at_work() else set()
    )
    lived_in = set()
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            lived_in.add(os.readlink(f"/proc/{pid}/ns/net"))
    return named | lived_in


def nft_tables() -> set[str]:
    if not shutil.which("nft"):
        return set()
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    return {line for line in listed.splitlines() if ours(line.split()[-1])}


def descriptors() -> set[str]:
    """Of this process: the number and what it is, but for the one that lists them."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return {name for name in found if not name.endswith(f"/proc/{os.getpid()}/fd")}


def descendants(pid: int) -> set[int]:
    """It may be gone at any moment, before its directory is listed too."""
    children: set[int] = set()
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                listed = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                children |= {int(child) for child in listed.split()}
    return children.union(*(descendants(child) for child in children))


def name_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "gone"


def adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans() -> None:
    """Reap adopted processes that have ended, as init would.

    (A test's own children are reaped by the test.)
    """
    for pid in descendants(os.getpid()):
        with suppress(OSError, ValueError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if stat[0] == "Z" and int(stat[1]) == os.getpid():
                os.waitpid(pid, os.WNOHANG)
