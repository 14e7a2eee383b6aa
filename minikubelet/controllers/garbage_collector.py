"""What belongs to something that is gone goes, too (kubernetes/pkg/controller/garbagecollector).

An object names its owners in `metadata.ownerReferences`, by kind, name and uid. When the last of them is gone
it is deleted. How an owner goes decides the order: in the *background* it goes at once and its dependents
follow; in the *foreground* (finalizer `foregroundDeletion`) it waits until those that block it are gone; as
one that makes *orphans* (finalizer `orphan`) it first lets go of them, and they stay.

The original keeps a graph of the whole cluster in memory. Here nothing is kept: the store finds who names an
owner's uid, and a change of an object that neither has owners nor ends is not even read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from enum import Enum
from typing import Any

from minikubelet.api.deletion import FOREGROUND, ORPHAN, DeleteOptions
from minikubelet.api.objects import Objects
from minikubelet.controllers.controller_refs import remove_owner
from minikubelet.errors import ApiError, Expired, NotFound
from minikubelet.store import Watch
from minikubelet.v1.resources import BY_KEY, RESOURCES, ResourceInfo

Object = dict[str, Any]
log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0  # without an event, after a failure
OWNERS = '"ownerReferences"'
TEXTS = (OWNERS, f'"{FOREGROUND}"', f'"{ORPHAN}"')
KINDS = {(info.api_version, info.kind): info for info in RESOURCES if not info.stored_as}


class Owner(Enum):
    """What has become of an owner."""

    SOLID = "solid"
    ABSENT = "absent"
    WAITING = "waiting"  # is being deleted in the foreground


def state_of(reference: Object, owner: Object | None) -> Owner:
    """`owner` is the object of that name, None if there is none. Pure."""
    if owner is None or owner["metadata"]["uid"] != reference["uid"]:
        return Owner.ABSENT
    return Owner.WAITING if is_going(owner, FOREGROUND) else Owner.SOLID


def is_going(obj: Object, finalizer: str) -> bool:
    """It is being deleted, and waits for us."""
    metadata = obj["metadata"]
    return "deletionTimestamp" in metadata and finalizer in (metadata.get("finalizers") or ())


class GarbageCollector:
    """The controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._store = objects.store
        self.failed = False  # since the last sweep

    def sweep(self) -> None:
        """Look at everything: after a start, after falling behind, and a while after something failed."""
        self.failed = False
        for text in TEXTS:
            for _, obj in self._store.find(text):
                self.notice("ADDED", obj)

    def notice(self, kind: str, obj: Object) -> None:
        """An event of the watch. What cannot be done (the disk is full) is tried again by the next sweep; and
        whatever a client may have written into an object, the others are not to suffer from it.
        """
        try:
            if kind == "DELETED":
                self.gone(obj)
            else:
                self.changed(obj)
        except ApiError as error:
            self.failed = True
            log.warning("cannot collect %s %s: %s", obj["kind"], obj["metadata"]["name"], error)
        except Exception:
            self.failed = True
            log.exception("cannot collect %s %s", obj.get("kind"), obj["metadata"]["name"])

    def changed(self, obj: Object) -> None:
        """Something is there that may be an owner on its way out, or a dependent."""
        info = KINDS.get((obj.get("apiVersion", ""), obj.get("kind", "")))
        if info is None:
            return
        if is_going(obj, ORPHAN):
            self._let_go(info, obj)
        elif is_going(obj, FOREGROUND):
            self._wait_for_dependents(info, obj)
        elif "deletionTimestamp" not in obj["metadata"]:
            self._check_owners(info, obj)

    def gone(self, obj: Object) -> None:
        """Something was deleted: its dependents may have to follow, its owner may have waited for it."""
        for _, dependent in self._dependents(obj):
            self.changed(dependent)
        for reference in obj["metadata"].get("ownerReferences") or ():
            owner = self._find(reference, obj)
            if owner is not None and is_going(owner, FOREGROUND):
                self.changed(owner)

    def _check_owners(self, info: ResourceInfo, obj: Object) -> None:
        """Without a solid owner it is deleted; references to owners that are gone are forgotten."""
        references = obj["metadata"].get("ownerReferences") or ()
        states = {reference["uid"]: self._state(reference, obj) for reference in references}
        lost = [uid for uid, state in states.items() if state is not Owner.SOLID]
        if not lost:
            return
        if len(lost) < len(states):
            for uid in lost:
                self._forget(info, obj, uid)
            return
        dependents = [dependent for _, dependent in self._dependents(obj)]
        in_circle = any(is_going(dependent, FOREGROUND) for dependent in dependents)
        waiting = Owner.WAITING in states.values() and dependents and not in_circle
        self._delete(info, obj, "Foreground" if waiting else "")

    def _let_go(self, info: ResourceInfo, owner: Object) -> None:
        """Orphans: they lose their owner before it goes."""
        for dependent_info, dependent in list(self._dependents(owner)):
            self._forget(dependent_info, dependent, owner["metadata"]["uid"])
        self._release(info, owner, ORPHAN)

    def _wait_for_dependents(self, info: ResourceInfo, owner: Object) -> None:
        """Ask them to go; the owner goes when nobody blocks it any more."""
        uid, blocking = owner["metadata"]["uid"], False
        for dependent_info, dependent in list(self._dependents(owner)):
            if "deletionTimestamp" not in dependent["metadata"]:
                self._check_owners(dependent_info, dependent)
            with contextlib.suppress(NotFound):
                left = self._store.get(dependent_info.stored, *_place(dependent))
                blocking |= any(
                    reference["uid"] == uid and reference.get("blockOwnerDeletion")
                    for reference in left["metadata"].get("ownerReferences") or ()
                )
        if not blocking:
            self._release(info, owner, FOREGROUND)

    # Reading.

    def _dependents(self, owner: Object) -> Iterator[tuple[ResourceInfo, Object]]:
        uid = owner["metadata"]["uid"]
        for resource, obj in self._store.find(f'"uid":"{uid}"'):
            references = obj["metadata"].get("ownerReferences") or ()
            if any(reference["uid"] == uid for reference in references):
                yield BY_KEY[resource], obj

    def _state(self, reference: Object, dependent: Object) -> Owner:
        info = KINDS.get((reference["apiVersion"], reference["kind"]))
        if info is None or (info.namespaced and not dependent["metadata"].get("namespace")):
            return Owner.SOLID  # of a kind that is not served, or in no particular namespace: who knows
        return state_of(reference, self._find(reference, dependent))

    def _find(self, reference: Object, dependent: Object) -> Object | None:
        """In the dependent's namespace, or in none."""
        info = KINDS.get((reference["apiVersion"], reference["kind"]))
        if info is None:
            return None
        namespace = dependent["metadata"].get("namespace", "") if info.namespaced else ""
        try:
            return self._store.get(info.stored, namespace, reference["name"])
        except NotFound:
            return None

    # Writing. What is gone already is fine.

    def _delete(self, info: ResourceInfo, obj: Object, propagation: str) -> None:
        options = DeleteOptions(uid=obj["metadata"]["uid"], propagation=propagation)
        with contextlib.suppress(NotFound):
            self._objects.delete(info, *_place(obj), options)

    def _forget(self, info: ResourceInfo, obj: Object, uid: str) -> None:
        with contextlib.suppress(NotFound):
            self._store.modify(info.stored, *_place(obj), lambda it: remove_owner(it, uid))

    def _release(self, info: ResourceInfo, owner: Object, finalizer: str) -> None:
        def without(obj: Object) -> None:
            kept = [one for one in obj["metadata"].get("finalizers") or () if one != finalizer]
            obj["metadata"].pop("finalizers", None)
            if kept:
                obj["metadata"]["finalizers"] = kept

        with contextlib.suppress(NotFound):
            self._store.modify(info.stored, *_place(owner), without)


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


async def keep(objects: Objects) -> None:
    """For ever."""
    collector = GarbageCollector(objects)
    while True:
        watch = objects.store.watch(None, containing=TEXTS)
        try:
            collector.sweep()
            await _follow(collector, watch)
            return
        except Expired:
            log.info("the watch of everything fell behind: looking at all of it again")
        finally:
            watch.close()


async def _follow(collector: GarbageCollector, watch: Watch) -> None:
    """Until the store closes."""
    while True:
        try:
            async with asyncio.timeout(RETRY_SECONDS if collector.failed else None):
                kind, obj, _ = await anext(watch)
        except TimeoutError:
            collector.sweep()
        except StopAsyncIteration:
            return
        else:
            collector.notice(kind, obj)
