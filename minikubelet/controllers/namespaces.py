"""The end of a namespace.

A namespace that is being deleted empties itself: what makes pods goes first, then the pods with their grace,
then everything else; when nothing is left its own finalizer goes, and with it the namespace. One watch tells
of namespaces that begin to end and of everything that has gone.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects
from minikubelet.errors import Expired, NotFound
from minikubelet.v1.resources import BY_KEY, RESOURCES

Object = dict[str, Any]
log = logging.getLogger(__name__)

MAKERS = ("apps", "batch")  # groups of kinds that would make new pods for those that go


def empty(objects: Objects, namespace: str) -> bool:
    """Delete what is in it; True when nothing is left."""
    left = 0
    for info in sorted(RESOURCES, key=lambda info: info.group not in MAKERS):
        if not info.namespaced or info.stored_as or "delete" not in info.verbs:
            continue
        for obj in objects.list(info, namespace).items:
            metadata = obj["metadata"]
            gone = False
            if "deletionTimestamp" not in metadata:
                with contextlib.suppress(NotFound):
                    _, gone = objects.delete(info, namespace, metadata["name"], DeleteOptions())
            left += not gone
    return left == 0


def finish(objects: Objects) -> None:
    """Let go of the namespaces that are being deleted and have become empty."""
    for namespace in objects.list(BY_KEY["namespaces"], "").items:
        name = namespace["metadata"]["name"]
        if "deletionTimestamp" in namespace["metadata"] and empty(objects, name):
            objects.store.modify("namespaces", "", name, lambda obj: obj.update(spec={}))


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
