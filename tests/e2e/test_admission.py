"""What does not fit waits for room; what was bound by hand and does not fit is rejected (kubelet-behaviour
1.5, 7.1).
"""

from __future__ import annotations

from .conftest import Agent, simple_pod, until

CONFIGURATION = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 2
"""
TOO_MANY = (
    "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: "
    "0/1 nodes are available: "
    "1 No preemption victims found for incoming pod."
)


def test_a_pod_waits_for_room_and_starts_when_there_is_some(fresh_agent: Agent) -> None:
    agent = fresh_agent
    configuration = agent.root / "kubelet.yaml"
    configuration.write_text(CONFIGURATION)
    agent.start("--config", str(configuration))
    for name in ("one", "two"):
        agent.apply(simple_pod(name, "sleep", "infinity"))
        agent.wait_running(name)
    agent.apply(simple_pod("three", "sleep", "infinity"))
    until(lambda: [e for e in agent.events("three") if e["reason"] == "FailedScheduling"], what="the Event")
    pod = agent.pod("three")
    (condition,) = pod["status"]["conditions"]
    assert (pod["status"]["phase"], condition["reason"]) == ("Pending", "Unschedulable")
    assert condition["message"] == TOO_MANY
    agent.run("delete", "pod", "one")
    agent.wait_running("three")
    conditions = {c["type"]: c["status"] for c in agent.pod("three")["status"]["conditions"]}
    assert conditions["PodScheduled"] == "True"


def test_a_finished_pod_makes_room(fresh_agent: Agent) -> None:
    agent = fresh_agent
    configuration = agent.root / "kubelet.yaml"
    configuration.write_text(CONFIGURATION.replace("2", "1"))
    agent.start("--config", str(configuration))
    agent.apply(simple_pod("short", "sleep", "2", restartPolicy="Never"))
    agent.apply(simple_pod("next", "sleep", "infinity"))
    agent.wait_running("next")
    assert agent.phase("short") == "Succeeded"


def test_a_pod_bound_by_hand_that_does_not_fit_is_rejected(agent: Agent) -> None:
    asked = {"resources": {"requests": {"cpu": "1000"}}}
    agent.apply(simple_pod("huge", "sleep", "infinity", container=asked, nodeName="node1"))
    until(lambda: agent.phase("huge") == "Failed", what="huge Failed")
    status = agent.pod("huge")["status"]
    words = "Node didn't have enough resource: cpu, requested: 1000000, used: "
    assert status["reason"] == "OutOfcpu"
    assert status["message"].startswith(f"Pod was rejected: {words}")
    assert "containerStatuses" not in status
    assert "podIP" not in status
    (event,) = agent.events("huge")
    assert (event["type"], event["reason"]) == ("Warning", "OutOfcpu")
    assert event["message"].startswith(words)
    agent.run("delete", "pod", "huge")
    assert agent.pod("huge") == {}
