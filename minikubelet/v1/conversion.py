"""Objects that two groups show: from the form they are stored in to the one of a group, and back.

`ResourceInfo.stored_as` says whose objects they are; here is how the fields translate. All other kinds are
shown as they are stored. Pure: what is given is not changed.
"""

from __future__ import annotations

from typing import Any

from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

# By key of the resource: field as shown → field as stored.
RENAMED: dict[str, dict[str, str]] = {
    "events.events.k8s.io": {
        "note": "message",
        "regarding": "involvedObject",
        "reportingController": "reportingComponent",
        "deprecatedSource": "source",
        "deprecatedFirstTimestamp": "firstTimestamp",
        "deprecatedLastTimestamp": "lastTimestamp",
        "deprecatedCount": "count",
    },
}
STORED_VERSION = {"events.events.k8s.io": "v1"}


def shown(info: ResourceInfo, obj: Object) -> Object:
    """A stored object as the resource shows it."""
    if not info.stored_as:
        return obj
    names = {stored: shown for shown, stored in RENAMED[info.key].items()}
    return _renamed(obj, names) | {"apiVersion": info.api_version}


def stored(info: ResourceInfo, obj: Object) -> Object:
    """The other way round."""
    if not info.stored_as:
        return obj
    return _renamed(obj, RENAMED[info.key]) | {"apiVersion": STORED_VERSION[info.key]}


def _renamed(obj: Object, names: dict[str, str]) -> Object:
    return {names.get(field, field): value for field, value in obj.items()}
