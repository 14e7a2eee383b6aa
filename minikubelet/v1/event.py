"""Events: short messages about what happened to an object, for people.

The same event seen again raises `count` and `lastTimestamp` instead of making a new object.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, MicroTime, Object, Time
from minikubelet.v1.meta import ObjectReference, Resource


class EventSource(Object, kw_only=True):
    """Who reported an event."""

    component: str | None = None
    host: str | None = None


class EventSeries(Object, kw_only=True):
    """How often and until when the same thing was seen."""

    count: Int32 | None = None
    last_observed_time: MicroTime | None = None


class Event(Resource, kw_only=True):
    """Something that happened to an object, kept for an hour."""

    involved_object: ObjectReference | None = None
    reason: str | None = None
    message: str | None = None
    source: EventSource | None = None
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    count: Int32 | None = None
    type: str | None = None
    event_time: MicroTime | None = None
    series: EventSeries | None = None
    action: str | None = None
    related: ObjectReference | None = None
    reporting_component: str | None = None
    reporting_instance: str | None = None
