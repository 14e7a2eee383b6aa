"""Deployments, ReplicaSets, Jobs and stored templates, as kube-apiserver prints them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import (
    AGE,
    NAME,
    NONE,
    Column,
    Columns,
    Object,
    age,
    human_duration,
    parse_time,
)
from minikubelet.v1 import LabelSelector, from_dict
from minikubelet.v1.label_selectors import to_text

WIDE = (Column("Containers", priority=1), Column("Images", priority=1), Column("Selector", priority=1))


def deployment_cells(obj: Object, now: datetime) -> list[Any]:
    status, desired = obj.get("status") or {}, obj["spec"].get("replicas", 0)
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{desired}",
        str(status.get("updatedReplicas", 0)),
        str(status.get("availableReplicas", 0)),
        age(obj, now),
        *_wide(obj),
    ]


def replica_set_cells(obj: Object, now: datetime) -> list[Any]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        obj["spec"].get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj, now),
        *_wide(obj),
    ]


def job_cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        _job_status(obj),
        _completions(obj),
        _duration(obj, now),
        age(obj, now),
        *_wide(obj),
    ]


def _job_status(job: Object) -> str:
    conditions = (job.get("status") or {}).get("conditions") or ()
    true = {condition["type"] for condition in conditions if condition["status"] == "True"}
    for kind in ("Complete", "Failed"):
        if kind in true:
            return kind
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    return next((k for k in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if k in true), "Running")


def _completions(job: Object) -> str:
    spec, succeeded = job["spec"], (job.get("status") or {}).get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(job: Object, now: datetime) -> str:
    status = job.get("status") or {}
    if not status.get("startTime"):
        return ""
    end = parse_time(status["completionTime"]) if status.get("completionTime") else now
    return human_duration((end - parse_time(status["startTime"])).total_seconds())


def pod_template_cells(obj: Object, now: datetime) -> list[Any]:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return [obj["metadata"]["name"], *_containers(template), shown or NONE]


def _wide(obj: Object) -> list[str]:
    selector = from_dict(LabelSelector, obj["spec"].get("selector") or {})
    return [*_containers(obj["spec"].get("template") or {}), to_text(selector)]


def _containers(template: Object) -> list[str]:
    """Names and images."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return [",".join(c.get(field) or "" for c in containers) for field in ("name", "image")]


DEPLOYMENTS = Columns(
    (NAME, Column("Ready"), Column("Up-to-date"), Column("Available"), AGE, *WIDE), deployment_cells
)
REPLICA_SETS = Columns(
    (
        NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        AGE,
        *WIDE,
    ),
    replica_set_cells,
)
JOBS = Columns((NAME, Column("Status"), Column("Completions"), Column("Duration"), AGE, *WIDE), job_cells)
POD_TEMPLATES = Columns(
    (NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), pod_template_cells
)
