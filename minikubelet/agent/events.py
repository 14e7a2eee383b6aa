"""Kubernetes Events as the kubelet makes them: the same again counts up, floods are held back.

`EventRecorder` is what the agent calls (`ports.Recorder`); it makes the object (kubelet-behaviour 12.1),
lets `EventCorrelator` decide what becomes of it (12.4) and hands it to a sink that stores it under its name.
The correlator is client-go's, in three steps:

1. *similar*: ten different messages of one reason about one object within ten minutes: further ones are
   written as "(combined from similar events): …" on one common object;
2. *identical*: the object that is there already gets `count` + 1 and a new `lastTimestamp`;
3. *spam*: a token bucket for each object and type, 25 and then one every five minutes; when it is empty
   nothing is written, though the count goes on.

What is remembered lives in memory only, is bounded, and is lost with the agent, as in the kubelet. Old
Events are removed by the store. The kubelet also limits its writes to 50 a second, because they go through a
shared API server; here the store is in the same process.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from minikubelet.v1 import Event, EventSource, ObjectMeta, ObjectReference, Pod

from .clock import Clock

COMPONENT = "kubelet"

CACHE_SIZE = 4096  # entries of each memory
SIMILAR_LIMIT = 10  # different messages
SIMILAR_INTERVAL = timedelta(seconds=600)
SPAM_BURST = 25
SPAM_REFILL = 300.0  # seconds for one token
CONTAINER_ID = re.compile(r"(?<![0-9A-Za-z:])[0-9a-f]{64}(?![0-9A-Za-z])")

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class EventKey:
    """What tells Events apart."""

    source: tuple[str, str]  # component, host
    object: tuple[str, ...]  # kind, namespace, name, uid, apiVersion
    field_path: str
    type: str
    reason: str
    message: str

    @property
    def similar(self) -> Hashable:
        return (self.source, self.object, self.type, self.reason)

    @property
    def spam(self) -> Hashable:
        return (self.source, self.object, self.type)


@dataclass(frozen=True, slots=True)
class Correlated:
    """What to write: under which name, with which message and count, since when."""

    name: str
    message: str
    count: int
    first: datetime


class Lru(Generic[V]):
    """The most recently used entries, so many at most."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(slots=True)
class _Similar:
    last: datetime
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: datetime


class EventCorrelator:
    """Decides what becomes of an Event; no clock, no store."""

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._similar: Lru[_Similar] = Lru(size)
        self._known: Lru[Correlated] = Lru(size)
        self._buckets: Lru[_Bucket] = Lru(size)

    def correlate(self, key: EventKey, name: str, now: datetime) -> Correlated | None:
        """What to write, None for nothing; `name` is used if this makes a new object."""
        identity, message = self._aggregate(key, now)
        former = self._known.get(identity)
        if former is None:
            event = Correlated(name, message, 1, now)
        else:
            event = replace(former, message=message, count=former.count + 1)
        self._known.put(identity, event)
        return event if self._has_token(key.spam, now) else None

    def _aggregate(self, key: EventKey, now: datetime) -> tuple[Hashable, str]:
        """The identity of the object that counts this Event, and its message."""
        group = self._similar.get(key.similar)
        if group is None or now - group.last > SIMILAR_INTERVAL:
            group = _Similar(now)
        group.last = now
        self._similar.put(key.similar, group)
        if key.message not in group.messages and len(group.messages) + 1 >= SIMILAR_LIMIT:
            return key.similar, f"(combined from similar events): {key.message}"
        group.messages.add(key.message)
        return key, key.message

    def _has_token(self, key: Hashable, now: datetime) -> bool:
        bucket = self._buckets.get(key) or _Bucket(SPAM_BURST, now)
        waited = max(0.0, (now - bucket.filled_at).total_seconds())
        bucket.tokens = min(SPAM_BURST, bucket.tokens + waited / SPAM_REFILL)
        bucket.filled_at = now
        self._buckets.put(key, bucket)
        if bucket.tokens < 1 - 1e-9:  # five minutes are one token, whatever floats make of them
            return False
        bucket.tokens -= 1
        return True


# Stores the Event under its namespace and name; one that is there already is replaced.
EventSink = Callable[[Event], None]


class EventRecorder:
    """`ports.Recorder`."""

    def __init__(self, sink: EventSink, clock: Clock, host: str) -> None:
        self._sink = sink
        self._clock = clock
        self._host = host
        self._correlator = EventCorrelator()
        self._last_stamp = 0

    def event(self, pod: Pod, type: str, reason: str, message: str, field_path: str = "") -> None:
        """Of the kubelet, about a pod or one of its containers. A container's id in the message becomes its
        name: ids differ with every restart, and the same again could not be counted (12.1).
        """
        meta = pod.metadata or ObjectMeta()
        about = ObjectReference(
            kind="Pod",
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            api_version="v1",
            resource_version=meta.resource_version,
            field_path=field_path or None,
        )
        self.event_about(about, type, reason, _without_ids(message, field_path))

    def event_about(
        self, about: ObjectReference, type: str, reason: str, message: str, component: str = COMPONENT
    ) -> None:
        """Of any component of the node, about any object."""
        now = self._clock.now()
        host = self._host if component == COMPONENT else ""
        key = EventKey(
            source=(component, host),
            object=(
                about.kind or "",
                about.namespace or "",
                about.name or "",
                about.uid or "",
                about.api_version or "",
            ),
            field_path=about.field_path or "",
            type=type,
            reason=reason,
            message=message,
        )
        name = f"{about.name}.{self._stamp(now):x}"
        correlated = self._correlator.correlate(key, name, now)
        if correlated is not None:
            self._sink(_event(key, about, correlated, now))

    def _stamp(self, now: datetime) -> int:
        """Nanoseconds since the epoch, never twice the same: they make the name unique."""
        self._last_stamp = max(round(now.timestamp() * 1_000_000) * 1000, self._last_stamp + 1)
        return self._last_stamp


def _without_ids(message: str, field_path: str) -> str:
    """`field_path` names the container, as in `spec.containers{web}`; digests of images are no such ids."""
    name = field_path.partition("{")[2].removesuffix("}")
    return CONTAINER_ID.sub(lambda _: name, message) if name else message


def _event(key: EventKey, about: ObjectReference, correlated: Correlated, now: datetime) -> Event:
    component, host = key.source
    return Event(
        api_version="v1",
        kind="Event",
        metadata=ObjectMeta(name=correlated.name, namespace=about.namespace or "default"),
        involved_object=about,
        type=key.type,
        reason=key.reason,
        message=correlated.message,
        source=EventSource(component=component, host=host or None),
        first_timestamp=correlated.first,
        last_timestamp=now,
        count=correlated.count,
        reporting_component=component,
        reporting_instance=host,
    )
