"""Waiting until an object is as wished: look, then watch, and look again when the watch ends.

Used by `wait`, `delete`, `run -i` and `play`. The agent may end any watch at any time, or say that the
revision is too old (410); both lead back to the look, so that nothing is missed and nothing is polled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from minikubelet.cli.client import Client
from minikubelet.cli.errors import StatusError, TimedOut
from minikubelet.cli.targets import Target

FOREVER = 7 * 24 * 3600.0  # kubectl's meaning of a negative --timeout

Item = dict[str, Any]


def deadline(seconds: float) -> float:
    return time.monotonic() + (FOREVER if seconds < 0 else seconds)


def until(
    client: Client, target: Target, met: Callable[[Item | None], bool], end: float | None
) -> Item | None:
    """Return the object once `met(object, or None when there is none)`; TimedOut at `end` (monotonic)."""
    path = target.resource.path(target.namespace)
    query: dict[str, Any] = {"fieldSelector": f"metadata.name={target.name}"}
    while True:
        page = client.get(path, query)
        items = page.get("items") or ()
        item: Item | None = items[0] if items else None
        if met(item):
            return item
        if end is not None and time.monotonic() >= end:
            raise timed_out(target)
        try:
            since = {**query, "resourceVersion": page["metadata"]["resourceVersion"]}
            for event in client.watch(path, since, deadline=end):
                if event["type"] == "BOOKMARK":
                    continue
                item = None if event["type"] == "DELETED" else event["object"]
                if met(item):
                    return item
        except StatusError as error:
            if error.code != 410:
                raise
        except TimedOut:
            raise timed_out(target) from None


def gone(client: Client, target: Target, uid: str, end: float | None) -> None:
    """Until the object, or the one with this uid, does not exist."""
    until(client, target, lambda item: item is None or item["metadata"].get("uid") != uid, end)


def timed_out(target: Target) -> TimedOut:
    return TimedOut(f"timed out waiting for the condition on {target.resource.qualified}/{target.name}")
