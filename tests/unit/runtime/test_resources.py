"""kubelet-behaviour 6.5 to 6.8, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.runtime.resources import (
    container_cgroup,
    container_weight,
    cpu_max,
    oom_score_adj,
    pod_cgroup,
    pod_weight,
    shares,
)
from minikubelet.v1 import Pod, from_dict

GI = 1 << 30


def pod(*resources: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> Pod:
    """A pod with one container for each `resources`."""

    def containers(each: tuple[dict[str, Any], ...], prefix: str) -> list[dict[str, Any]]:
        return [{"name": f"{prefix}{i}", "resources": one} for i, one in enumerate(each)]

    spec = {"containers": containers(resources, "c"), "initContainers": containers(init, "i")}
    return from_dict(Pod, {"metadata": {"name": "p", "uid": "u-1"}, "spec": spec})


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
