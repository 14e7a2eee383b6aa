"""What a deletion makes of an object: gone at once, or marked and waiting for grace or for finalizers.

The rules of the API server's registry. A pod is asked to go and has time for it (`v1.graceful_deletion`).
What has finalizers stays until the last of them is taken away. `propagationPolicy`, what becomes of the
objects that belong to this one, is stored as such a finalizer, and the garbage collector
(`controllers.garbage_collector`) takes it away when it has done its part. Pure, on the store's dicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minikubelet.errors import Conflict
from minikubelet.v1 import graceful_deletion
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.wire import format_time

Object = dict[str, Any]

FOREGROUND = "foregroundDeletion"  # dependents go first
ORPHAN = "orphan"  # dependents stay, and forget their owner
# Policy → the finalizer that stands for it.
PROPAGATIONS = {"Foreground": FOREGROUND, "Background": None, "Orphan": ORPHAN}

# What is gone is answered with a Status; of these kinds the client gets the object itself once more.
RETURNED = frozenset(
    {"pods", "persistentvolumeclaims", "podtemplates", "resourcequotas", "serviceaccounts", "services"}
)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE asks for."""

    grace: int | None = None
    dry_run: bool = False
    uid: str | None = None
    resource_version: str | None = None
    propagation: str = ""  # a key of PROPAGATIONS; empty: as the object's finalizers say


def check_preconditions(info: ResourceInfo, obj: Object, options: DeleteOptions) -> None:
    """The object must be the one that was meant. Raises Conflict."""
    metadata = obj["metadata"]
    if options.uid is not None and options.uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({metadata['uid']}). The object might have been deleted and then recreated"
        )
    elif options.resource_version is not None and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
        )
    else:
        return
    kind = f"{info.kind}.{info.group}" if info.group else info.kind
    name = metadata["name"]
    message = f'Operation cannot be fulfilled on {kind} "{name}": {why}'
    raise Conflict(message, name=name, group=info.group, kind=info.kind)


def mark(info: ResourceInfo, obj: Object, options: DeleteOptions, now: datetime) -> bool:
    """Change the object into one that is being deleted; False: nothing holds it, it can go at once."""
    metadata = obj["metadata"]
    if metadata.get("deletionGracePeriodSeconds", 0) > 0:
        graceful_deletion.begin(obj, options.grace, now)  # only ever shortened
        return True
    _set_finalizers(metadata, options.propagation)
    if info.key == "pods":
        graceful_deletion.begin(obj, options.grace, now)
        return True
    if not metadata.get("finalizers"):
        return False
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = format_time(now)
        if metadata.get("generation"):
            metadata["generation"] += 1
    metadata["deletionGracePeriodSeconds"] = 0
    return True


def _set_finalizers(metadata: Object, propagation: str) -> None:
    """The finalizer of the propagation asked for, and of no other."""
    if not propagation:
        return
    others = [one for one in metadata.get("finalizers", ()) if one not in (FOREGROUND, ORPHAN)]
    wanted = PROPAGATIONS[propagation]
    metadata["finalizers"] = [*others, wanted] if wanted else others
    if not metadata["finalizers"]:
        del metadata["finalizers"]


def mark_namespace(namespace: Object, now: datetime) -> None:
    """A namespace goes when its content is gone (`controllers.namespaces`)."""
    namespace["metadata"].setdefault("deletionTimestamp", format_time(now))
    namespace.setdefault("status", {})["phase"] = "Terminating"
