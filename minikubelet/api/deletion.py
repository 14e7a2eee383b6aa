"""What a DELETE may carry, and who is only asked to go (`v1.graceful_deletion`); all else is gone at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minikubelet.errors import BadRequest

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
