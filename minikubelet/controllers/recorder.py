"""Events of a controller about its objects, as kube-controller-manager writes them.

The same again counts up. What is the same is known by the Event's name, which is made of what it says: so
nothing has to be remembered, and a restarted agent goes on counting.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from minikubelet.errors import NotFound
from minikubelet.store import Store
from minikubelet.v1 import Event, EventSource, ObjectMeta, ObjectReference, to_dict
from minikubelet.v1.wire import format_time

Object = dict[str, Any]

LONGEST_NAME = 236  # of the object, in the name of its Event
LONGEST_MESSAGE = 1024


class Recorder:
    """Of one component, such as `deployment-controller`."""

    def __init__(self, store: Store, component: str) -> None:
        self._store = store
        self._component = component

    def event(self, about: Object, kind: str, reason: str, message: str, now: datetime) -> None:
        """`kind` is Normal or Warning. In a namespace that is going, nobody reads: nothing is written."""
        metadata = about["metadata"]
        namespace, message = metadata["namespace"], message[:LONGEST_MESSAGE]
        if is_terminating(self._store, namespace):
            return
        said = "\0".join((metadata["uid"], self._component, kind, reason, message))
        name = f"{metadata['name'][:LONGEST_NAME]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"

        def again(event: Object) -> None:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = format_time(now)

        try:
            self._store.modify("events", namespace, name, again)
        except NotFound:
            self._store.create("events", self._made(about, name, kind, reason, message, now))

    def _made(self, about: Object, name: str, kind: str, reason: str, message: str, now: datetime) -> Object:
        metadata = about["metadata"]
        return to_dict(
            Event(
                metadata=ObjectMeta(name=name, namespace=metadata["namespace"]),
                involved_object=ObjectReference(
                    kind=about["kind"],
                    namespace=metadata["namespace"],
                    name=metadata["name"],
                    uid=metadata["uid"],
                    api_version=about["apiVersion"],
                    resource_version=metadata.get("resourceVersion"),
                ),
                type=kind,
                reason=reason,
                message=message,
                source=EventSource(component=self._component),
                first_timestamp=now,
                last_timestamp=now,
                count=1,
                reporting_component=self._component,
                reporting_instance="",
            )
        )


def is_terminating(store: Store, namespace: str) -> bool:
    """Whether the namespace is going, or gone."""
    try:
        return "deletionTimestamp" in store.get("namespaces", "", namespace)["metadata"]
    except NotFound:
        return True
