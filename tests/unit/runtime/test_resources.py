"""kubelet-behaviour 6.5 to 6.8, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from minikubelet.runtime.memory_qos import MemoryQoS
from minikubelet.runtime.resources import (
    CgroupSettings,
    Enforcement,
    container_cgroup,
    container_weight,
    cpu_max,
    oom_score_adj,
    pod_cgroup,
    pod_weight,
    qos_cgroups,
    shares,
)
from minikubelet.v1 import Container, Pod, from_dict

GI = 1 << 30


def pod(*resources: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **more: Any) -> Pod:
    """A pod with one container for each `resources`."""

    def containers(each: tuple[dict[str, Any], ...], prefix: str) -> list[dict[str, Any]]:
        return [{"name": f"{prefix}{i}", "resources": one} for i, one in enumerate(each)]

    spec = {"containers": containers(resources, "c"), "initContainers": containers(init, "i"), **more}
    return from_dict(Pod, {"metadata": {"name": "p", "uid": "u-1"}, "spec": spec})


def only(made: Pod) -> Container:
    assert made.spec is not None
    (container,) = made.spec.containers or ()
    return container


def of_container(made: Pod, rules: Enforcement) -> dict[str, str]:
    return container_cgroup(made, only(made), "id", "kubepods/podu-1", rules).files


@pytest.mark.parametrize(
    ("milli", "expected_shares", "of_pod", "of_container", "quota"),
    [
        (10, 10, 1, 4, 1000),
        (100, 102, 4, 17, 10000),
        (250, 256, 10, 35, 25000),
        (500, 512, 20, 59, 50000),
        (1000, 1024, 39, 100, 100000),
        (1500, 1536, 59, 138, 150000),
        (2000, 2048, 79, 174, 200000),
        (4000, 4096, 157, 303, 400000),
        (8000, 8192, 313, 532, 800000),
        (256000, 262144, 10000, 10000, 25600000),
    ],
)
def test_6_5_shares_weights_and_quota(
    milli: int, expected_shares: int, of_pod: int, of_container: int, quota: int
) -> None:
    assert shares(milli) == expected_shares
    assert pod_weight(milli) == of_pod
    assert container_weight(milli) == of_container
    assert cpu_max(milli) == f"{quota} 100000"


def test_6_5_nothing_asked_for_is_the_least() -> None:
    assert (shares(0), pod_weight(0), container_weight(0)) == (2, 1, 1)
    assert cpu_max(None) == "max 100000"
    assert cpu_max(1) == "1000 100000", "never less than a millisecond"


BOTH = {"cpu": "500m", "memory": "64Mi"}


def test_6_6_a_guaranteed_pod_lies_directly_below_kubepods_with_all_limits() -> None:
    settings = pod_cgroup(pod({"limits": BOTH, "requests": BOTH}))
    assert settings.path == "kubepods/podu-1"
    assert settings.files == {
        "cpu.weight": "20",
        "cpu.max": "50000 100000",
        "memory.max": str(64 << 20),
    }


def test_6_6_a_burstable_pod_is_limited_only_if_every_container_is() -> None:
    one = {"requests": {"cpu": "100m"}, "limits": BOTH}
    assert "memory.max" in pod_cgroup(pod(one, one)).files
    assert "memory.max" not in pod_cgroup(pod(one, {})).files
    assert "memory.max" not in pod_cgroup(pod(one, init=({},))).files
    assert pod_cgroup(pod(one, {})).path == "kubepods/burstable/podu-1"


def test_6_6_a_best_effort_pod_has_the_least_weight_and_no_limit() -> None:
    settings = pod_cgroup(pod({}))
    assert (settings.path, settings.files) == ("kubepods/besteffort/podu-1", {"cpu.weight": "1"})


def test_6_6_what_a_container_gets() -> None:
    made = pod({"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}})
    assert made.spec is not None
    assert made.spec.containers is not None
    settings = container_cgroup(made, made.spec.containers[0], "id", "kubepods/burstable/podu-1")
    assert settings.path == "kubepods/burstable/podu-1/id"
    assert settings.files == {
        "cpu.weight": "35",
        "cpu.max": "max 100000",
        "memory.max": str(64 << 20),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "max",
    }
    assert settings.needs == {"memory"}


@pytest.mark.parametrize(
    ("request_", "score"),
    [
        (None, 999),
        ("16Mi", 997),
        ("64Mi", 985),
        ("128Mi", 969),
        ("256Mi", 938),
        ("512Mi", 875),
        ("1Gi", 750),
        ("2Gi", 500),
        ("4Gi", 3),
    ],
)
def test_6_8_oom_score_of_a_burstable_container_on_a_node_of_4_gi(request_: str | None, score: int) -> None:
    resources = {"requests": {"cpu": "1m", "memory": request_} if request_ else {"cpu": "1m"}}
    made = pod(resources)
    assert made.spec is not None
    assert made.spec.containers is not None
    assert oom_score_adj(made, made.spec.containers[0], 4 * GI) == score


def test_6_8_guaranteed_and_best_effort() -> None:
    for resources, score in (({"limits": BOTH, "requests": BOTH}, -997), ({}, 1000)):
        made = pod(resources)
        assert made.spec is not None
        assert made.spec.containers is not None
        assert oom_score_adj(made, made.spec.containers[0], 4 * GI) == score


def test_6_6_limits_of_the_pod_as_a_whole() -> None:
    """They limit the pod whatever its containers say, and each container that has none of its own."""
    made = pod({}, resources={"limits": BOTH, "requests": {"cpu": "250m"}})
    assert pod_cgroup(made) == CgroupSettings(
        "kubepods/burstable/podu-1",
        {"cpu.weight": "10", "cpu.max": "50000 100000", "memory.max": str(64 << 20)},
    )
    files = of_container(made, Enforcement())
    assert (files["cpu.max"], files["memory.max"]) == ("50000 100000", str(64 << 20))
    assert files["cpu.weight"] == "1", "requests are not handed down"
    smaller = pod({"limits": {"memory": "16Mi"}}, resources={"limits": BOTH})
    assert of_container(smaller, Enforcement())["memory.max"] == str(16 << 20)
    assert pod_cgroup(pod({}, resources={"limits": BOTH, "requests": BOTH})).path == "kubepods/podu-1"


def test_6_8_what_a_pod_asks_for_beyond_its_containers_is_divided_among_them() -> None:
    """4 GiB; 1 GiB for the pod, of which the containers ask for half: a quarter more for each of two."""
    half = {"requests": {"memory": "512Mi"}}
    made = pod(half, {"requests": {"cpu": "1m"}}, resources={"requests": {"memory": "1Gi"}})
    assert made.spec is not None
    assert made.spec.containers is not None
    scores = [oom_score_adj(made, container, 4 * GI) for container in made.spec.containers]
    assert scores == [1000 - 1000 * 768 // 4096, 1000 - 1000 * 256 // 4096]


def test_6_8_a_sidecar_dies_no_earlier_than_what_it_serves() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"memory": "16Mi"}}}
    made = pod({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "2Gi"}})
    assert made.spec is not None
    made.spec.init_containers = [from_dict(Container, sidecar)]
    assert oom_score_adj(made, made.spec.init_containers[0], 4 * GI) == 750


def test_6_8_a_critical_pod_is_as_good_as_a_guaranteed_one() -> None:
    made = pod({}, priorityClassName="system-node-critical")
    assert oom_score_adj(made, only(made), 4 * GI) == -997


SIZES = (2 << 20, 1 << 30)


def test_6_6_every_page_size_of_the_node_is_limited_if_only_to_nothing() -> None:
    made = pod({"limits": {**BOTH, "hugepages-2Mi": "4Mi"}, "requests": BOTH})
    rules = Enforcement(huge_pages=SIZES)
    pages = {"hugetlb.2MB.max": str(4 << 20), "hugetlb.1GB.max": "0"}
    for files in (pod_cgroup(made, rules).files, of_container(made, rules)):
        assert {name: value for name, value in files.items() if name.startswith("hugetlb")} == pages
    assert "hugetlb.2MB.max" not in pod_cgroup(pod({})).files, "where the kernel has no such controller"


def test_6_10_huge_pages_need_the_controller() -> None:
    made = pod({"limits": {**BOTH, "hugepages-64Ki": "64Ki"}})
    settings = container_cgroup(made, only(made), "id", "p")
    assert settings.files["hugetlb.64KB.max"] == "65536"
    assert "hugetlb" in settings.needs
    assert "hugetlb" not in pod_cgroup(pod({}), Enforcement(huge_pages=SIZES)).needs


def test_6_5_the_period_is_configurable_and_quotas_may_be_off() -> None:
    made = pod({"limits": BOTH, "requests": BOTH})
    assert of_container(made, Enforcement(cpu_period_us=10_000))["cpu.max"] == "5000 10000"
    off = Enforcement(cpu_quota=False)
    assert of_container(made, off)["cpu.max"] == "max 100000"
    assert "cpu.max" not in pod_cgroup(made, off).files


def test_6_7_one_process_may_be_killed_alone() -> None:
    assert of_container(pod({}), Enforcement(single_process_oom_kill=True))["memory.oom.group"] == "0"


ON = MemoryQoS(enabled=True, allocatable=4 * GI, capacity=4 * GI)


@pytest.mark.parametrize(
    ("resources", "high"),
    [
        pytest.param(
            {"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}}, 190 << 20, id="beside the limit"
        ),
        pytest.param({"requests": {"memory": "1Gi"}}, 3972841472, id="beside what the node has"),
        pytest.param({"limits": {"memory": "200Mi"}}, 180 << 20, id="without a request"),
        pytest.param(
            {"requests": {"memory": "1000001"}, "limits": {"memory": "1000002"}},
            None,
            id="not above the request",
        ),
        pytest.param({"requests": BOTH, "limits": BOTH}, None, id="Guaranteed"),
        pytest.param({}, None, id="BestEffort"),
    ],
)
def test_6_7_memory_high(resources: dict[str, Any], high: int | None) -> None:
    files = of_container(pod(resources), Enforcement(memory=ON))
    assert files["memory.high"] == ("max" if high is None else str(high))


def test_6_7_memory_is_protected_only_with_tiered_reservation() -> None:
    guaranteed, burstable = pod({"limits": BOTH, "requests": BOTH}), pod({"requests": BOTH})
    off, on = Enforcement(memory=ON), Enforcement(memory=replace(ON, tiered_reservation=True))
    for made in (guaranteed, burstable, pod({})):
        names = of_container(made, off).keys() | pod_cgroup(made, off).files.keys()
        assert not {"memory.min", "memory.low"} & names
    asked = str(64 << 20)
    for made, name in ((guaranteed, "memory.min"), (burstable, "memory.low")):
        assert of_container(made, on)[name] == pod_cgroup(made, on).files[name] == asked
    kubepods, of_burstable, _ = qos_cgroups([guaranteed, burstable], milli_cpu=1, memory=GI, rules=on)
    assert (kubepods.files["memory.min"], kubepods.files["memory.low"]) == (asked, asked)
    assert of_burstable.files["memory.low"] == asked


def test_6_7_swap_is_a_burstable_containers_share_of_it() -> None:
    limited = Enforcement(memory=MemoryQoS(limited_swap=True, capacity=4 * GI, swap_total=2 * GI))
    asking = {"requests": {"memory": "1Gi"}}
    assert of_container(pod(asking), limited)["memory.swap.max"] == str(GI // 2)
    assert of_container(pod(asking), Enforcement())["memory.swap.max"] == "0", "NoSwap"
    for made in (
        pod({"requests": BOTH, "limits": BOTH}),
        pod({}),
        pod({"requests": {"cpu": "1"}}),
        pod({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
        pod(asking, priorityClassName="system-node-critical"),
    ):
        assert of_container(made, limited)["memory.swap.max"] == "0"


def test_6_6_kubepods_and_its_classes() -> None:
    burstable = [pod({"requests": {"cpu": "250m"}}), pod({"requests": {"cpu": "750m"}})]
    active = [*burstable, pod({}), pod({"limits": BOTH, "requests": BOTH})]
    assert qos_cgroups(active, milli_cpu=2000, memory=GI, pids=4096) == [
        CgroupSettings("kubepods", {"cpu.weight": "79", "memory.max": str(GI), "pids.max": "4096"}),
        CgroupSettings("kubepods/burstable", {"cpu.weight": "39"}),
        CgroupSettings("kubepods/besteffort", {"cpu.weight": "1"}),
    ]
