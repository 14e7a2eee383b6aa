"""Events as group events.k8s.io shows them: the same objects as core/v1's, some fields with other names."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, MicroTime, Time
from minikubelet.v1.event import EventSeries, EventSource
from minikubelet.v1.meta import ObjectReference, Resource


class Event(Resource, kw_only=True):
    """Something that happened to an object, kept for an hour."""

    API_VERSION: ClassVar[str] = "events.k8s.io/v1"

    event_time: MicroTime | None = None
    series: EventSeries | None = None
    reporting_controller: str | None = None
    reporting_instance: str | None = None
    action: str | None = None
    reason: str | None = None
    regarding: ObjectReference | None = None
    related: ObjectReference | None = None
    note: str | None = None
    type: str | None = None
    deprecated_source: EventSource | None = None
    deprecated_first_timestamp: Time | None = None
    deprecated_last_timestamp: Time | None = None
    deprecated_count: Int32 | None = None
