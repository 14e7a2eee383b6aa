"""What a DELETE may carry, and who is only asked to go: pods, with their grace (`v1.graceful_deletion`), and
what a finalizer holds. All else is gone at once.

`propagationPolicy` says what becomes of the objects that belong to the deleted one. It is stored as one of
two finalizers, which the garbage collector (`controllers.garbage_collector`) takes off when it has done its
part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import BadRequest, FieldError, Invalid

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE may carry, in its body or (older clients) in its query."""

    grace: int | None = None
    dry_run: bool = False
    uid: str | None = None
    resource_version: str | None = None
    propagation: str = ""  # a key of PROPAGATIONS; empty: as the object's finalizers say

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
            propagation=_propagation(body),
        )


ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
# Policy → the finalizer that stands for it.
PROPAGATIONS = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": None}


def _propagation(body: Object) -> str:
    """Raises Invalid. `orphanDependents` is how it was said before there were three ways."""
    given = body.get("propagationPolicy")
    if given is None:
        before = body.get("orphanDependents")
        return "" if before is None else "Orphan" if before else "Background"
    if given not in PROPAGATIONS:
        choices = ", ".join(f'"{choice}"' for choice in (*sorted(PROPAGATIONS), "nil"))
        text = f"Unsupported value: {json.dumps(given)}: supported values: {choices}"
        error = FieldError("propagationPolicy", "Unsupported", text)
        raise Invalid.of("DeleteOptions", "", [error], group="meta.k8s.io")
    return str(given)


def set_finalizer(obj: Object, propagation: str) -> bool:
    """Store the policy in the object (changed in place); whether any finalizer holds it now."""
    metadata = obj["metadata"]
    if propagation:
        wanted = PROPAGATIONS[propagation]
        kept = [one for one in metadata.get("finalizers") or () if one not in (ORPHAN, FOREGROUND)]
        metadata.pop("finalizers", None)
        if kept or wanted:
            metadata["finalizers"] = kept + ([wanted] if wanted else [])
    return bool(metadata.get("finalizers"))


def is_graceful(resource: str) -> bool:
    """Whether objects of this kind have something to wind down."""
    return resource == "pods"
