"""The end of a namespace.

A namespace that is being deleted empties itself: what makes pods goes first, then the pods with their grace,
then everything else. What stays, because of its grace or of finalizers, is told in the namespace's
conditions; when nothing is left its own finalizer goes, and with it the namespace. One watch tells of
namespaces that begin to end and of everything that has gone.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects
from minikubelet.errors import Expired, NotFound
from minikubelet.store.store import utc_now
from minikubelet.v1.resources import BY_KEY, RESOURCES
from minikubelet.v1.wire import format_time

Object = dict[str, Any]
log = logging.getLogger(__name__)

FINALIZER = "kubernetes"  # of a namespace, in its spec
MAKERS = ("apps", "batch")  # groups of kinds that would make new pods for those that go


@dataclass(slots=True)
class Remains:
    """What is still in a namespace: how many by `RESOURCE.GROUP`, and how many hold on to which finalizer."""

    resources: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)


def empty(objects: Objects, namespace: str) -> Remains:
    """Delete what is in it, and say what is left."""
    remains = Remains()
    for info in sorted(RESOURCES, key=lambda info: info.group not in MAKERS):
        if not info.namespaced or info.stored_as or "delete" not in info.verbs:
            continue
        for obj in objects.list(info, namespace).items:
            metadata, gone = obj["metadata"], False
            if "deletionTimestamp" not in metadata:
                with contextlib.suppress(NotFound):
                    _, gone = objects.delete(info, namespace, metadata["name"], DeleteOptions())
            if not gone:
                remains.resources[f"{info.plural}.{info.group}"] += 1
                remains.finalizers.update(metadata.get("finalizers") or ())
    return remains


def finish(objects: Objects) -> None:
    """Let go of the namespaces that are being deleted and have become empty; tell of the others why not."""
    for namespace in objects.list(BY_KEY["namespaces"], "").items:
        metadata = namespace["metadata"]
        if "deletionTimestamp" not in metadata:
            continue
        remains = empty(objects, metadata["name"])
        if remains.resources:
            set_conditions(namespace, remains, utc_now())
        else:
            kept = [one for one in namespace["spec"].get("finalizers", ()) if one != FINALIZER]
            namespace["spec"] = {"finalizers": kept} if kept else {}
        objects.store.update("namespaces", namespace)


def set_conditions(namespace: Object, remains: Remains, now: datetime) -> None:
    """In the words of the namespace controller. A condition's time moves with its status only."""
    present = namespace.setdefault("status", {}).setdefault("conditions", [])
    for type_, status, reason, message in _conditions(remains):
        made = {
            "type": type_,
            "status": status,
            "lastTransitionTime": format_time(now),
            "reason": reason,
            "message": message,
        }
        before = next((one for one in present if one["type"] == type_), None)
        if before is None:
            present.append(made)
        else:
            before.update(made if before["status"] != status else {"reason": reason, "message": message})


def _conditions(remains: Remains) -> list[tuple[str, str, str, str]]:
    """(type, status, reason, message)"""
    counted = ", ".join(f"{name} has {n} resource instances" for name, n in sorted(remains.resources.items()))
    held = ", ".join(f"{name} in {n} resource instances" for name, n in sorted(remains.finalizers.items()))
    return [
        (
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {counted}",
        ),
        (
            "NamespaceFinalizersRemaining",
            "True" if held else "False",
            "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {held}"
            if held
            else "All content-preserving finalizers finished",
        ),
    ]


async def keep(objects: Objects) -> None:
    """For ever: end what is to end."""
    while True:
        watch = objects.store.watch(None, containing=('"deletionTimestamp"',))
        try:
            finish(objects)
            async for kind, obj, _ in watch:
                if kind == "DELETED" or "deletionTimestamp" in obj["metadata"]:
                    finish(objects)
            return
        except Expired:
            log.info("the watch of what goes fell behind: looking at all namespaces again")
        finally:
            watch.close()
