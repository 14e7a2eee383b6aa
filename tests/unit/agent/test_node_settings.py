"""What is kept back from pods, and what a Node registers with (kubelet-behaviour 13.3, 13.4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minikubelet.agent.node_pressure import set_cordon_taint
from minikubelet.agent.node_settings import node_settings
from minikubelet.agent.node_status import MachineFacts, allocatable, capacity, node_object
from minikubelet.config import AgentOptions
from minikubelet.kubelet_config import ConfigurationError, KubeletConfiguration

FACTS = MachineFacts("n", "192.0.2.1", 4, 1 << 30, 1 << 40, "6.1", "Debian", "amd64", "", "", "")
NOW = datetime(2026, 11, 28, 17, 0, tzinfo=UTC)


def settings(options: dict[str, Any] | None = None, **configuration: Any) -> Any:
    return node_settings(KubeletConfiguration(**configuration), AgentOptions(**(options or {})), 4)


def test_what_is_reserved_is_not_allocatable_13_3() -> None:
    reserved = settings(
        kubeReserved={"cpu": "150m", "memory": "100Mi"}, systemReserved={"cpu": "50m", "pid": "100"}
    ).reserved
    assert reserved == {"cpu": 200, "memory": 100 << 20, "pid": 100}
    facts = replace(FACTS, reserved=reserved, eviction_memory=24 << 20)
    assert allocatable(facts)["cpu"] == "3800m"
    assert allocatable(facts)["memory"] == f"{(1024 - 124) * 1024}Ki"
    assert capacity(facts)["cpu"] == "4"
    assert allocatable(FACTS)["cpu"] == "4"
    assert facts.unreserved("pid", 1000) == 900
    assert replace(FACTS, reserved={"memory": 2 << 30}).allocatable_memory == 0


def test_flags_stand_above_the_file() -> None:
    given = settings({"kube_reserved": "cpu=1,memory=1Gi"}, kubeReserved={"cpu": "2"})
    assert given.reserved == {"cpu": 1000, "memory": 1 << 30}


@pytest.mark.parametrize(
    ("per_core", "most", "pods"), [(0, 110, 110), (5, 110, 20), (50, 110, 110), (5, 10, 10)]
)
def test_pods_per_core_13_3(per_core: int, most: int, pods: int) -> None:
    assert settings(podsPerCore=per_core, maxPods=most).max_pods == pods


def test_labels_and_taints_of_a_new_node_13_4() -> None:
    given = settings(
        {"node_labels": "disk=ssd,topology.kubernetes.io/zone=a"},
        registerWithTaints=[{"key": "for", "value": "db", "effect": "NoSchedule"}],
    )
    node = node_object(replace(FACTS, labels=given.labels, taints=given.taints), "10.244.0.0/24")
    assert node["metadata"]["labels"] == {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "disk": "ssd",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": "n",
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": "a",
    }
    assert node["spec"]["taints"] == [{"key": "for", "value": "db", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("options", "configuration", "words"),
    [
        ({}, {"kubeReserved": {"gpu": "1"}}, "cannot reserve 'gpu' (kubeReserved)"),
        ({}, {"systemReserved": {"cpu": "much"}}, "cannot reserve cpu=much (systemReserved)"),
        ({"kube_reserved": "cpu=-1"}, {}, "resource quantity for 'cpu' cannot be negative"),
        ({"kube_reserved": "cpu"}, {}, "malformed pair, expect string=string: cpu"),
        ({"node_labels": "kubernetes.io/role=x"}, {}, "unknown 'kubernetes.io' or 'k8s.io' labels"),
        ({"node_name": "A_B"}, {}, "cannot register the node: metadata.name"),
        ({"node_labels": "a b=c"}, {}, "cannot register the node: metadata.labels"),
        ({}, {"registerWithTaints": [{"key": "a", "effect": "Never"}]}, "spec.taints[0].effect"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(
    options: dict[str, Any], configuration: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings(options, **configuration)
    assert words in str(error.value)


def test_a_cordoned_node_has_its_taint_for_as_long_as_it_is_cordoned() -> None:
    other = {"key": "for", "effect": "NoExecute"}
    node: dict[str, Any] = {"spec": {"unschedulable": True, "taints": [other]}}
    set_cordon_taint(node, NOW)
    own = {
        "key": "node.kubernetes.io/unschedulable",
        "effect": "NoSchedule",
        "timeAdded": "2026-11-28T17:00:00Z",
    }
    assert node["spec"]["taints"] == [other, own]
    set_cordon_taint(node, NOW + timedelta(minutes=1))
    assert node["spec"]["taints"] == [other, own]
    del node["spec"]["unschedulable"]
    set_cordon_taint(node, NOW)
    assert node["spec"] == {"taints": [other]}
    node = {"spec": {"taints": [own]}}
    set_cordon_taint(node, NOW)
    assert node == {"spec": {}}
