"""How a Node shows pressure and being cordoned: taints and Events (kubelet-behaviour 13.5, 13.6). Pure.

On a cluster it is the node life-cycle controller that sets these taints; here the node does it itself, by
condition in the same write as the condition.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from minikubelet.agent.eviction.pressure import DISK_PRESSURE, MEMORY_PRESSURE, PID_PRESSURE, TAINTS
from minikubelet.v1.wire import format_time

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_EVENTS = {  # while it is False, and while it is True
    MEMORY_PRESSURE: ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    DISK_PRESSURE: ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    PID_PRESSURE: ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
}


def pressure_event(condition: str, is_true: bool) -> str:
    """The reason of the Event that a condition has changed."""
    return _EVENTS[condition][is_true]


def set_cordon_taint(node: dict[str, Any], now: datetime) -> None:
    """A node that is cordoned (`spec.unschedulable`) has the taint that says so, another one has not."""
    spec = node.setdefault("spec", {})
    others = [taint for taint in spec.get("taints") or () if taint["key"] != UNSCHEDULABLE]
    own = [taint for taint in spec.get("taints") or () if taint["key"] == UNSCHEDULABLE]
    if spec.get("unschedulable") and not own:
        own = [{"key": UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": format_time(now)}]
    _set_taints(spec, [*others, *own] if spec.get("unschedulable") else others)


def set_pressure_taints(node: dict[str, Any], pressures: Collection[str], now: datetime) -> None:
    """In the Node object: ours are set and taken away, all others stay; one that is there keeps its time."""
    spec = node.setdefault("spec", {})
    before = spec.get("taints") or []
    wanted = [TAINTS[condition] for condition in TAINTS if condition in pressures]
    kept = [taint for taint in before if taint["key"] not in TAINTS.values() or taint["key"] in wanted]
    known = {taint["key"] for taint in kept}
    stamp = format_time(now)
    added = [{"key": key, "effect": "NoSchedule", "timeAdded": stamp} for key in wanted if key not in known]
    _set_taints(spec, [*kept, *added])


def _set_taints(spec: dict[str, Any], taints: list[dict[str, Any]]) -> None:
    """An empty list is no list."""
    if taints:
        spec["taints"] = taints
    else:
        spec.pop("taints", None)
