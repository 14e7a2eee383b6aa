"""kubelet-behaviour 6.2 and 6.3."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.v1 import PodStatus, from_dict
from minikubelet.v1.qos import effective_requests, pod_limits, pod_requests, qos_class
from tests.unit.v1.pods import pod

BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("container", "init", "spec", "expected"),
    [
        pytest.param({}, None, {}, "BestEffort", id="nothing anywhere"),
        pytest.param({"limits": {"cpu": "0"}}, None, {}, "BestEffort", id="zero counts as absent"),
        pytest.param({"limits": BOTH}, None, {}, "Guaranteed", id="limits alone are requests too"),
        pytest.param({"limits": BOTH, "requests": BOTH}, None, {}, "Guaranteed", id="equal"),
        pytest.param(
            {"limits": BOTH, "requests": {"cpu": "1000m"}}, None, {}, "Guaranteed", id="equal amounts"
        ),
        pytest.param(
            {"limits": BOTH, "requests": {"cpu": "500m"}}, None, {}, "Burstable", id="smaller request"
        ),
        pytest.param({"limits": {"cpu": "1"}}, None, {}, "Burstable", id="memory is missing"),
        pytest.param({"requests": {"memory": "1Mi"}}, None, {}, "Burstable", id="a request only"),
        pytest.param({"limits": BOTH}, {}, {}, "Burstable", id="an init container without limits"),
        pytest.param({"limits": BOTH}, {"limits": BOTH}, {}, "Guaranteed", id="init containers count"),
        pytest.param(
            {"limits": {"example.com/gpu": 1}}, None, {}, "BestEffort", id="other resources do not count"
        ),
        pytest.param({}, None, {"resources": {"limits": BOTH}}, "Guaranteed", id="pod-level values decide"),
        pytest.param(
            {"limits": BOTH}, None, {"resources": {"requests": BOTH}}, "Burstable", id="pod-level wins"
        ),
    ],
)
def test_qos_class(
    container: dict[str, Any], init: dict[str, Any] | None, spec: dict[str, Any], expected: str
) -> None:
    setup = None if init is None else {"resources": init}
    assert qos_class(pod(container={"resources": container}, init=setup, **spec)) == expected


def asks(name: str, cpu: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("containers", "init", "expected"),
    [
        pytest.param([asks("a", "1"), asks("b", "2")], [], "3", id="regular containers add up"),
        pytest.param(
            [asks("a", "1")], [asks("i", "5"), asks("j", "3")], "5", id="the largest init container"
        ),
        pytest.param(
            [asks("a", "1")], [asks("s", "2", restartPolicy="Always")], "3", id="a sidecar beside the regular"
        ),
        pytest.param(
            [asks("a", "1")],
            [asks("s", "2", restartPolicy="Always"), asks("i", "5")],
            "7",
            id="an init container beside the sidecars before it",
        ),
        pytest.param(
            [asks("a", "1")],
            [asks("i", "5"), asks("s", "2", restartPolicy="Always")],
            "5",
            id="but not beside those after it",
        ),
    ],
)
def test_aggregated_requests(containers: list[Any], init: list[Any], expected: str) -> None:
    assert pod_requests(pod(containers=containers, initContainers=init)) == {"cpu": expected}


def test_overhead_is_added_and_pod_level_values_replace_the_sum() -> None:
    made = pod(
        containers=[asks("a", "1")],
        overhead={"cpu": "250m"},
        resources={"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
    )
    assert pod_requests(made) == {"cpu": "2250m", "memory": "1Gi"}
    assert pod_limits(made) == {"memory": "1Gi"}


def test_amounts_of_one_format_keep_it() -> None:
    made = pod(
        containers=[{"name": n, "image": "i", "resources": {"limits": {"memory": "512Mi"}}} for n in "ab"]
    )
    assert pod_limits(made) == {"memory": "1Gi"}


def has(cpu: str, allocated: str = "", reason: str = "") -> dict[str, Any]:
    """The status of container `a`, to which `cpu` is applied."""
    one: dict[str, Any] = {"name": "a", "resources": {"requests": {"cpu": cpu}}}
    if allocated:
        one["allocatedResources"] = {"cpu": allocated}
    conditions = [{"type": "PodResizePending", "status": "True", "reason": reason}] if reason else []
    return {"containerStatuses": [one], "conditions": conditions}


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        pytest.param("2", {}, "2", id="nothing is known yet"),
        pytest.param("2", has("1"), "2", id="it is growing"),
        pytest.param("1", has("2"), "2", id="it is shrinking"),
        pytest.param("1", has("1", "3"), "3", id="allocated counts"),
        pytest.param("5", has("1", "1", "Deferred"), "5", id="a resize that waits is reserved for"),
        pytest.param("5", has("1", "1", "Infeasible"), "1", id="one that cannot be is not"),
    ],
)
def test_a_scheduler_counts_the_largest_of_asked_allocated_and_applied(
    asked: str, status: dict[str, Any], expected: str
) -> None:
    made = pod(containers=[asks("a", asked)])
    made.status = from_dict(PodStatus, status)
    assert effective_requests(made) == {"cpu": expected}


def test_effective_requests_of_a_pod_with_pod_level_values() -> None:
    made = pod(containers=[asks("a", "1")], overhead={"cpu": "1"}, resources={"requests": {"cpu": "2"}})
    made.status = from_dict(PodStatus, {"resources": {"requests": {"cpu": "3"}}})
    assert effective_requests(made) == {"cpu": "4"}
    made.status = from_dict(
        PodStatus,
        {
            "resources": {"requests": {"cpu": "1"}},
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
        },
    )
    assert effective_requests(made) == {"cpu": "2"}
