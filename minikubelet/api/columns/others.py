"""The small kinds around pods: a few cells each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import (
    AGE,
    NAME,
    Column,
    Columns,
    Object,
    age,
)


def configmap_cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        len(obj.get("data") or ()) + len(obj.get("binaryData") or ()),
        age(obj, now),
    ]


def secret_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type", "Opaque"), len(obj.get("data") or ()), age(obj, now)]


def namespace_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", "Active"), age(obj, now)]


def serviceaccount_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("secrets") or ()), age(obj, now)]


def lease_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], (obj.get("spec") or {}).get("holderIdentity", ""), age(obj, now)]


def priority_class_cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


_ACCESS_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def claim_cells(claim: Object, now: datetime) -> list[Any]:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    bound = bool(spec.get("volumeName"))
    modes = status.get("accessModes") or () if bound else ()
    return [
        claim["metadata"]["name"],
        "Terminating" if claim["metadata"].get("deletionTimestamp") else status.get("phase", "Pending"),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        ",".join(short for mode, short in _ACCESS_MODES.items() if mode in modes),
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        age(claim, now),
        spec.get("volumeMode") or "<unset>",
    ]


CONFIG_MAPS = Columns((NAME, Column("Data", "integer"), AGE), configmap_cells)
SECRETS = Columns((NAME, Column("Type"), Column("Data", "integer"), AGE), secret_cells)
NAMESPACES = Columns((NAME, Column("Status"), AGE), namespace_cells)
SERVICE_ACCOUNTS = Columns((NAME, Column("Secrets", "integer"), AGE), serviceaccount_cells)
PRIORITY_CLASSES = Columns(
    (
        NAME,
        Column("Value", "integer"),
        Column("Global-Default", "boolean"),
        AGE,
        Column("PreemptionPolicy"),
    ),
    priority_class_cells,
)
LEASES = Columns((NAME, Column("Holder"), AGE), lease_cells)
CLAIMS = Columns(
    (
        NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        AGE,
        Column("VolumeMode", priority=1),
    ),
    claim_cells,
)
