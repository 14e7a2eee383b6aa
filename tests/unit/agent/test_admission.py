"""kubelet-behaviour 7.1 and 7.2: who is let in by the kubelet, and who has to make room."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.agent.admission import Surroundings, Verdict, admit
from minikubelet.agent.scheduler.node_info import NodeInfo
from minikubelet.v1 import Pod

from .nodes import make_node, make_pod

SMALL = {"pods": "3"}
STATIC = {"annotations": {"kubernetes.io/config.source": "file"}}


def judged(pod: Pod, node: NodeInfo, *pressure: str) -> Verdict:
    return admit(pod, Surroundings(node, pressure))


def rejection(pod: Pod, node: NodeInfo, *pressure: str) -> tuple[str, str] | None:
    rejected = judged(pod, node, *pressure).rejection
    return (rejected.reason, rejected.message) if rejected else None


@pytest.mark.parametrize(
    ("asked", "others", "reason", "message"),
    [
        pytest.param(
            {"cpu": "1"},
            [{"cpu": "3950m"}],
            "OutOfcpu",
            "cpu, requested: 1000, used: 3950, capacity: 4000",
            id="7.1 cpu in thousandths",
        ),
        pytest.param(
            {"memory": "512Mi"},
            [{"memory": "768Mi"}],
            "OutOfmemory",
            "memory, requested: 536870912, used: 805306368, capacity: 1073741824",
            id="7.1 memory in bytes",
        ),
        pytest.param(
            {"ephemeral-storage": "20Gi"},
            [],
            "OutOfephemeral-storage",
            "ephemeral-storage, requested: 21474836480, used: 0, capacity: 10737418240",
            id="7.1 ephemeral storage in bytes",
        ),
        pytest.param(
            {}, [{}, {}, {}], "OutOfpods", "pods, requested: 1, used: 3, capacity: 3", id="7.1 pods"
        ),
        pytest.param(
            {"cpu": "5", "memory": "2Gi"},
            [],
            "OutOfcpu",
            "cpu, requested: 5000, used: 0, capacity: 4000",
            id="7.1 only the first is reported",
        ),
        pytest.param(
            {"example.com/gpu": "2"},
            [],
            "OutOfexample.com/gpu",
            "example.com/gpu, requested: 2, used: 0, capacity: 1",
            id="7.1 an extended resource",
        ),
    ],
)
def test_a_pod_that_does_not_fit_is_rejected_7_1(
    asked: dict[str, str], others: list[dict[str, str]], reason: str, message: str
) -> None:
    pods = [make_pod(f"p{number}", requests=other) for number, other in enumerate(others)]
    node = make_node(*pods, allocatable={"pods": "3", "example.com/gpu": "1"})
    expected = (reason, f"Node didn't have enough resource: {message}")
    assert rejection(make_pod(requests=asked), node) == expected


def test_who_asks_for_nothing_is_not_checked_for_it_7_1() -> None:
    assert rejection(make_pod(), make_node(make_pod("p", requests={"cpu": "9", "memory": "9Gi"}))) is None


def test_an_extended_resource_nobody_ever_heard_of_is_not_the_kubelets_business_7_1() -> None:
    assert rejection(make_pod(requests={"example.com/fpga": "1"}), make_node()) is None


AFFINITY = (
    "NodeAffinity",
    "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
)
TAINT = (
    "TaintToleration",
    "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
)
OS_LABEL = (
    "PodOSSelectorNodeLabelDoesNotMatch",
    "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
)
OS_FIELD = ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")


@pytest.mark.parametrize(
    ("pod", "taints", "expected"),
    [
        pytest.param({"nodeSelector": {"disk": "ssd"}}, [], None, id="7.1 node selector"),
        pytest.param({"nodeSelector": {"disk": "hdd"}}, [], AFFINITY, id="7.1 NodeAffinity"),
        pytest.param({}, ["NoExecute"], TAINT, id="7.3 NoExecute"),
        pytest.param({}, ["NoSchedule", "PreferNoSchedule"], None, id="7.3 only NoExecute matters here"),
        pytest.param(STATIC, ["NoExecute"], None, id="7.3 static pods are exempt"),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]}, ["NoExecute"], None, id="7.3 who tolerates it"
        ),
        pytest.param({"nodeSelector": {"disk": "hdd"}}, ["NoExecute"], AFFINITY, id="7.1 affinity first"),
        pytest.param(
            {"nodeSelector": {"kubernetes.io/os": "windows"}}, [], OS_LABEL, id="7.1 the label of the OS"
        ),
        pytest.param({"os": {"name": "windows"}}, [], OS_FIELD, id="7.1 the field of the OS"),
        pytest.param({"os": {"name": "linux"}}, [], None, id="7.1 Linux"),
    ],
)
def test_predicates_7_1(pod: dict[str, Any], taints: list[str], expected: tuple[str, str] | None) -> None:
    node = make_node(taints=[{"key": "x", "effect": effect} for effect in taints])
    assert rejection(make_pod(**pod), node) == expected


def test_a_port_of_the_node_that_another_pod_has_7_1() -> None:
    container = {"name": "c", "image": "localhost/host", "ports": [{"containerPort": 80, "hostPort": 80}]}
    pods = [make_pod(name, containers=[container]) for name in ("new", "old")]
    text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert rejection(pods[0], make_node(pods[1])) == ("NodePorts", text)


MEMORY = ("MemoryPressure",)
BOTH = ("MemoryPressure", "DiskPressure")
TOLERANT = {
    "tolerations": [
        {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}
    ]
}


@pytest.mark.parametrize(
    ("pod", "pressure", "listed"),
    [
        pytest.param({}, MEMORY, "[MemoryPressure]", id="BestEffort under memory pressure"),
        pytest.param({"requests": {"memory": "1Mi"}}, MEMORY, "", id="Burstable under memory pressure"),
        pytest.param(TOLERANT, MEMORY, "", id="BestEffort that tolerates it"),
        pytest.param(TOLERANT, BOTH, "[MemoryPressure DiskPressure]", id="any other pressure keeps all out"),
        pytest.param({"priority": 2_000_000_000}, BOTH, "", id="but critical pods"),
        pytest.param(STATIC, BOTH, "", id="and static ones"),
    ],
)
def test_pressure_7_1(pod: dict[str, Any], pressure: tuple[str, ...], listed: str) -> None:
    expected = ("Evicted", f"The node had condition: {listed}. ") if listed else None
    assert rejection(make_pod(**pod), make_node(), *pressure) == expected


# Critical pods


def victims(pod: Pod, *others: Pod) -> list[str | None]:
    verdict = judged(pod, make_node(*others))
    assert verdict.rejection is None
    return [victim.metadata and victim.metadata.name for victim in verdict.victims]


def sized(name: str, cpu: str, memory: str = "0", **fields: Any) -> Pod:
    return make_pod(name, requests={"cpu": cpu, "memory": memory}, **fields)


def guaranteed(name: str, cpu: str) -> Pod:
    size = {"cpu": cpu, "memory": "1Mi"}
    return make_pod(name, requests=size, limits=size)


def test_a_critical_pod_takes_the_room_of_others_7_2() -> None:
    assert victims(sized("new", "1", **STATIC), sized("other", "3500m")) == ["other"]
    assert victims(sized("new", "1", priority=2_000_000_000), sized("other", "3500m")) == ["other"]
    assert rejection(sized("new", "1"), make_node(sized("other", "3500m"))) is not None


def test_guaranteed_pods_are_spared_before_burstable_ones_7_2() -> None:
    others = [guaranteed("safe", "2"), sized("fair", "2")]
    assert victims(sized("new", "1", **STATIC), *others) == ["fair"]
    assert victims(sized("new", "3", **STATIC), *others) == ["fair", "safe"]


def test_best_effort_pods_only_help_with_the_number_of_pods_7_2() -> None:
    node = make_node(make_pod("none"), sized("fair", "1"), guaranteed("safe", "1"), allocatable=SMALL)
    verdict = judged(sized("new", "500m", **STATIC), node)
    assert [victim.metadata and victim.metadata.name for victim in verdict.victims] == ["none"]


def test_the_pod_nearest_to_the_need_goes_and_of_equals_the_smaller_7_2() -> None:
    others = [sized("tiny", "500m"), sized("big", "2", "2Mi"), sized("right", "1500m", "1Mi")]
    assert victims(sized("new", "1500m", **STATIC), *others) == ["right"]


def test_critical_pods_do_not_make_room_for_each_other_7_2() -> None:
    node = make_node(sized("other", "3500m", priority=2_000_000_000))
    text = (
        "Unexpected error while attempting to recover from admission failure: preemption: error finding a "
        "set of pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 500), ]"
    )
    assert rejection(sized("new", "1", **STATIC), node) == ("UnexpectedAdmissionError", text)
    assert victims(sized("new", "1", priority=2_000_001_000), *[one.pod for one in node.pods]) == ["other"]


def test_what_is_no_matter_of_resources_rejects_a_critical_pod_and_ends_nobody_7_2() -> None:
    node = make_node(sized("other", "3500m"))
    verdict = judged(sized("new", "1", nodeSelector={"disk": "hdd"}, **STATIC), node)
    assert verdict.rejection is not None
    assert (verdict.rejection.reason, verdict.victims) == ("NodeAffinity", ())
