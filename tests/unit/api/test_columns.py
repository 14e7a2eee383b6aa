"""STATUS, READY, RESTARTS and AGE, row by row as kube-apiserver prints them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minikubelet.api.columns import COLUMNS
from minikubelet.api.columns.base import human_duration
from minikubelet.api.columns.events import event_cells
from minikubelet.api.columns.nodes import node_cells
from minikubelet.api.columns.others import claim_cells
from minikubelet.api.columns.pods import PodSummary, pod_cells
from minikubelet.api.columns.texts import TEXTS

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE + 5, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + HOUR, "2d1h"),
        (8 * DAY + HOUR, "8d"),
        (729 * DAY, "729d"),
        (2 * 365 * DAY, "2y"),
        (2 * 365 * DAY + DAY, "2y1d"),
        (8 * 365 * DAY + DAY, "8y"),
    ],
)
def test_durations_read_as_kubectls(seconds, text):
    assert human_duration(seconds) == text


def running(name="main", ready=True, restarts=0, finished=None):
    last = {"terminated": {"exitCode": 1, "finishedAt": finished}} if finished else {}
    state = {"running": {"startedAt": "2026-01-01T11:00:00Z"}}
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state, "lastState": last}


def waiting(reason, name="main", **more):
    return {"name": name, "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}, **more}


def ended(code, reason=None, name="main", signal=0):
    terminated = {"exitCode": code, "signal": signal, **({"reason": reason} if reason else {})}
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": terminated}}


def a_pod(*containers, init=(), sidecars=(), phase="Running", deleted=False, conditions=(), **status):
    metadata = {"name": "web", "creationTimestamp": "2026-01-01T11:59:55Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:30Z"
    init_spec = [
        {"name": c["name"], **({"restartPolicy": "Always"} if c["name"] in sidecars else {})} for c in init
    ]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": c["name"]} for c in containers] or [{"name": "main"}],
                 "initContainers": init_spec, "nodeName": "node"},
        "status": {
            "phase": phase,
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            "conditions": [{"type": kind, "status": value} for kind, value in conditions],
            **status,
        },
    }  # fmt: skip


INITIALIZING = waiting("PodInitializing")


@pytest.mark.parametrize(
    ("pod", "shown"),
    [
        pytest.param(a_pod(phase="Pending"), ("0/1", "Pending", "0"), id="new"),
        pytest.param(a_pod(running()), ("1/1", "Running", "0"), id="running"),
        pytest.param(a_pod(running(ready=False)), ("0/1", "Running", "0"), id="running, not ready"),
        pytest.param(
            a_pod(running("a"), waiting("CrashLoopBackOff", "b")),
            ("1/2", "CrashLoopBackOff", "0"),
            id="one crashes",
        ),
        pytest.param(
            a_pod(ended(1, "Error", "a"), waiting("CrashLoopBackOff", "b")),
            ("0/2", "Error", "0"),
            id="the first in the list with a reason wins",
        ),
        pytest.param(
            a_pod(running(restarts=3, finished="2026-01-01T11:59:56Z")),
            ("1/1", "Running", "3 (4s ago)"),
            id="restarted",
        ),
        pytest.param(a_pod(running(restarts=3)), ("1/1", "Running", "3"), id="restarted, when is not known"),
        pytest.param(
            a_pod(ended(0, "Completed"), phase="Succeeded"), ("0/1", "Completed", "0"), id="completed"
        ),
        pytest.param(a_pod(ended(2), phase="Failed"), ("0/1", "ExitCode:2", "0"), id="no reason"),
        pytest.param(
            a_pod(ended(137, signal=9), phase="Failed"), ("0/1", "Signal:9", "0"), id="signal, no reason"
        ),
        pytest.param(
            a_pod(ended(0, "Completed", "a"), running("b"), conditions=[("Ready", "True")]),
            ("1/2", "Running", "0"),
            id="one completed, one runs, ready",
        ),
        pytest.param(
            a_pod(ended(0, "Completed", "a"), running("b")),
            ("1/2", "NotReady", "0"),
            id="one completed, not ready",
        ),
        pytest.param(a_pod(phase="Failed", reason="Evicted"), ("0/1", "Evicted", "0"), id="status.reason"),
        pytest.param(a_pod(running(), deleted=True), ("1/1", "Terminating", "0"), id="terminating"),
        pytest.param(
            a_pod(ended(0, "Completed"), phase="Succeeded", deleted=True),
            ("0/1", "Completed", "0"),
            id="deleted, ended",
        ),
        pytest.param(
            a_pod(running(), deleted=True, reason="NodeLost"), ("1/1", "Unknown", "0"), id="node lost"
        ),
        pytest.param(
            a_pod(
                INITIALIZING,
                init=[ended(0, "Completed", "i"), waiting("PodInitializing", "j")],
                phase="Pending",
            ),
            ("0/1", "Init:1/2", "0"),
            id="second init container",
        ),
        pytest.param(
            a_pod(INITIALIZING, init=[ended(1, "Error", "i")], phase="Pending"),
            ("0/1", "Init:Error", "0"),
            id="init error",
        ),
        pytest.param(
            a_pod(INITIALIZING, init=[ended(3, None, "i")], phase="Pending"),
            ("0/1", "Init:ExitCode:3", "0"),
            id="init without reason",
        ),
        pytest.param(
            a_pod(INITIALIZING, init=[waiting("CrashLoopBackOff", "i", restartCount=2)], phase="Pending"),
            ("0/1", "Init:CrashLoopBackOff", "2"),
            id="init crash loop",
        ),
        pytest.param(
            a_pod(running(), init=[{**running("s", restarts=1), "started": True}], sidecars=["s"]),
            ("2/2", "Running", "1"),
            id="sidecar counts",
        ),
        pytest.param(
            a_pod(INITIALIZING, init=[{**running("s"), "started": False}], sidecars=["s"], phase="Pending"),
            ("0/2", "Init:0/1", "0"),
            id="sidecar has not started",
        ),
        pytest.param(
            a_pod(
                running(restarts=1),
                init=[waiting("CrashLoopBackOff", "i", restartCount=5)],
                conditions=[("Initialized", "True")],
            ),
            ("1/1", "Init:CrashLoopBackOff", "1"),
            id="initialised once: regular containers count again",
        ),
    ],
)
def test_a_pod_is_summed_up_as_the_api_server_does(pod, shown):
    assert tuple(pod_cells(pod, NOW)[1:4]) == shown


def test_a_scheduling_gate_is_shown():
    pod = a_pod(phase="Pending")
    pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    assert PodSummary(pod).reason == "SchedulingGated"


def test_wide_columns_of_a_pod():
    pod = a_pod(running(), podIPs=[{"ip": "10.0.0.9"}])
    pod["spec"]["readinessGates"] = [{"conditionType": "x"}, {"conditionType": "y"}]
    pod["status"]["conditions"] = [{"type": "x", "status": "True"}]
    assert pod_cells(pod, NOW)[4:] == ["5s", "10.0.0.9", "node", "<none>", "1/2"]


def test_a_node_shows_its_state_roles_and_addresses():
    node = {
        "metadata": {
            "name": "n",
            "creationTimestamp": "2026-01-01T11:00:00Z",
            "labels": {"node-role.kubernetes.io/b": "", "node-role.kubernetes.io/a": ""},
        },
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1", "osImage": "Debian"},
        },
    }
    assert node_cells(node, NOW) == [
        *("n", "Ready,SchedulingDisabled", "a,b", "60m", "v1", "10.0.0.1", "<none>", "Debian"),
        *("<unknown>", "<unknown>"),
    ]


def test_an_event_shows_what_happened_to_what():
    event = {
        "metadata": {"name": "web.1"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "text\n",
        "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{main}"},
        "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": "2026-01-01T11:59:00Z",
        "lastTimestamp": "2026-01-01T11:59:58Z",
        "count": 4,
    }
    assert event_cells(event, NOW) == [
        *(
            "2s",
            "Warning",
            "BackOff",
            "pod/web",
            "spec.containers{main}",
            "kubelet, n",
            "text",
            "60s",
            4,
            "web.1",
        )
    ]


def test_a_claim_shows_its_volume_once_it_is_bound():
    claim = {
        "metadata": {"name": "c", "creationTimestamp": "2026-01-01T11:59:00Z"},
        "spec": {"volumeName": "v", "storageClassName": "local", "volumeMode": "Filesystem"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
    }
    assert claim_cells(claim, NOW) == [
        "c",
        "Bound",
        "v",
        "1Gi",
        "RWO",
        "local",
        "<unset>",
        "60s",
        "Filesystem",
    ]


def test_every_column_says_what_it_shows():
    names = {column.name for columns in COLUMNS.values() for column in columns.definitions}
    assert names - TEXTS.keys() == set(), "write them into api/columns/texts.py"
