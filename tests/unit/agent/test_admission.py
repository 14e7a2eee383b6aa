"""kubelet-behaviour 7.1, the rows about resources, and what the scheduler says of its only node."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minikubelet.agent.admission import rejection, shortages, unschedulable
from minikubelet.agent.scheduler import bound, waiting, wants_binding
from minikubelet.v1 import Pod, from_dict

NODE = {"pods": "3", "cpu": "4", "memory": "1Gi"}
NOW = datetime(2026, 11, 22, 19, 5, tzinfo=UTC)


def pod(**requests: str) -> Pod:
    container = {"name": "c", "resources": {"requests": requests}}
    return from_dict(Pod, {"metadata": {"name": "p"}, "spec": {"containers": [container]}})


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
            {}, [{}, {}, {}], "OutOfpods", "pods, requested: 1, used: 3, capacity: 3", id="7.1 pods"
        ),
        pytest.param(
            {"cpu": "5", "memory": "2Gi"},
            [],
            "OutOfcpu",
            "cpu, requested: 5000, used: 0, capacity: 4000",
            id="7.1 only the first is reported",
        ),
    ],
)
def test_a_pod_that_does_not_fit_is_rejected_7_1(
    asked: dict[str, str], others: list[dict[str, str]], reason: str, message: str
) -> None:
    found = rejection(shortages(pod(**asked), [pod(**other) for other in others], NODE))
    assert found is not None
    assert found.reason == reason
    assert found.message == f"Node didn't have enough resource: {message}"


def test_who_asks_for_nothing_is_not_checked_for_it_7_1() -> None:
    assert shortages(pod(), [pod(cpu="9", memory="9Gi")], NODE) == []
    assert rejection([]) is None


def test_the_scheduler_names_everything_that_lacks() -> None:
    lacking = shortages(pod(cpu="5", memory="2Gi"), [pod(), pod(), pod()], NODE)
    assert unschedulable(lacking) == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_waiting_is_said_once_and_binding_takes_it_back() -> None:
    new: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {}, "status": {"phase": "Pending"}}
    told = waiting(new, "no room", NOW)
    (condition,) = told["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert waiting(told, "no room", NOW) is told
    assert waiting(told, "less room", NOW) is not told
    assert wants_binding(told)
    taken = bound(told, "node1", NOW)
    assert [c["status"] for c in taken["status"]["conditions"]] == ["True"]
    assert not wants_binding(taken)
