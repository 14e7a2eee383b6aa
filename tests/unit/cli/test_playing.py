"""The story play tells: from two looks at a pod to lines; and the network it chooses."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from minikubelet.cli.errors import NodeNotFit
from minikubelet.cli.playing.changes import Change, event_change, finished, healthy, pod_changes
from minikubelet.cli.playing.private_agent import NODE_NOT_FIT, PrivateAgent, free_network, mounts_below


def pod(phase="Running", *containers, ready=None, **metadata):
    status = {"phase": phase, "containerStatuses": list(containers)}
    if ready is not None:
        status["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": "web", **metadata}, "status": status}


def runs(**more):
    return {"name": "main", "restartCount": 0, "state": {"running": {}}, **more}


def ended(code, reason="Error", **more):
    return {
        "name": "main",
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason}},
        **more,
    }


def waits(reason, **more):
    return {"name": "main", "restartCount": 0, "state": {"waiting": {"reason": reason}}, **more}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        pytest.param(None, pod("Pending"), ["web: Pending"], id="it appears"),
        pytest.param(
            pod("Pending", waits("ContainerCreating")),
            pod("Running", runs(started=True, ready=True), ready=True),
            [
                "web: Running",
                "web/main: runs",
                "web/main: has started",
                "web/main: is ready",
                "web: is ready",
            ],
            id="it starts",
        ),
        pytest.param(
            pod("Running", runs(ready=True), ready=True),
            pod("Running", runs(ready=False), ready=False),
            ["web/main: is not ready", "web: is not ready"],
            id="the readiness probe fails",
        ),
        pytest.param(
            pod("Running", runs()),
            pod("Running", ended(3)),
            ["web/main: ended with exit code 3 !"],
            id="a container fails",
        ),
        pytest.param(
            pod("Running", runs()),
            pod("Running", ended(137, "OOMKilled")),
            ["web/main: ended with exit code 137 (OOMKilled) !"],
            id="a container is killed for its memory",
        ),
        pytest.param(
            pod("Running", runs()),
            pod(
                "Running", runs(restartCount=1, lastState={"terminated": {"exitCode": 1, "reason": "Error"}})
            ),
            ["web/main: restarted, 1 times by now", "web/main: had ended with exit code 1 !"],
            id="a restart between two looks",
        ),
        pytest.param(
            pod("Running", ended(1)),
            pod("Running", waits("CrashLoopBackOff")),
            ["web/main: waits: CrashLoopBackOff !"],
            id="it backs off",
        ),
        pytest.param(
            pod(), pod(deletionTimestamp="2026-01-01T00:00:00Z"), ["web: is being deleted"], id="deletion"
        ),
        pytest.param(pod("Running", runs()), pod("Running", runs()), [], id="nothing"),
    ],
)
def test_what_changed(before, after, lines):
    changes = pod_changes(before, after)
    assert [f"{change.who}: {change.text}{' !' if change.grave else ''}" for change in changes] == lines


def test_an_event_is_a_line_about_its_container():
    about = {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{main}"}
    event = {
        "involvedObject": about,
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "failed:\n 500",
        "count": 2,
    }
    assert event_change(event) == Change("web/main", "Unhealthy: failed: 500 (x2)", True)
    assert event_change({"involvedObject": {"kind": "Node", "name": "n"}}) is None


@pytest.mark.parametrize(
    ("pods", "is_finished", "is_healthy"),
    [
        ([pod("Running", runs())], False, True),
        ([pod("Succeeded", ended(0)), pod("Succeeded", ended(0))], True, True),
        ([pod("Succeeded", ended(0)), pod("Failed", ended(1))], True, False),
        ([pod("Running", waits("CrashLoopBackOff"))], False, False),
        ([pod("Pending", waits("ErrImageNeverPull"))], False, False),
        ([pod("Pending", waits("ContainerCreating"))], False, True),
    ],
)
def test_when_it_is_over_and_whether_it_was_good(pods, is_finished, is_healthy):
    known = {str(at): item for at, item in enumerate(pods)}
    assert (finished(known), healthy(known)) == (is_finished, is_healthy)


def test_the_pod_network_is_one_nothing_is_routed_to():
    taken = [IPv4Network("10.192.0.0/11"), IPv4Network("10.224.0.0/12")]
    for _ in range(50):
        network = free_network(taken)
        assert network.prefixlen == 24
        assert not any(network.overlaps(route) for route in taken)


def test_mounts_below_a_directory_are_found(tmp_path):
    assert mounts_below(tmp_path) == []
    from pathlib import Path

    assert "/proc" in mounts_below(Path("/proc"))


def test_an_agent_that_is_not_fit_is_told_as_such_although_it_takes_a_moment_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears more of it when its output is closed, and only later how it ended."""
    agent = tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\necho no overlay >&2\nexec >&-\nsleep 0.2\nexit {NODE_NOT_FIT}\n")
    agent.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(agent))
    private = PrivateAgent(tmp_path, "mkp0", "10.200.0.0/24")
    with pytest.raises(NodeNotFit, match=f"it ended with exit code {NODE_NOT_FIT}\nno overlay"):
        private.start()
    private.stop()
