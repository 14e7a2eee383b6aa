"""Which pods this node takes, and what is written when it does.

Pure. One node means one answer: a pod that is not gated and asks for no other node is bound here
(kubelet-behaviour 12.2).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

SCHEDULER = "default-scheduler"


def wants_binding(pod: dict[str, Any]) -> bool:
    """Not bound yet, not being deleted, no scheduling gate."""
    spec, metadata = pod["spec"], pod["metadata"]
    return not (spec.get("nodeName") or spec.get("schedulingGates") or metadata.get("deletionTimestamp"))


def bound(pod: dict[str, Any], node: str, now: datetime) -> dict[str, Any]:
    """The pod as it looks once bound: nodeName, and PodScheduled True."""
    status = pod.get("status", {})
    others = [c for c in status.get("conditions", ()) if c["type"] != "PodScheduled"]
    condition = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": pod["metadata"].get("generation"),
    }
    return pod | {
        "spec": pod["spec"] | {"nodeName": node},
        "status": status | {"conditions": [*others, condition]},
    }


def assigned_message(pod: dict[str, Any], node: str) -> str:
    metadata = pod["metadata"]
    return f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
