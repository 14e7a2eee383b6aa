"""Nodes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Column,
    Columns,
    Object,
    age,
)

ROLE = "node-role.kubernetes.io/"


def node_cells(node: Object, now: datetime) -> list[Any]:
    metadata, status = node["metadata"], node.get("status") or {}
    info = status.get("nodeInfo") or {}
    addresses: dict[str, str] = {}
    for address in status.get("addresses") or ():
        addresses.setdefault(address["type"], address["address"])
    roles = sorted(
        label.removeprefix(ROLE) for label in metadata.get("labels") or {} if label.startswith(ROLE)
    )
    return [
        metadata["name"],
        _node_status(node),
        ",".join(filter(None, roles)) or NONE,
        age(node, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(node: Object) -> str:
    conditions = {c["type"]: c["status"] for c in (node.get("status") or {}).get("conditions") or ()}
    ready = {"True": "Ready", "False": "NotReady", "Unknown": "NotReady"}.get(
        conditions.get("Ready", ""), "Unknown"
    )
    return f"{ready},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else ready


NODES = Columns(
    (
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        Column("Internal-IP", priority=1),
        Column("External-IP", priority=1),
        Column("OS-Image", priority=1),
        Column("Kernel-Version", priority=1),
        Column("Container-Runtime", priority=1),
    ),
    node_cells,
)
