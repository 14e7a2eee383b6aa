"""How a Node shows pressure besides its conditions: taints and Events (kubelet-behaviour 13.5, 13.6). Pure.

On a cluster it is the node life-cycle controller that taints by condition; here the node does it itself, in
the same write as the condition.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from minikubelet.agent.eviction.pressure import DISK_PRESSURE, MEMORY_PRESSURE, PID_PRESSURE, TAINTS

_EVENTS = {  # while it is False, and while it is True
    MEMORY_PRESSURE: ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    DISK_PRESSURE: ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    PID_PRESSURE: ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
}


def pressure_event(condition: str, is_true: bool) -> str:
    """The reason of the Event that a condition has changed."""
    return _EVENTS[condition][is_true]


def set_pressure_taints(node: dict[str, Any], pressures: Collection[str], now: datetime) -> None:
    """In the Node object: ours are set and taken away, all others stay; one that is there keeps its time."""
    spec = node.setdefault("spec", {})
    before = spec.get("taints") or []
    wanted = [TAINTS[condition] for condition in TAINTS if condition in pressures]
    kept = [taint for taint in before if taint["key"] not in TAINTS.values() or taint["key"] in wanted]
    known = {taint["key"] for taint in kept}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    added = [{"key": key, "effect": "NoSchedule", "timeAdded": stamp} for key in wanted if key not in known]
    if kept or added:
        spec["taints"] = [*kept, *added]
    else:
        spec.pop("taints", None)
