"""The loop of a controller: watch its objects and what belongs to them, and look at each that is concerned.

`sync(namespace, name)` compares one object with what there is, does what is missing, and says in how many
seconds it wants to look again though nothing happens (None: not at all). It reads the store when it runs, so
that it never acts on an old picture, and never waits, so that nobody comes between its reading and its
writing. An object that cannot be done is looked at again later, with back-off: whatever a client may have
written into it, neither the other objects nor the agent suffer from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minikubelet.api.objects import Objects
from minikubelet.controllers.work_queue import Key, WorkQueue
from minikubelet.errors import ApiError, Expired

Object = dict[str, Any]
Sync = Callable[[str, str], float | None]
Owners = Callable[[Object], Iterable[Key]]  # the keys of the objects that something concerns

log = logging.getLogger(__name__)


class Reconciler:
    """`resource` is the key of the controller's own kind; `dependents` says, for the kinds that belong to it,
    whom a change of one concerns. Those are watched from the moment there is an object of the own kind that
    needs them.
    """

    def __init__(
        self,
        objects: Objects,
        resource: str,
        sync: Sync,
        dependents: Mapping[str, Owners] | None = None,
        needs_dependents: Callable[[Object], bool] = lambda obj: True,
    ) -> None:
        self._objects = objects
        self._resource = resource
        self._sync = sync
        self._dependents = dict(dependents or {})
        self._queue = WorkQueue()
        self._needs_dependents = needs_dependents
        self._needed = asyncio.Event()
        # Whom each dependent concerned last: one that changes hands concerns both.
        self._concerned: dict[tuple[str, str, str], tuple[Key, ...]] = {}

    def look_at(self, key: Key) -> None:
        """At one object of the own kind, whether it is there or not."""
        self._needed.set()
        self._queue.add(key)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(self._resource, self._own), name=f"watch: {self._resource}")
            for resource, owners in self._dependents.items():
                group.create_task(self._watch_dependents(resource, owners), name=f"watch: {resource}")
            group.create_task(self._work(), name=f"work: {self._resource}")

    def _own(self, kind: str, obj: Object) -> None:
        if self._needs_dependents(obj):
            self.look_at(key_of(obj))
        else:
            self._queue.add(key_of(obj))

    async def _watch_dependents(self, resource: str, owners: Owners) -> None:
        await self._needed.wait()

        def concern(kind: str, obj: Object) -> None:
            place = (resource, *key_of(obj))
            now = tuple(owners(obj))
            for key in {*now, *self._concerned.pop(place, ())}:
                self._queue.add(key)
            if now and kind != "DELETED":
                self._concerned[place] = now

        await self._watch(resource, concern)

    async def _watch(self, resource: str, tell: Callable[[str, Object], None]) -> None:
        """Everything there is, then everything that happens; all of it again after falling behind."""
        while True:
            watch = self._objects.store.watch(resource)
            try:
                for obj in self._objects.store.list(resource)[0]:
                    tell("ADDED", obj)
                async for kind, obj, _ in watch:
                    tell(kind, obj)
                return
            except Expired:
                log.info("the watch of %s fell behind: looking at all of them again", resource)
            finally:
                watch.close()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                again = self._sync(*key)
            except ApiError as error:
                log.info("%s %s/%s: %s", self._resource, *key, error)
                self._queue.retry(key)
            except Exception:
                log.exception("cannot sync %s %s/%s", self._resource, *key)
                self._queue.retry(key)
            else:
                self._queue.forget(key)
                if again is not None:
                    self._queue.add(key, again)
            await asyncio.sleep(0)  # between two of many, others get their turn


def key_of(obj: Object) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
