"""Which line of the kernel's log is of a node without memory."""

from __future__ import annotations

import pytest

from minikubelet.runtime.kernel_log import SystemOOM, parse_record

GLOBAL = (
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
    "task_memcg=/kubepods/besteffort/pod1/c,task=tail,pid=71,uid=0"
)
OF_A_CGROUP = GLOBAL.replace("NONE", "MEMCG").replace("global_oom", "oom_memcg=/kubepods/besteffort/pod1/c")


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (f"6,412,5140900,-;{GLOBAL}\n SUBSYSTEM=x\n", SystemOOM("tail", 71)),
        (f"6,412,5140900,-;{OF_A_CGROUP}\n", None),
        (f"14,412,5140900,-;{GLOBAL}\n", None),  # facility 1: some process wrote it
        ("3,413,5140901,-;Out of memory: Killed process 71 (tail) total-vm:1kB\n", None),
        ("6,1,0,-;oom-kill:nonsense\n", None),
        ("nonsense", None),
    ],
)
def test_only_the_kernels_own_word_about_the_whole_node_counts(record: str, found: SystemOOM | None) -> None:
    assert parse_record(record) == found
