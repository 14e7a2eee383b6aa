"""Deleting, as the API server does it (kubelet-behaviour 4.3): a pod is asked to go, everything else is gone.

Pure: from the object, the options of the request and the present moment to what the object becomes. Grace
can only get shorter. `deletionTimestamp` is the *deadline*, not the moment of the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from minikubelet.errors import BadRequest
from minikubelet.store.store import timestamp

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE may carry, in its body or (older clients) in its query."""

    grace: int | None = None
    dry_run: bool = False
    uid: str | None = None
    resource_version: str | None = None

    @classmethod
    def read(cls, body: Object) -> DeleteOptions:
        grace = body.get("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
            raise BadRequest(
                'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal '
                "into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
            )
        preconditions = body.get("preconditions") or {}
        return cls(
            grace=grace,
            dry_run=body.get("dryRun") == ["All"],
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
        )


def is_graceful(resource: str) -> bool:
    """Whether objects of this kind have something to wind down."""
    return resource == "pods"


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
    metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
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
    metadata["deletionTimestamp"] = timestamp(deadline - timedelta(seconds=present - asked))
    metadata["deletionGracePeriodSeconds"] = asked
