"""Resources of the pod as a whole, and what a node's configuration makes of them (kubelet-behaviour 6.2 to
6.10), in real cgroup files.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Agent, simple_pod, until
from .test_limits import cgroup_of

pytestmark = pytest.mark.limits

MI = 1 << 20
CONFIGURATION = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
featureGates: {MemoryQoS: true}
memoryReservationPolicy: TieredReservation
cpuCFSQuotaPeriod: 50ms
singleProcessOOMKill: true
"""


def read(cgroup: Path, *names: str) -> dict[str, str]:
    return {name: (cgroup / name).read_text().strip() for name in names}


def test_a_pod_shares_its_limits_among_its_containers(agent: Agent) -> None:
    """6.2, 6.3, 6.6, 6.8, 9.3: one container with limits of its own, one without."""
    script = "echo limit $LIMIT; exec sleep infinity"
    limit = {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
    manifest = simple_pod("shared", "sh", "-c", script, container={"env": [limit]})
    own = {"requests": {"memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}}
    second = {"name": "own", "image": "localhost/host", "command": ["sleep", "infinity"], "resources": own}
    manifest["spec"]["containers"].append(second)
    whole = {"requests": {"memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}
    manifest["spec"]["resources"] = whole
    agent.apply(manifest)
    pod = agent.wait_running("shared")

    assert pod["status"]["qosClass"] == "Burstable"
    asked = {"cpu": "100m", "memory": "64Mi"}  # cpu: the containers', of which one asks through its limit
    assert pod["spec"]["resources"]["requests"] == asked
    assert pod["status"]["allocatedResources"] == asked
    assert pod["status"]["resources"] == {"requests": asked, "limits": whole["limits"]}
    main = cgroup_of(agent, "shared")
    names = ("cpu.weight", "cpu.max", "memory.max")
    assert read(main.parent, *names) == {
        "cpu.weight": "4", "cpu.max": "50000 100000", "memory.max": str(128 * MI),
    }  # fmt: skip
    assert read(main, *names) == {
        "cpu.weight": "1", "cpu.max": "50000 100000", "memory.max": str(128 * MI),
    }  # fmt: skip
    assert read(cgroup_of(agent, "shared", "own"), "cpu.max", "memory.max") == {
        "cpu.max": "10000 100000", "memory.max": str(32 * MI),
    }  # fmt: skip
    until(lambda: "limit" in agent.run("logs", "shared", "-c", "main"), what="the downward API")
    assert agent.run("logs", "shared", "-c", "main") == f"limit {128 * MI}\n"
    # 48 MiB are nobody's: half of them for each.
    pid = int((main / "cgroup.procs").read_text().split()[0])
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 1000 - 1000 * (24 * MI) // total
    agent.run("delete", "pod", "shared")


def test_who_exceeds_the_pods_limit_is_killed(agent: Agent) -> None:
    manifest = simple_pod("greedy", "tail", "/dev/zero", restartPolicy="Never")
    manifest["spec"]["resources"] = {"limits": {"memory": "32Mi"}}
    agent.apply(manifest)
    until(lambda: agent.phase("greedy") == "Failed", what="greedy Failed")
    ended = agent.container("greedy")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    agent.run("delete", "pod", "greedy")


def test_what_the_node_cannot_give(agent: Agent) -> None:
    """6.10: this kernel has no hugetlb controller; nobody has announced a GPU."""
    pages = {"limits": {"cpu": "100m", "hugepages-2Mi": "2Mi"}}
    manifest = json.dumps(simple_pod("pages", "true", container={"resources": pages}))
    if "hugetlb" not in Path("/sys/fs/cgroup/cgroup.controllers").read_text():
        done = agent.call("apply", "-f", "-", stdin=manifest)
        assert done.returncode != 0
        assert "spec.containers[0].resources.limits: Forbidden: this node cannot enforce it" in done.stderr
    gpu = {"resources": {"limits": {"example.com/gpu": "1"}}}
    agent.apply(simple_pod("gpu", "sleep", "infinity", container=gpu))
    until(lambda: agent.pod("gpu")["status"].get("conditions"), what="it is told why it waits")
    (condition,) = agent.pod("gpu")["status"]["conditions"]
    assert condition["message"].startswith("0/1 nodes are available: 1 Insufficient example.com/gpu.")
    agent.run("delete", "pod", "gpu")


def test_memory_qos_and_other_settings_of_the_node(fresh_agent: Agent) -> None:
    agent = fresh_agent
    configuration = agent.root / "kubelet.yaml"
    configuration.write_text(CONFIGURATION)
    agent.start("--config", str(configuration))
    sized = {"requests": {"memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    agent.apply(simple_pod("sized", "sleep", "infinity", container={"resources": sized}))
    agent.wait_running("sized")
    cgroup = cgroup_of(agent, "sized")
    high = int(32 * MI + 0.9 * 32 * MI) // 4096 * 4096
    names = ("cpu.max", "memory.max", "memory.high", "memory.low", "memory.min", "memory.oom.group")
    assert read(cgroup, *names) == {
        "cpu.max": "10000 50000",
        "memory.max": str(64 * MI),
        "memory.high": str(high),
        "memory.low": str(32 * MI),
        "memory.min": "0",
        "memory.oom.group": "0",
    }
    for above in (cgroup.parent, cgroup.parent.parent, cgroup.parent.parent.parent):
        assert read(above, "memory.low") == {"memory.low": str(32 * MI)}, above
