"""Deleting a pod, as the API server does it (kubelet-behaviour 4.3): it is asked to go, and has time for it.

Pure, on the store's dicts: from the object, the grace period asked for and the present moment to what the
object becomes. Grace can only get shorter. `deletionTimestamp` is the *deadline*, not the moment of the
request.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minikubelet.v1.wire import format_time

Object = dict[str, Any]


def pod_grace(pod: Object, asked: int | None) -> int:
    """The grace period of a first deletion, in seconds; 0 means at once."""
    grace = asked
    if grace is None:
        grace = pod["spec"].get("terminationGracePeriodSeconds", 0)
    scheduled = bool(pod["spec"].get("nodeName"))
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if not scheduled or ended:
        return 0
    return 1 if grace < 0 else int(grace)


def begin(pod: Object, asked: int | None, now: datetime) -> None:
    """Mark the pod as being deleted, or shorten a deletion that is under way; changes it in place."""
    metadata = pod["metadata"]
    if "deletionTimestamp" in metadata:
        _shorten(metadata, asked)
        return
    grace = pod_grace(pod, asked)
    metadata["deletionTimestamp"] = format_time(now + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation"):
        metadata["generation"] += 1


def _shorten(metadata: Object, asked: int | None) -> None:
    """Only a smaller period counts; the deadline moves to where it would have been with it."""
    present = metadata.get("deletionGracePeriodSeconds", 0)
    if asked is not None and asked < 0:
        asked = 1
    if asked is None or asked >= present:
        return
    deadline = datetime.fromisoformat(metadata["deletionTimestamp"]).astimezone(UTC)
    metadata["deletionTimestamp"] = format_time(deadline - timedelta(seconds=present - asked))
    metadata["deletionGracePeriodSeconds"] = asked
