"""Evictions on a real node: memory, disk, process ids, limits of a pod's own (kubelet-behaviour 13.6, 13.7).

Thresholds are set so high that an ordinary pod crosses them; everything else is real.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minikubelet.runtime.node_stats import read_memory, read_process_ids

from .conftest import Agent, make_agent, remove_network, simple_pod, until
from .history import PODS, ask

pytestmark = pytest.mark.limits

FILL = "dd if=/dev/zero of=%s bs=1M count=%d 2>/dev/null; sleep infinity"


def configure(agent: Agent, **fields: Any) -> list[str]:
    path = agent.root / "kubelet.yaml"
    kind = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    path.write_text(json.dumps({**kind, **fields}))
    return ["--config", str(path)]


def node(agent: Agent) -> dict[str, Any]:
    """Asked without a command around it, as `status_of`: pressure lasts ten seconds, a few commands of a slow
    guest last as long.
    """
    return json.loads(ask(agent, "GET", "/api/v1/nodes/node1"))


def status_of(agent: Agent, name: str) -> dict[str, Any]:
    return json.loads(ask(agent, "GET", f"{PODS}/{name}"))["status"]


def condition(agent: Agent, kind: str) -> str:
    return next(c["status"] for c in node(agent)["status"]["conditions"] if c["type"] == kind)


def taints(agent: Agent) -> list[str]:
    return [taint["key"] for taint in node(agent)["spec"].get("taints", ())]


def node_events(agent: Agent) -> list[str]:
    """Their reasons."""
    return [event["reason"] for event in agent.events("node1")]


def wait_evicted(agent: Agent, name: str) -> dict[str, Any]:
    until(
        lambda: status_of(agent, name).get("phase") == "Failed",
        limit=60,
        what=lambda: f"{name} is evicted\n{agent.log()}",
    )
    status = status_of(agent, name)
    assert status["reason"] == "Evicted"
    return status


def forget_files() -> None:
    """What earlier tests read and wrote counts as used, until memory runs short and the kernel gives it back:
    then there is more available than before the pod ate, and no pressure.
    """
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1\n")


@pytest.fixture(scope="module")
def well_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One whose node never is under pressure: what is evicted here is beyond a limit of its own."""
    agent = make_agent(tmp_path_factory.mktemp("mk"))
    agent.start(*configure(agent, evictionHard={"memory.available": "1Mi"}))
    yield agent
    agent.delete_everything()
    assert agent.stop() == 0
    remove_network(agent)


