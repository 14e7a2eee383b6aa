"""Where pods may run, on a real node: what keeps a pod waiting, what ends the waiting, and what ends a pod
(kubelet-behaviour 7, 13).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Agent, simple_pod, until

NO_NODE = "0/1 nodes are available:"
CLAIMS = "no new claims to deallocate, preemption:"
NOT_HELPFUL = f"{CLAIMS} {NO_NODE} 1 Preemption is not helpful for scheduling."
PREEMPTED = "Preempted in order to admit critical pod"


def waits_with(agent: Agent, name: str, words: str) -> None:
    """The pod is Pending for this reason, and its Event says so."""
    found = until(lambda: agent.pod(name).get("status", {}).get("conditions"), what=f"{name} is looked at")
    message = f"{NO_NODE} {words}. {NOT_HELPFUL}"
    assert [(c["reason"], c["message"]) for c in found] == [("Unschedulable", message)]
    (event,) = [e for e in agent.events(name) if e["reason"] == "FailedScheduling"]
    assert (event["type"], event["message"]) == ("Warning", message)
    assert event["source"]["component"] == "default-scheduler"


def node(agent: Agent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(agent.run("get", "node", "node1", "-o", "json"))
    return found


def taint_keys(agent: Agent) -> list[str]:
    return [taint["key"] for taint in node(agent)["spec"].get("taints", ())]


def test_a_pod_waits_for_a_label_and_keeps_its_place_when_the_label_goes(agent: Agent) -> None:
    agent.apply(simple_pod("picky", "sleep", "infinity", nodeSelector={"disk": "ssd"}))
    waits_with(agent, "picky", "1 node(s) didn't match Pod's node affinity/selector")
    agent.run("label", "node", "node1", "disk=ssd")
    agent.wait_running("picky")
    agent.run("label", "node", "node1", "disk-")
    assert agent.phase("picky") == "Running"
    agent.run("delete", "pod", "picky", "--grace-period=1")


def test_a_cordoned_node_takes_no_pods_until_it_is_uncordoned(agent: Agent) -> None:
    assert agent.run("cordon", "node1") == "node/node1 cordoned\n"
    until(lambda: taint_keys(agent) == ["node.kubernetes.io/unschedulable"], what="the taint")
    agent.apply(simple_pod("patient", "sleep", "infinity"))
    waits_with(agent, "patient", "1 node(s) were unschedulable")
    assert agent.run("uncordon", "node1") == "node/node1 uncordoned\n"
    agent.wait_running("patient")
    until(lambda: taint_keys(agent) == [], what="no taint")
    agent.run("delete", "pod", "patient", "--grace-period=1")


def test_a_pod_follows_the_pod_it_wants_to_be_with(agent: Agent) -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    agent.apply(simple_pod("follower", "sleep", "infinity", affinity=affinity))
    waits_with(agent, "follower", "1 node(s) didn't match pod affinity rules")
    agent.apply(simple_pod("leader", "sleep", "infinity"))
    agent.wait_running("leader")
    assert agent.phase("follower") == "Pending"
    agent.run("label", "pod", "leader", "app=web")
    agent.wait_running("follower")
    agent.run("delete", "pod", "leader", "follower", "--grace-period=1")


def test_a_taint_ends_the_pods_that_do_not_tolerate_it_7_3(agent: Agent) -> None:
    def tolerating(**more: Any) -> dict[str, Any]:
        return {"tolerations": [{"key": "repair", "operator": "Exists", "effect": "NoExecute", **more}]}

    agent.apply(simple_pod("gone", "sleep", "infinity"))
    agent.apply(simple_pod("soon", "sleep", "infinity", **tolerating(tolerationSeconds=3)))
    agent.apply(simple_pod("saved", "sleep", "infinity", **tolerating(tolerationSeconds=600)))
    agent.apply(simple_pod("stays", "sleep", "infinity", **tolerating()))
    names = ("gone", "soon", "saved", "stays")
    for name in names:
        agent.wait_running(name)
    agent.run("taint", "node", "node1", "repair:NoExecute")

    def marked(name: str) -> list[tuple[str, str, str]]:
        return [
            (event["source"]["component"], event["type"], event["message"])
            for event in agent.events(name)
            if event["reason"] == "TaintManagerEviction"
        ]

    for name in ("gone", "soon"):
        until(lambda name=name: not agent.pod(name), what=f"{name} is deleted")  # type: ignore[misc]
        words = f"Marking for deletion Pod default/{name}"
        assert marked(name) == [("taint-eviction-controller", "Normal", words)]
    assert agent.stop() == 0
    agent.start()  # the next agent counts anew, from a taint that nobody writes again
    agent.run("taint", "node", "node1", "repair-")
    until(lambda: marked("saved"), what="the deletion is cancelled")
    words = "Cancelling deletion of Pod default/saved"
    assert marked("saved") == [("taint-eviction-controller", "Normal", words)]
    assert {agent.phase("saved"), agent.phase("stays")} == {"Running"}
    assert marked("stays") == []
    agent.run("delete", "pod", "saved", "stays", "--grace-period=1")


def test_the_node_gets_its_labels_back_and_is_made_anew(agent: Agent) -> None:
    agent.run("label", "node", "node1", "kubernetes.io/os-")
    until(lambda: node(agent)["metadata"]["labels"].get("kubernetes.io/os") == "linux", what="the label")
    agent.run("delete", "node", "node1")
    until(lambda: agent.call("get", "node", "node1").returncode == 0, what="the Node")
    until(lambda: node(agent).get("status", {}).get("allocatable"), what="its status")
    reasons = [event["reason"] for event in agent.events("node1")]
    for reason in ("Starting", "NodeHasSufficientMemory", "NodeReady", "NodeAllocatableEnforced"):
        assert reason in reasons


def test_two_pods_cannot_have_one_port_of_the_node(agent: Agent) -> None:
    port = {"ports": [{"containerPort": 18080}]}
    agent.apply(simple_pod("has", "sleep", "infinity", container=port, hostNetwork=True))
    agent.wait_running("has")
    agent.apply(simple_pod("wants", "sleep", "infinity", container=port, hostNetwork=True))
    words = "1 node(s) didn't have free ports for the requested pod ports"
    found = until(lambda: agent.pod("wants").get("status", {}).get("conditions"), what="it is looked at")
    victims = f"{CLAIMS} {NO_NODE} 1 No preemption victims found for incoming pod."
    assert found[0]["message"] == f"{NO_NODE} {words}. {victims}"
    agent.run("delete", "pod", "has", "--grace-period=1")
    agent.wait_running("wants")
    agent.run("delete", "pod", "wants", "--grace-period=1")


def test_a_pod_of_higher_priority_takes_the_room_of_lower_ones(agent: Agent) -> None:
    important = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "important"},
        "value": 1000,
    }
    agent.apply(important)
    most = {"resources": {"requests": {"cpu": f"{cores(agent) * 500 + 100}m"}}}
    agent.apply(simple_pod("humble", "sleep", "infinity", container=most))
    agent.wait_running("humble")
    agent.apply(simple_pod("grand", "sleep", "infinity", container=most, priorityClassName="important"))
    grand = agent.wait_running("grand")
    assert agent.pod("humble") == {}
    assert grand["spec"]["priority"] == 1000
    (event,) = [e for e in agent.events("humble") if e["reason"] == "Preempted"]
    assert event["message"] == f"Preempted by pod {grand['metadata']['uid']} on node node1"
    assert (event["type"], event["source"]["component"]) == ("Normal", "default-scheduler")
    agent.run("delete", "pod", "grand", "--grace-period=1")


# Agents with words of their own

CONFIGURATION = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
systemReserved: {memory: 64Mi}
"""


