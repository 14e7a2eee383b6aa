"""Workloads as the store has them, for decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def template(image: str = "a", **spec: Any) -> Object:
    containers = [{"name": "main", "image": image}]
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **spec}}


def deployment(replicas: int = 3, image: str = "a", **spec: Any) -> Object:
    rolling = {"maxSurge": spec.pop("surge", "25%"), "maxUnavailable": spec.pop("unavailable", "25%")}
    strategy = spec.pop("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": strategy,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def replica_set(replicas: int = 3, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "default", "uid": "r", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(),
            **spec,
        },
    }


def pod(name: str, phase: str = "Running", ready: float | None = None, **metadata: Any) -> Object:
    """`ready`: since when, in seconds from NOW; None: not Ready."""
    node = metadata.pop("node", "node")
    conditions = (
        [{"type": "Ready", "status": "True", "lastTransitionTime": stamp(ready)}] if ready is not None else []
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": {"app": "web"},
            "creationTimestamp": stamp(-100),
            **metadata,
        },
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": conditions},
    }


def job(**spec: Any) -> Object:
    wanted = {"completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sum", "namespace": "default", "uid": "j"},
        "spec": {**wanted, "template": template(restartPolicy="Never"), **spec},
    }