def test_limits_of_storage_are_kept_by_eviction_6_11_10_2(well_agent: Agent) -> None:
    """Five pods at once, as each round is 10 s: a volume, a writable layer, logs, two containers, and one
    that stays below its limits, with links that lead out of its volume, hard links and a sparse file.
    """
    agent = well_agent
    storage = {"resources": {"limits": {"ephemeral-storage": "8Mi"}}}
    volume = [{"name": "v", "emptyDir": {"sizeLimit": "8Mi"}}]
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    agent.apply(simple_pod("volume", "sh", "-c", FILL % ("/v/big", 12), container=mounted, volumes=volume))
    agent.apply(simple_pod("layer", "sh", "-c", FILL % ("/tmp/big", 12), container=storage))
    shout = "head -c 9000000 /dev/zero | tr '\\0' '\\n'; sleep infinity"
    agent.apply(simple_pod("logs", "sh", "-c", shout, container=storage))
    two = simple_pod("two", "sh", "-c", FILL % ("/tmp/big", 12), container=storage)
    two["spec"]["containers"].append(
        {"name": "other", "image": "localhost/host", "command": ["sleep", "infinity"]} | storage
    )
    agent.apply(two)
    links = "ln -s /usr /v/usr; head -c 4M /dev/zero > /v/one; ln /v/one /v/two; ln /v/one /v/three"
    hole = "truncate -s 1G /v/hole; sleep infinity"
    modest = storage | mounted
    agent.apply(simple_pod("modest", "sh", "-c", f"{links}; {hole}", container=modest, volumes=volume))

    assert (
        wait_evicted(agent, "volume")["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "8Mi". '
    )
    whole = "Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. "
    assert wait_evicted(agent, "layer")["message"] == whole
    assert wait_evicted(agent, "logs")["message"] == whole
    status = wait_evicted(agent, "two")
    assert status["message"] == 'Container main exceeded its local ephemeral storage limit "8Mi". '
    assert "DisruptionTarget" not in [c["type"] for c in status["conditions"]]
    assert {c["state"]["terminated"]["exitCode"] for c in status["containerStatuses"]} <= {137, 143}
    (event,) = [e for e in agent.events("two") if e["reason"] == "Evicted"]
    assert (event["type"], event["message"]) == ("Warning", status["message"])
    assert agent.phase("modest") == "Running"
    assert condition(agent, "DiskPressure") == "False"


def test_memory_pressure_from_beginning_to_end_13_6_13_7(fresh_agent: Agent) -> None:
    """1. a BestEffort pod that eats goes, one that asked for its memory stays  2. condition, taint, Events
    3. a BestEffort pod bound by hand is rejected, one with a request is let in  4. all of it passes.
    """
    agent = fresh_agent
    forget_files()
    threshold = read_memory().available - (250 << 20)  # what agent and quiet pod need; the eater takes more
    agent.start(
        *configure(
            agent,
            evictionHard={"memory.available": f"{threshold >> 20}Mi"},
            evictionPressureTransitionPeriod="20s",
        )
    )
    asked = {"resources": {"requests": {"memory": "64Mi"}}}
    agent.apply(simple_pod("quiet", "sleep", "infinity", container=asked))
    agent.wait_running("quiet")
    assert condition(agent, "MemoryPressure") == "False"
    eat = "for i in $(seq 25); do dd if=/dev/zero of=/v/$i bs=1M count=20; sleep 1; done; sleep infinity"
    memory = {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    agent.apply(simple_pod("eater", "sh", "-c", eat, container=mounted, **memory))
    status = wait_evicted(agent, "eater")
    assert status["message"].startswith("The node was low on resource: memory. Threshold quantity: ")
    assert "Container main was using " in status["message"]
    assert status["message"].endswith(", request is 0, has larger consumption of memory. ")
    target = next(c for c in status["conditions"] if c["type"] == "DisruptionTarget")
    assert (target["reason"], target["message"]) == ("TerminationByKubelet", status["message"])
    assert condition(agent, "MemoryPressure") == "True"
    assert taints(agent) == ["node.kubernetes.io/memory-pressure"]

    late = simple_pod("late", "sleep", "infinity", nodeName="node1")
    agent.apply(late)
    until(lambda: agent.phase("late") == "Failed", what="late is rejected")
    rejected = agent.pod("late")["status"]
    assert rejected["reason"] == "Evicted"
    assert rejected["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    agent.apply(simple_pod("asking", "sleep", "infinity", nodeName="node1", container=asked))
    agent.wait_running("asking")

    until(lambda: condition(agent, "MemoryPressure") == "False", limit=90, what="the pressure passes")
    assert taints(agent) == []
    reasons = node_events(agent)
    for reason in ("EvictionThresholdMet", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"):
        assert reason in reasons
    assert agent.phase("quiet") == "Running"


def test_disk_pressure_takes_garbage_first_and_then_the_largest_13_7(tmp_path: Path) -> None:
    """A state directory of its own, 64 MiB of tmpfs: below 32 MiB there is disk pressure."""
    with small_disk(tmp_path) as agent:
        agent.start(
            *configure(
                agent,
                evictionHard={"nodefs.available": "32Mi"},
                evictionPressureTransitionPeriod="10s",
            )
        )
        agent.apply(simple_pod("small", "sh", "-c", FILL % ("/tmp/a", 6)))
        # Restarted again and again, it leaves dead instances: two of them are too much.
        agent.apply(simple_pod("litter", "dd", "if=/dev/zero", "of=/tmp/a", "bs=1M", "count=20"))
        until(lambda: "EvictionThresholdMet" in node_events(agent), limit=60, what="pressure")
        until(lambda: condition(agent, "DiskPressure") == "False", limit=60, what="it passes")
        assert [agent.phase(name) for name in ("small", "litter")] == ["Running", "Running"]
        agent.run("delete", "pod", "litter")
        agent.apply(simple_pod("big", "sh", "-c", FILL % ("/tmp/a", 40)))
        status = wait_evicted(agent, "big")
        assert taints(agent) == ["node.kubernetes.io/disk-pressure"]
        assert "The node was low on resource: ephemeral-storage. " in status["message"]
        assert "Threshold quantity: 32Mi, available: " in status["message"]
        assert "request is 0, has larger consumption of ephemeral-storage. " in status["message"]
        assert agent.phase("small") == "Running"
        agent.delete_everything()


def test_a_pod_that_fills_the_disk_to_the_last_byte_is_evicted_and_the_agent_lives(tmp_path: Path) -> None:
    """Faster than anybody looks. What cannot be written meanwhile (Events, statuses, the lease) is no reason
    to end, nor to leave the pod alive: `NodeObjects._store_event` and `heartbeat`, `PodWorker._publish`,
    `Node._follow`; and its layer is removed before that is written down (`Service.remove_container`).
    """
    with small_disk(tmp_path) as agent:
        agent.start(
            *configure(
                agent,
                evictionHard={"nodefs.available": "32Mi"},
                evictionPressureTransitionPeriod="10s",
            )
        )
        agent.apply(simple_pod("modest", "sleep", "infinity"))
        agent.wait_running("modest")
        agent.apply(simple_pod("greedy", "sh", "-c", FILL % ("/tmp/a", 200)))
        status = wait_evicted(agent, "greedy")
        assert "The node was low on resource: ephemeral-storage. " in status["message"]
        assert agent.process is not None
        assert agent.process.poll() is None
        assert agent.phase("modest") == "Running"
        agent.delete_everything()


@contextmanager
def small_disk(tmp_path: Path) -> Iterator[Agent]:
    """An agent whose state lies on 64 MiB of tmpfs; it is stopped at the end."""
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M,mode=0755", "small", str(root)], check=True)
    agent = make_agent(root)
    try:
        yield agent
    finally:
        assert agent.stop() == 0
        remove_network(agent)
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def test_process_ids_that_run_out_are_pressure_too_13_7(fresh_agent: Agent) -> None:
    """The threshold is 60 process ids below what is free; the pod takes 200."""
    agent = fresh_agent
    left = read_process_ids()
    agent.start(
        *configure(
            agent,
            evictionHard={"pid.available": str(left.available - 60)},
            evictionPressureTransitionPeriod="10s",
        )
    )
    breed = "for i in $(seq 200); do sleep infinity & done; wait"
    agent.apply(simple_pod("breeder", "sh", "-c", breed))
    status = wait_evicted(agent, "breeder")
    assert status["message"].startswith("The node was low on resource: pids. Threshold quantity: ")
    assert "Container" not in status["message"]
    assert condition(agent, "PIDPressure") == "True"
    until(lambda: condition(agent, "PIDPressure") == "False", limit=60, what="the pressure passes")
