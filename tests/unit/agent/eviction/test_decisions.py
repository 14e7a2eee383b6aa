"""The pure part of eviction: thresholds, conditions, ranking, messages (13.6, 13.7, 7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.agent.eviction.admission import pressure_rejection
from minikubelet.agent.eviction.messages import eviction_message
from minikubelet.agent.eviction.pressure import PressureState, assess
from minikubelet.agent.eviction.ranking import PodUsage, rank
from minikubelet.agent.eviction.storage_limits import has_storage_limits, storage_violation
from minikubelet.agent.eviction.thresholds import (
    EvictionSettings,
    Observation,
    eviction_settings,
    hard_reservation,
)
from minikubelet.kubelet_config import ConfigurationError, KubeletConfiguration
from minikubelet.runtime.cri import PodDiskUsage
from minikubelet.v1 import Pod
from tests.unit.agent.pods import make_pod

MI = 1 << 20
STATIC = {"kubernetes.io/config.source": "file"}


def settings(**fields: Any) -> EvictionSettings:
    return eviction_settings(KubeletConfiguration(**fields))


def memory_only(**fields: Any) -> EvictionSettings:
    return settings(evictionHard={"memory.available": "100Mi"}, **fields)


def available(mebibytes: int, signal: str = "memory.available") -> dict[str, Observation]:
    return {signal: Observation(mebibytes * MI, 1000 * MI)}


# Settings


def test_the_defaults_are_the_kubelets_13_6() -> None:
    found = {
        one.signal: (one.amount.of(1000), one.amount.quantity, one.grace) for one in settings().thresholds
    }
    assert found == {
        "memory.available": (100 * MI, 100 * MI, 0),
        "allocatableMemory.available": (100 * MI, 100 * MI, 0),
        "nodefs.available": (100, 0, 0),
        "nodefs.inodesFree": (50, 0, 0),
        "imagefs.available": (150, 0, 0),
        "imagefs.inodesFree": (50, 0, 0),
    }
    assert (settings().transition, settings().max_pod_grace) == (300, 0)


def test_all_pods_together_have_the_nodes_hard_memory_threshold_13_6() -> None:
    """With something reserved for the system they come to the end of theirs first."""
    observed = available(500) | available(99, "allocatableMemory.available")
    found = assess(memory_only(), observed, PressureState(), 0)
    assert found.conditions == ("MemoryPressure",)
    words = eviction_message(pod("p"), None, "memory", found.to_act_upon, observed)
    assert words == "The node was low on resource: memory. Threshold quantity: 100Mi, available: 99Mi. "
    soft = settings(
        evictionHard={},
        evictionSoft={"memory.available": "1Gi"},
        evictionSoftGracePeriod={"memory.available": "1s"},
    )
    assert [one.signal for one in soft.thresholds] == ["memory.available"]


def test_what_is_given_replaces_the_defaults_and_0_percent_is_none() -> None:
    found = settings(evictionHard={"nodefs.available": "1Gi", "memory.available": "0%"})
    assert [one.signal for one in found.thresholds] == ["nodefs.available"]


def test_a_share_is_a_32_bit_float_as_a_real_node_shows_13_3() -> None:
    """A kind node: capacity 41152812Ki, allocatable 37926431477."""
    storage = 41152812 * 1024
    assert storage - hard_reservation(settings().thresholds, 0, storage)[1] == 37926431477


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"evictionSoft": {"memory.available": "1Gi"}},
            "grace period must be specified for the soft eviction threshold memory.available",
        ),
        ({"evictionHard": {"cpu.available": "1"}}, "unsupported eviction signal cpu.available"),
        (
            {"evictionHard": {"memory.available": "101%"}},
            "eviction percentage memory.available must be <= 100: 101%",
        ),
        (
            {"evictionHard": {"memory.available": "-1Mi"}},
            "eviction threshold memory.available cannot be negative: -1Mi",
        ),
    ],
)
def test_what_cannot_be_read_is_said(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settings(**fields)


# From observations to conditions and actions


def test_a_hard_threshold_is_acted_upon_at_once_and_the_condition_stays_13_6() -> None:
    """Met at 0, over at 10 s: the condition is shown until 5 min after it was last seen."""
    story = []
    state = PressureState()
    for now, left in ((0, 99), (10, 100), (299, 500), (300, 500)):
        found = assess(memory_only(), available(left), state, now)
        story.append((now, found.conditions, [one.signal for one in found.to_act_upon]))
        state = found.state
    assert story == [
        (0, ("MemoryPressure",), ["memory.available"]),
        (10, ("MemoryPressure",), []),
        (299, ("MemoryPressure",), []),
        (300, (), []),
    ]


def test_a_soft_threshold_waits_for_its_grace_and_shows_its_condition_before() -> None:
    soft = settings(
        evictionHard={},
        evictionSoft={"memory.available": "10%"},
        evictionSoftGracePeriod={"memory.available": "30s"},
    )
    state = PressureState()
    story = []
    for now, left in ((0, 50), (20, 200), (30, 50), (50, 50), (60, 50)):
        found = assess(soft, available(left), state, now)
        story.append((found.conditions, len(found.to_act_upon)))
        state = found.state
    waits, acts = (("MemoryPressure",), 0), (("MemoryPressure",), 1)
    assert story == [waits, waits, waits, waits, acts]  # the look at 20 s began it anew


def test_what_was_acted_upon_goes_on_until_minimum_reclaim_is_free() -> None:
    reclaiming = memory_only(evictionMinimumReclaim={"memory.available": "50Mi"})
    state = PressureState()
    acted = []
    for now, left in ((0, 120), (10, 90), (20, 149), (30, 150)):
        found = assess(reclaiming, available(left), state, now)
        acted.append(len(found.to_act_upon))
        state = found.state
    assert acted == [0, 1, 1, 0]


def test_memory_goes_before_disk_and_conditions_keep_their_order() -> None:
    observed = available(1, "nodefs.available") | available(1) | available(1, "imagefs.available")
    found = assess(settings(), observed, PressureState(), 0)
    assert found.conditions == ("MemoryPressure", "DiskPressure")
    assert [one.signal for one in found.to_act_upon] == [
        "memory.available",
        "nodefs.available",
        "imagefs.available",
    ]


def test_a_signal_that_was_not_observed_is_not_met() -> None:
    assert assess(settings(), {}, PressureState(), 0).to_act_upon == ()


# Ranking


def pod(name: str, priority: int = 0, containers: tuple[Any, ...] = (), **requests: str) -> Pod:
    names = {"ephemeral_storage": "ephemeral-storage"}
    asked = {names.get(key, key): value for key, value in requests.items()}
    container = {"name": "c", "resources": {"requests": asked}}
    return make_pod(*(containers or (container,)), metadata={"name": name, "uid": name}, priority=priority)


@pytest.mark.parametrize(
    ("resource", "pods", "order"),
    [
        # Above its request goes before anybody below, whatever the priority.
        ("memory", [("below", 0, "200Mi", 150), ("above", 9, "10Mi", 20)], "above below"),
        # Then the lower priority, then the larger excess.
        ("memory", [("high", 5, "0", 500), ("low", 1, "0", 10)], "low high"),
        ("memory", [("small", 0, "90Mi", 100), ("large", 0, "10Mi", 60)], "large small"),
        ("memory", [("known", 0, "0", 900), ("unknown", 9, "0", None)], "unknown known"),
        ("ephemeral-storage", [("a", 0, "0", 10), ("b", 0, "0", 20)], "b a"),
        ("inodes", [("few", 0, "0", 10), ("many", 0, "0", 20)], "many few"),
        ("pids", [("many", 5, "0", 900), ("few", 0, "0", 2)], "few many"),
        ("pids", [("few", 0, "0", 2), ("many", 0, "0", 9)], "many few"),
    ],
)
def test_ranking_13_7(resource: str, pods: list[tuple[str, int, str, int | None]], order: str) -> None:
    ranked = rank(
        [
            (pod(name, priority, memory=memory), None if used is None else PodUsage(used * MI))
            for name, priority, memory, used in pods
        ],
        resource,
    )
    assert [one.metadata.name for one, _ in ranked] == order.split()  # type: ignore[union-attr]


def test_disk_is_ranked_by_what_is_above_the_request_13_7() -> None:
    pods = [
        (pod("asked", ephemeral_storage="80Mi"), PodUsage(100 * MI)),
        (pod("took"), PodUsage(90 * MI)),
        (pod("below", ephemeral_storage="1Gi"), PodUsage(500 * MI)),
    ]
    ranked = rank(pods, "ephemeral-storage")
    assert [one.metadata.name for one, _ in ranked if one.metadata] == ["took", "asked", "below"]


# Words


def test_the_message_of_an_eviction_13_7() -> None:
    found = assess(memory_only(), available(50), PressureState(), 0)
    victim = pod("p", containers=({"name": "c"}, {"name": "d", "resources": {"requests": {"memory": "1Gi"}}}))
    usage = PodUsage(100 * MI, {"c": 60 * MI, "d": 40 * MI})
    assert eviction_message(victim, usage, "memory", found.to_act_upon, available(50)) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container c was using 60Mi, request is 0, has larger consumption of memory. "
    )


def test_of_process_ids_and_inodes_no_container_is_blamed() -> None:
    observed = {"pid.available": Observation(10, 1000)}
    found = assess(settings(evictionHard={"pid.available": "5%"}), observed, PressureState(), 0)
    words = eviction_message(pod("p"), PodUsage(5, {"c": 5}), "pids", found.to_act_upon, observed)
    assert words == "The node was low on resource: pids. Threshold quantity: 50, available: 10. "


# Admission under pressure


@pytest.mark.parametrize(
    ("fields", "conditions", "words"),
    [
        ({}, [], None),
        ({}, ["MemoryPressure"], "The node had condition: [MemoryPressure]. "),
        ({"memory": "1Mi"}, ["MemoryPressure"], None),
        ({"memory": "1Mi"}, ["DiskPressure"], "The node had condition: [DiskPressure]. "),
        (
            {"memory": "1Mi"},
            ["MemoryPressure", "PIDPressure"],
            "The node had condition: [MemoryPressure PIDPressure]. ",
        ),
        ({"priority": 2_000_000_000}, ["DiskPressure"], None),
    ],
)
def test_admission_under_pressure_7_1(
    fields: dict[str, Any], conditions: list[str], words: str | None
) -> None:
    rejected = pressure_rejection(pod("p", **fields), conditions)
    assert (rejected and (rejected.reason, rejected.message)) == (words and ("Evicted", words))


@pytest.mark.parametrize(
    ("toleration", "admitted"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"}, False),
        ({"key": "node.kubernetes.io/memory-pressure"}, True),
        ({"key": "node.kubernetes.io/memory-pressure", "value": "x"}, False),
    ],
)
def test_a_best_effort_pod_may_tolerate_memory_pressure_7_1(
    toleration: dict[str, str], admitted: bool
) -> None:
    tolerant = make_pod(tolerations=[toleration])
    assert (pressure_rejection(tolerant, ["MemoryPressure"]) is None) == admitted
    assert pressure_rejection(tolerant, ["DiskPressure"]) is not None


def test_a_static_pod_is_critical_7_2() -> None:
    assert pressure_rejection(make_pod(metadata={"annotations": STATIC}), ["DiskPressure"]) is None


# Limits of the pod itself


def limited(*limits: str | None, size: str | None = None, medium: str = "") -> Pod:
    containers = [
        {"name": f"c{n}", "resources": {"limits": {"ephemeral-storage": limit} if limit else {}}}
        for n, limit in enumerate(limits)
    ]
    volume = {"name": "v", "emptyDir": {"sizeLimit": size, "medium": medium} if size else {}}
    return make_pod(*containers, volumes=[volume])


@pytest.mark.parametrize(
    ("pod", "usage", "words"),
    [
        (limited(None), PodDiskUsage({"c0": MI}, {}, {"v": MI}), None),
        (limited(None, size="10Mi"), PodDiskUsage(volumes={"v": 10 * MI}), None),
        (
            limited(None, size="10Mi"),
            PodDiskUsage(volumes={"v": 10 * MI + 1}),
            'Usage of EmptyDir volume "v" exceeds the limit "10Mi". ',
        ),
        (limited(None, size="10Mi", medium="Memory"), PodDiskUsage(volumes={"v": 90 * MI}), None),
        (limited(None, size="0"), PodDiskUsage(volumes={"v": 90 * MI}), None),
        # One container: the pod's limit is its limit, and is looked at first.
        (
            limited("1Gi"),
            PodDiskUsage({"c0": 1000 * MI}, {"c0": 25 * MI}),
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        ),
        (
            limited("10Mi", "1Gi"),
            PodDiskUsage({"c0": 10 * MI}, {"c0": 1}),
            'Container c0 exceeded its local ephemeral storage limit "10Mi". ',
        ),
        # Volumes count for the pod and for no container.
        (
            limited("10Mi", "10Mi"),
            PodDiskUsage({"c0": MI}, {}, {"v": 20 * MI}),
            "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. ",
        ),
        (limited("10Mi", None), PodDiskUsage({"c1": 5 * MI}, {}, {"v": 5 * MI}), None),
    ],
)
def test_storage_limits_13_7(pod: Pod, usage: PodDiskUsage, words: str | None) -> None:
    assert storage_violation(pod, usage) == words


def test_only_pods_with_a_limit_are_measured() -> None:
    assert not has_storage_limits(limited(None))
    assert not has_storage_limits(limited(None, size="1Gi", medium="Memory"))
    assert has_storage_limits(limited(None, size="1Gi"))
    assert has_storage_limits(limited("1Gi"))
