"""Events: lenient in core/v1, as they always were; strict when they are made through events.k8s.io."""

from __future__ import annotations

from minikubelet.v1 import events_v1
from minikubelet.v1.event import Event
from minikubelet.v1.meta import ObjectMeta, ObjectReference
from minikubelet.v1.validation.field import (
    IMMUTABLE,
    Errors,
    forbidden,
    invalid,
    required,
    too_long,
    unsupported,
)

TYPES = ("Normal", "Warning")
MAX_NOTE = 1024
MAX_WORD = 128  # of action, reason, reportingInstance
# Of an Event that exists, only how it goes on may change.
FIXED = (
    "regarding",
    "reason",
    "note",
    "type",
    "event_time",
    "action",
    "related",
    "reporting_controller",
    "reporting_instance",
)


def event_errors(event: Event) -> Errors:
    meta = event.metadata or ObjectMeta()
    if event.involved_object is None:
        yield required("involvedObject")
    else:
        yield from _same_namespace("involvedObject", event.involved_object, meta)


def new_event_v1_errors(event: events_v1.Event) -> Errors:
    """What must be said of a new Event, and what is only there to show old ones."""
    yield from _same_namespace("regarding", event.regarding or ObjectReference(), event.metadata)
    if event.event_time is None:
        yield required("eventTime")
    for name, value, most in (
        ("reportingController", event.reporting_controller, 0),
        ("reportingInstance", event.reporting_instance, MAX_WORD),
        ("action", event.action, MAX_WORD),
        ("reason", event.reason, MAX_WORD),
    ):
        if not value:
            yield required(name)
        elif most and len(value.encode()) > most:
            yield too_long(name, most)
    if event.type not in TYPES:
        yield unsupported("type", event.type or "", TYPES)
    if len((event.note or "").encode()) > MAX_NOTE:
        yield too_long("note", MAX_NOTE)
    for name, old in (
        ("deprecatedSource", event.deprecated_source),
        ("deprecatedFirstTimestamp", event.deprecated_first_timestamp),
        ("deprecatedLastTimestamp", event.deprecated_last_timestamp),
        ("deprecatedCount", event.deprecated_count),
    ):
        if old:
            yield forbidden(name, "needs to be unset")
    yield from _series_errors(event)


def event_v1_update_errors(new: events_v1.Event, old: events_v1.Event) -> Errors:
    if new.series != old.series:
        yield from _series_errors(new)
    for attribute in FIXED:
        value = getattr(new, attribute)
        if value != getattr(old, attribute):
            yield invalid(events_v1.Event.__struct_encode_fields__[_at(attribute)], value, IMMUTABLE)


def _at(attribute: str) -> int:
    return events_v1.Event.__struct_fields__.index(attribute)


def _series_errors(event: events_v1.Event) -> Errors:
    if event.series is None:
        return
    if (event.series.count or 0) < 2:
        yield invalid("series.count", event.series.count or 0, "should be at least 2")
    if event.series.last_observed_time is None:
        yield required("series.lastObservedTime")


def _same_namespace(path: str, about: ObjectReference, meta: ObjectMeta | None) -> Errors:
    """An Event lives where its object does; of a cluster-wide object, in "default"."""
    if (about.namespace or "default") != ((meta and meta.namespace) or "default"):
        yield invalid(f"{path}.namespace", about.namespace or "", "does not match event.namespace")
