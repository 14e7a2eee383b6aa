"""How a node shows that it is under pressure (13.2, 13.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minikubelet.agent.node_pressure import pressure_event, set_pressure_taints
from minikubelet.agent.node_status import MachineFacts, node_status
from minikubelet.runtime.node_stats import memory

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FACTS = MachineFacts("n", "192.0.2.1", 2, 1 << 30, 1 << 40, "6.1", "Debian", "amd64", "", "", "")


def shown(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    found = next(c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_conditions_13_2() -> None:
    well, ill = node_status(FACTS, NOW), node_status(FACTS, NOW, None, ["MemoryPressure", "PIDPressure"])
    assert [c["type"] for c in ill["conditions"]] == [
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "Ready",
    ]
    assert shown(well, "MemoryPressure") == (
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    )
    assert shown(ill, "MemoryPressure") == (
        "True",
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
    )
    assert shown(ill, "DiskPressure") == ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure")
    assert shown(ill, "PIDPressure") == (
        "True",
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
    )


def test_a_transition_moves_its_time_and_no_others() -> None:
    later = node_status(FACTS, NOW + timedelta(hours=1), node_status(FACTS, NOW), ["DiskPressure"])
    times = {c["type"]: c["lastTransitionTime"] for c in later["conditions"]}
    assert times["DiskPressure"] == "2026-11-28T01:00:00Z"
    assert times["Ready"] == times["MemoryPressure"] == "2026-11-28T00:00:00Z"


def test_taints_come_and_go_and_other_peoples_stay() -> None:
    own = {"key": "dedicated", "effect": "NoExecute"}
    node: dict[str, Any] = {"spec": {"taints": [own]}}
    set_pressure_taints(node, ["DiskPressure"], NOW)
    taint = {
        "key": "node.kubernetes.io/disk-pressure",
        "effect": "NoSchedule",
        "timeAdded": "2026-11-28T00:00:00Z",
    }
    assert node["spec"]["taints"] == [own, taint]
    set_pressure_taints(node, ["DiskPressure"], NOW + timedelta(hours=1))
    assert node["spec"]["taints"] == [own, taint]
    set_pressure_taints(node, [], NOW)
    assert node["spec"]["taints"] == [own]
    node = {}
    set_pressure_taints(node, [], NOW)
    assert node == {"spec": {}}


def test_events_of_a_change() -> None:
    assert pressure_event("MemoryPressure", True) == "NodeHasInsufficientMemory"
    assert pressure_event("DiskPressure", False) == "NodeHasNoDiskPressure"


def test_memory_is_capacity_less_the_working_set_13_6() -> None:
    """Anonymous pages and page cache are usage; file pages that nobody used lately could go at once."""
    text = "\n".join(
        f"{name}:   {kib} kB"
        for name, kib in {
            "MemTotal": 1000,
            "MemFree": 1,
            "Buffers": 20,
            "Cached": 300,
            "SwapCached": 5,
            "Inactive(file)": 200,
            "AnonPages": 400,
            "HugePages_Total": 0,
        }.items()
    )
    left = memory(text)
    assert (left.available, left.capacity) == ((1000 - (400 + 325 - 200)) * 1024, 1000 * 1024)
