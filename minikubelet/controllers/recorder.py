"""Events of a controller about its objects, as kube-controller-manager writes them.

The same again counts up. Which Event that is, is remembered for the last thousand; a restarted agent begins
a new one, as a restarted controller manager does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import datetime
from typing import Any

from minikubelet.errors import NotFound
from minikubelet.store import Store
from minikubelet.v1 import Event, EventSource, ObjectMeta, ObjectReference, to_dict
from minikubelet.v1.wire import format_time

Object = dict[str, Any]

LONGEST_NAME = 236  # of the object, in the name of its Event
LONGEST_MESSAGE = 1024
REMEMBERED = 1000


class Recorder:
    """Of one component, such as `deployment-controller`."""

    def __init__(self, store: Store, component: str) -> None:
        self._store = store
        self._component = component
        self._names: OrderedDict[tuple[str, str, str, str], str] = OrderedDict()

    def event(self, about: Object, kind: str, reason: str, message: str, now: datetime) -> None:
        """`kind` is Normal or Warning. In a namespace that is going, nobody reads: nothing is written."""
        metadata = about["metadata"]
        namespace, message = metadata["namespace"], message[:LONGEST_MESSAGE]
        if is_terminating(self._store, namespace):
            return
        said = (metadata["uid"], kind, reason, message)
        name = self._names.get(said)
        if name is None or not self._count(namespace, name, now):
            name = self._names[said] = f"{metadata['name'][:LONGEST_NAME]}.{time.time_ns():x}"
            self._store.create("events", self._made(about, name, kind, reason, message, now))
        self._names.move_to_end(said)
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)

    def _count(self, namespace: str, name: str, now: datetime) -> bool:
        """Once more; False when the Event is too old to be there."""

        def again(event: Object) -> None:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = format_time(now)

        try:
            self._store.modify("events", namespace, name, again)
        except NotFound:
            return False
        return True

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
