"""How a pod's object looks once it is bound, while it waits, and when it has to make room. Pure, on the
store's dicts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.v1.wire import format_time

SCHEDULER = "default-scheduler"
UNSCHEDULABLE = "Unschedulable"


def wants_binding(pod: dict[str, Any]) -> bool:
    """Not bound yet, not being deleted, no scheduling gate."""
    spec, metadata = pod["spec"], pod["metadata"]
    return not (spec.get("nodeName") or spec.get("schedulingGates") or metadata.get("deletionTimestamp"))


def bound(pod: dict[str, Any], node: str, now: datetime) -> dict[str, Any]:
    """The pod as it looks once bound: nodeName, and PodScheduled True."""
    pod = _with_condition(pod, now, {"type": "PodScheduled", "status": "True"})
    status = {key: value for key, value in pod["status"].items() if key != "nominatedNodeName"}
    return pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status}


def waiting(pod: dict[str, Any], message: str, now: datetime, nominated: str | None = None) -> dict[str, Any]:
    """The pod as it looks while it does not fit; the same object when that has been said already.

    `nominated`: the node where others are being ended for it.
    """
    reason = {"status": "False", "reason": UNSCHEDULABLE, "message": message}
    before = _condition(pod, "PodScheduled")
    if before is not None and reason.items() <= before.items():
        return pod
    told = _with_condition(pod, now, {"type": "PodScheduled", **reason})
    if nominated:
        told = told | {"status": told["status"] | {"nominatedNodeName": nominated}}
    return told


def disrupted(pod: dict[str, Any], reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The pod, told why it has to go: by preemption, by a taint."""
    why = {"reason": reason, "message": message}
    return _with_condition(pod, now, {"type": "DisruptionTarget", "status": "True", **why})


def assigned_message(pod: dict[str, Any], node: str) -> str:
    metadata = pod["metadata"]
    return f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"


def _condition(pod: dict[str, Any], type: str) -> dict[str, Any] | None:
    conditions = pod.get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == type), None)


def _with_condition(pod: dict[str, Any], now: datetime, value: dict[str, str]) -> dict[str, Any]:
    """`lastTransitionTime` moves with `status` only."""
    status = pod.get("status", {})
    before = _condition(pod, value["type"]) or {}
    same = before.get("status") == value["status"] and before.get("lastTransitionTime")
    others = [c for c in status.get("conditions", ()) if c["type"] != value["type"]]
    condition = {
        "lastProbeTime": None,
        "lastTransitionTime": same or format_time(now),
        "observedGeneration": pod["metadata"].get("generation"),
        **value,
    }
    return pod | {"status": status | {"conditions": [*others, condition]}}
