"""Which pods this node takes, and what is written when it does.

Pure. One node means one answer: a pod that is not gated, asks for no other node and fits (`admission`) is
bound here; one that does not fit waits, and says why (kubelet-behaviour 1.7, 12.2).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

SCHEDULER = "default-scheduler"
UNSCHEDULABLE = "Unschedulable"


def wants_binding(pod: dict[str, Any]) -> bool:
    """Not bound yet, not being deleted, no scheduling gate."""
    spec, metadata = pod["spec"], pod["metadata"]
    return not (spec.get("nodeName") or spec.get("schedulingGates") or metadata.get("deletionTimestamp"))


def bound(pod: dict[str, Any], node: str, now: datetime) -> dict[str, Any]:
    """The pod as it looks once bound: nodeName, and PodScheduled True."""
    pod = _with_condition(pod, now, {"status": "True"})
    return pod | {"spec": pod["spec"] | {"nodeName": node}}


def waiting(pod: dict[str, Any], message: str, now: datetime) -> dict[str, Any]:
    """The pod as it looks while it does not fit; the same object when that has been said already."""
    reason = {"status": "False", "reason": UNSCHEDULABLE, "message": message}
    before = _condition(pod)
    if before is not None and reason.items() <= before.items():
        return pod
    return _with_condition(pod, now, reason)


def _condition(pod: dict[str, Any]) -> dict[str, Any] | None:
    conditions = pod.get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == "PodScheduled"), None)


def _with_condition(pod: dict[str, Any], now: datetime, value: dict[str, str]) -> dict[str, Any]:
    status = pod.get("status", {})
    others = [c for c in status.get("conditions", ()) if c["type"] != "PodScheduled"]
    condition = {
        "type": "PodScheduled",
        "lastProbeTime": None,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": pod["metadata"].get("generation"),
        **value,
    }
    return pod | {"status": status | {"conditions": [*others, condition]}}


def assigned_message(pod: dict[str, Any], node: str) -> str:
    metadata = pod["metadata"]
    return f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
