"""Nodes with pods on them, for the tables about scheduling."""

from __future__ import annotations

from typing import Any

from minikubelet.agent.scheduler.node_info import NodeInfo, PlacedPod
from minikubelet.agent.scheduler.resources import amounts
from minikubelet.v1 import Pod, Taint, from_dict

ALLOCATABLE = {"pods": "10", "cpu": "4", "memory": "1Gi", "ephemeral-storage": "10Gi"}
LABELS = {"kubernetes.io/hostname": "node1", "kubernetes.io/os": "linux", "disk": "ssd", "cores": "4"}


def make_pod(name: str = "new", labels: dict[str, str] | None = None, **fields: Any) -> Pod:
    """`requests` and `limits` are of its one container, `namespace`, `annotations`, `status` as they are; all
    else is of the spec.
    """
    resources = {key: fields.pop(key) for key in ("requests", "limits") if key in fields}
    metadata = {
        "name": name,
        "uid": name,
        "namespace": fields.pop("namespace", "default"),
        "labels": labels or {},
        **{key: fields.pop(key) for key in ("annotations", "deletionTimestamp") if key in fields},
    }
    status = fields.pop("status", {})
    container = {"name": "c", "image": "localhost/host", "resources": resources}
    spec = {"containers": [container], **fields}
    return from_dict(Pod, {"metadata": metadata, "spec": spec, "status": status})


def make_node(*pods: Pod, taints: list[dict[str, str]] | None = None, **fields: Any) -> NodeInfo:
    """`allocatable` over what is usual here; all else is the NodeInfo's."""
    allocatable = {**ALLOCATABLE, **fields.pop("allocatable", {})}
    return NodeInfo(
        name="node1",
        labels=fields.pop("labels", LABELS),
        taints=tuple(from_dict(Taint, taint) for taint in taints or ()),
        allocatable=amounts(allocatable),
        pods=tuple(PlacedPod.of(pod) for pod in pods),
        **fields,
    )
