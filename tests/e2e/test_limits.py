"""Limits hold: memory kills, CPU is what was asked for, numbers in the files are the kubelet's."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from .conftest import Agent, simple_pod, until

pytestmark = pytest.mark.limits

BURN = "while :; do :; done & while :; do :; done"  # two at once, and no interpreter that starts slowly


def cgroup_of(agent: Agent, name: str, container: str = "main") -> Path:
    pod = agent.pod(name)
    qos = {"Guaranteed": "", "Burstable": "burstable/", "BestEffort": "besteffort/"}[
        pod["status"]["qosClass"]
    ]
    identity = agent.container(name, container)["containerID"].removeprefix("minikubelet://")
    return Path(f"/sys/fs/cgroup/kubepods/{qos}pod{pod['metadata']['uid']}/{identity}")


def usage_usec(cgroup: Path) -> int:
    return int((cgroup / "cpu.stat").read_text().split("usage_usec")[1].split()[0])


def test_a_container_beyond_its_memory_limit_is_oomkilled(agent: Agent) -> None:
    limits = {"resources": {"limits": {"memory": "32Mi"}}}
    agent.apply(simple_pod("eater", "tail", "/dev/zero", container=limits, restartPolicy="Never"))
    until(lambda: agent.phase("eater") == "Failed", what="eater Failed")
    ended = agent.container("eater")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    agent.run("delete", "pod", "eater")


def share_of_cpu(cgroup: Path) -> float:
    """Of one core, over forty periods of the limit: the container gets its part at the start of each."""
    begin, used = time.monotonic(), usage_usec(cgroup)
    time.sleep(4)  # what is measured is time itself
    return (usage_usec(cgroup) - used) / ((time.monotonic() - begin) * 1e6)


@pytest.mark.parametrize("milli", [100, 200, 500])
def test_a_burner_gets_its_millicores(agent: Agent, milli: int) -> None:
    name = f"burner-{milli}"
    limits = {"resources": {"limits": {"cpu": f"{milli}m"}}}
    agent.apply(simple_pod(name, "sh", "-c", BURN, container=limits))
    agent.wait_running(name)
    cgroup = cgroup_of(agent, name)
    until(lambda: usage_usec(cgroup) > 300_000, what="it burns")
    shares: list[float] = []

    def as_asked() -> bool:
        """Two measurements in a row: one that the machine's other work disturbed says nothing."""
        shares.append(share_of_cpu(cgroup))
        return shares[-2:] == [pytest.approx(milli / 1000, rel=0.05)] * 2

    until(as_asked, limit=60, what=lambda: f"{milli} millicores: {shares}")
    agent.run("delete", "pod", name)


def test_cgroup_files_are_written_as_the_kubelet_and_runc_write_them(agent: Agent) -> None:
    resources = {"requests": {"cpu": "250m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    agent.apply(simple_pod("sized", "sleep", "infinity", container={"resources": resources}))
    agent.wait_running("sized")
    cgroup = cgroup_of(agent, "sized")
    expected = {
        "cpu.weight": "35",
        "cpu.max": "50000 100000",
        "memory.max": str(64 << 20),
        "memory.oom.group": "1",
        "pids.max": "max",
    }
    assert {name: (cgroup / name).read_text().strip() for name in expected} == expected
    pod = {"cpu.weight": "10", "cpu.max": "50000 100000", "memory.max": str(64 << 20)}
    assert {name: (cgroup.parent / name).read_text().strip() for name in pod} == pod
    pid = int((cgroup / "cgroup.procs").read_text().split()[0])
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 1000 - 1000 * (16 << 20) // total
    agent.run("delete", "pod", "sized")


def test_a_best_effort_pod_is_killed_first(agent: Agent) -> None:
    agent.apply(simple_pod("cheap", "sleep", "infinity"))
    agent.wait_running("cheap")
    cgroup = cgroup_of(agent, "cheap")
    pid = int((cgroup / "cgroup.procs").read_text().split()[0])
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
    assert (cgroup / "cpu.weight").read_text().strip() == "1"
    assert (cgroup / "memory.max").read_text().strip() == "max"
    agent.run("delete", "pod", "cheap")


def test_an_exec_beyond_the_memory_limit_takes_the_whole_container_with_it(agent: Agent) -> None:
    """F14: what a probe or an exec eats is the container's; memory.oom.group ends all of it together."""
    limits = {"resources": {"limits": {"memory": "32Mi"}}}
    agent.apply(simple_pod("host", "sleep", "infinity", container=limits, restartPolicy="Never"))
    agent.wait_running("host")
    agent.call("exec", "host", "--", "tail", "/dev/zero")
    until(lambda: agent.phase("host") == "Failed", what="host Failed")
    ended = agent.container("host")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    agent.run("delete", "pod", "host")


def oom_score_adj(process: Path) -> int:
    return int((process / "oom_score_adj").read_text())


def scores_of(*names: str) -> list[int]:
    """Of all processes with these names; any of the others may end while it is looked at."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if (process / "comm").read_text().strip() in names:
                found.append(oom_score_adj(process))
    return found


def test_the_agent_and_its_shims_are_killed_last_14_3(agent: Agent) -> None:
    """F14: the defences are `processes.set_oom_score` in `daemon.run` and in `shim.shim`."""
    agent.apply(simple_pod("guarded", "sleep", "infinity"))
    agent.wait_running("guarded")
    assert agent.process is not None
    assert oom_score_adj(Path(f"/proc/{agent.process.pid}")) == -999
    shims = scores_of("mk-shim", "mk-init")
    assert -998 in shims
    assert max(shims) == -998  # the next shim, which has no pod yet, is as the zygote
    agent.run("delete", "pod", "guarded")