def cores(agent: Agent) -> int:
    return int(node(agent)["status"]["capacity"]["cpu"])


def static_pod(cpu: str = "100m", **spec: Any) -> str:
    resources = {"resources": {"requests": {"cpu": cpu}}}
    return json.dumps(simple_pod("system", "sleep", "infinity", container=resources, **spec))


def test_after_a_restart_a_running_pod_is_asked_again_and_may_be_rejected_7_1(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start("--node-labels", "disk=ssd")
    agent.apply(simple_pod("picky", "sleep", "infinity", nodeSelector={"disk": "ssd"}))
    agent.apply(simple_pod("plain", "sleep", "infinity"))
    for name in ("picky", "plain"):
        agent.wait_running(name)
    container = agent.container("plain")["containerID"]
    agent.run("label", "node", "node1", "disk-")
    assert agent.stop() == 0
    agent.start()
    until(lambda: agent.phase("picky") == "Failed", what="picky is rejected")
    assert agent.pod("picky")["status"]["reason"] == "NodeAffinity"
    assert agent.container("plain")["containerID"] == container
    assert agent.container("plain")["restartCount"] == 0


@pytest.mark.limits
def test_what_is_reserved_is_kept_from_pods_13_3(fresh_agent: Agent) -> None:
    agent = fresh_agent
    configuration = agent.root / "kubelet.yaml"
    configuration.write_text(CONFIGURATION)
    options = ("--config", str(configuration), "--kube-reserved", "cpu=500m", "--node-labels", "disk=ssd")
    agent.start(*options)
    status, labels = node(agent)["status"], node(agent)["metadata"]["labels"]
    assert labels["disk"] == "ssd"
    assert status["allocatable"]["cpu"] == f"{cores(agent) * 1000 - 500}m"
    capacity = int(status["capacity"]["memory"].removesuffix("Ki")) * 1024
    with open("/sys/fs/cgroup/kubepods/memory.max") as file:
        assert int(file.read()) == capacity - (64 << 20)
    whole = {"resources": {"requests": {"cpu": str(cores(agent))}}}
    agent.apply(simple_pod("whole", "sleep", "infinity", container=whole))
    waits_with(agent, "whole", "1 Insufficient cpu")


def test_a_critical_static_pod_takes_the_room_of_another_7_2(fresh_agent: Agent) -> None:
    agent = fresh_agent
    manifests = agent.root / "manifests"
    manifests.mkdir()
    agent.start("--manifests", str(manifests))
    half = {"resources": {"requests": {"cpu": f"{cores(agent) * 500 + 100}m"}}}
    agent.apply(simple_pod("weak", "sleep", "infinity", container=half, terminationGracePeriodSeconds=1))
    agent.wait_running("weak")
    (manifests / "system.json").write_text(static_pod(f"{cores(agent) * 500}m"))
    agent.wait_running("system-node1")
    status = agent.pod("weak")["status"]
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Preempting", PREEMPTED)
    (target,) = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
    assert (target["reason"], target["message"]) == (
        "TerminationByKubelet",
        "Pod was preempted by Kubelet to accommodate a critical pod.",
    )
    events = [(e["type"], e["message"]) for e in agent.events("weak") if e["reason"] == "Preempting"]
    assert events == [("Warning", PREEMPTED)]


def test_a_static_pod_that_may_not_run_here_is_rejected_and_its_mirror_says_so_7_1(
    fresh_agent: Agent,
) -> None:
    agent = fresh_agent
    manifests = agent.root / "manifests"
    manifests.mkdir()
    (manifests / "system.json").write_text(static_pod(nodeSelector={"disk": "ssd"}))
    agent.start("--manifests", str(manifests))
    until(lambda: agent.phase("system-node1") == "Failed", what="the mirror shows it")
    status = agent.pod("system-node1")["status"]
    words = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    assert (status["reason"], status["message"]) == ("NodeAffinity", f"Pod was rejected: {words}")
    assert [(e["reason"], e["message"]) for e in agent.events("system-node1")] == [("NodeAffinity", words)]
    (manifests / "system.json").write_text(static_pod())
    agent.wait_running("system-node1")
