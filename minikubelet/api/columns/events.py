"""Events: when, about what, and how often."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import (
    Column,
    Columns,
    Object,
    since,
)
from minikubelet.v1 import conversion
from minikubelet.v1.resources import BY_KEY


def event_cells(event: Object, now: datetime) -> list[Any]:
    involved = event.get("involvedObject") or {}
    source = event.get("source") or {}
    series = event.get("series") or {}
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or first
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host")
    return [
        since(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        (event.get("message") or "").strip(),
        since(first, now),
        series.get("count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


EVENTS = Columns(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        Column("Subobject", priority=1),
        Column("Source", priority=1),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", "integer", priority=1),
        Column("Name", priority=1, format="name"),
    ),
    event_cells,
)


def event_v1_cells(event: Object, now: datetime) -> list[Any]:
    """An Event of events.k8s.io shows the same."""
    return event_cells(conversion.stored(BY_KEY["events.events.k8s.io"], event), now)


EVENTS_V1 = EVENTS._replace(cells=event_v1_cells)
