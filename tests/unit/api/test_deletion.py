"""What a DELETE makes of a pod (kubelet-behaviour 4.3, the API server's row)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minikubelet.v1.graceful_deletion import begin, pod_grace

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def pod(phase: str = "Running", node: str = "node", own: int = 30) -> dict:
    return {
        "metadata": {"name": "web", "generation": 1},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": own},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("which", "asked", "grace"),
    [
        pytest.param(pod(), None, 30, id="its own"),
        pytest.param(pod(), 5, 5, id="the request's, shorter"),
        pytest.param(pod(), 500, 500, id="the request's, longer"),
        pytest.param(pod(), 0, 0, id="forced"),
        pytest.param(pod(), -1, 1, id="negative: one second"),
        pytest.param(pod(node=""), None, 0, id="not scheduled"),
        pytest.param(pod("Succeeded"), 30, 0, id="succeeded"),
        pytest.param(pod("Failed"), None, 0, id="failed"),
    ],
)
def test_how_long_a_pod_is_given_4_3(which: dict, asked: int | None, grace: int) -> None:
    assert pod_grace(which, asked) == grace


def test_the_timestamp_is_the_deadline_and_the_generation_counts_4_3() -> None:
    deleted = pod()
    begin(deleted, None, NOON)
    assert deleted["metadata"] == {
        "name": "web",
        "generation": 2,
        "deletionTimestamp": "2026-01-01T12:00:30Z",
        "deletionGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("asked", "grace", "deadline"),
    [
        pytest.param(None, 30, "12:00:30", id="nothing asked"),
        pytest.param(60, 30, "12:00:30", id="longer: no"),
        pytest.param(30, 30, "12:00:30", id="the same"),
        pytest.param(10, 10, "12:00:10", id="shorter: from the first request on"),
        pytest.param(-1, 1, "12:00:01", id="negative"),
        pytest.param(0, 0, "12:00:00", id="forced"),
    ],
)
def test_a_repeated_deletion_only_shortens_4_3(asked: int | None, grace: int, deadline: str) -> None:
    deleted = pod()
    begin(deleted, 30, NOON)
    begin(deleted, asked, NOON + timedelta(seconds=5))
    metadata = deleted["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == grace
    assert metadata["deletionTimestamp"] == f"2026-01-01T{deadline}Z"
    assert metadata["generation"] == 2, "the second request changes no generation"
