"""What is used: the columns of `kubectl get pods.metrics.k8s.io` (`kubectl top` makes its own)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import NAME, Column, Columns, Object

_NAMES = ("cpu", "memory")
_UNITS = {"cpu": "n", "memory": "Ki"}


def pod_cells(metrics: Object, now: datetime) -> list[Any]:
    containers = [container["usage"] for container in metrics["containers"]]
    return [metrics["metadata"]["name"], *(_sum(containers, name) for name in _NAMES), metrics["window"]]


def node_cells(metrics: Object, now: datetime) -> list[Any]:
    return [metrics["metadata"]["name"], *(metrics["usage"][name] for name in _NAMES), metrics["window"]]


def _sum(usages: list[dict[str, str]], name: str) -> str:
    """They are all written in the same unit (`api.metrics`)."""
    unit = _UNITS[name]
    return f"{sum(int(usage[name].removesuffix(unit)) for usage in usages)}{unit}"


_DEFINITIONS = (
    NAME,
    Column("cpu"),
    Column("memory"),
    Column("Window"),
)
POD_METRICS = Columns(_DEFINITIONS, pod_cells)
NODE_METRICS = Columns(_DEFINITIONS, node_cells)
