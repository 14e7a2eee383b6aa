"""A watcher: a cursor in the store's log.

It holds no queue. A write only wakes it; it then reads from the log what it has not seen, at its own pace,
a page at a time. So a client that stops reading costs the agent nothing, and learns with 410 Expired when
compaction has passed it: list again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minikubelet.store.store import Change, Store

PAGE = 64
# (matched before, matches now)
_TRANSITIONS = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}

Event = tuple[str, dict[str, Any], int]


class Watch:
    """Async iterator over (type, object, revision). Waiting for the next one may be cancelled and taken up
    again.
    """

    def __init__(
        self,
        store: Store,
        resource: str | None,
        namespace: str | None,
        since: int,
        matches: Callable[[dict[str, Any]], bool] | None,
        containing: tuple[str, ...] = (),
    ) -> None:
        self.revision = since  # everything up to here was told: good for a bookmark
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._matches = matches
        self._containing = containing
        self._page: deque[Change] = deque()
        self._awake = asyncio.Event()
        self._closed = False
        store._watches.add(self)

    def wake(self, resource: str) -> None:
        """The store wrote an object of `resource`."""
        if resource == self._resource or (self._resource is None and resource != "events"):
            self._awake.set()

    def rest(self) -> None:
        """The log is about to be compacted. Who has seen everything of its resource waits at the end of the
        log: it is not behind only because nobody wrote what it watches.
        """
        if not self._page and not self._changes(1):
            self.revision = self._store.revision

    def close(self) -> None:
        """End the iteration. Accepts "already closed"."""
        self._closed = True
        self._store._watches.discard(self)
        self._awake.set()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        """The next event; Expired when the log was compacted behind the cursor."""
        while not self._closed:
            event = self.ready()
            if event is not None:
                return event
            await self._awake.wait()
        raise StopAsyncIteration

    def ready(self) -> Event | None:
        """The next event that concerns this watcher, without waiting; None: it has seen everything."""
        while self._page or self._read():
            change = self._page.popleft()
            self.revision = change.revision
            kind = self._seen_as(change)
            if kind is not None:
                return kind, change.object, change.revision
        return None

    def _read(self) -> bool:
        """One page; without one, the cursor moves to the end of the log."""
        self._awake.clear()
        self._page.extend(self._changes(PAGE))
        if not self._page:
            self.revision = self._store.revision
        return bool(self._page)

    def _changes(self, limit: int) -> list[Change]:
        return self._store.changes(
            self._resource,
            self._namespace,
            self.revision,
            limit,
            self._containing,
            previous=self._matches is not None,
        )

    def _seen_as(self, change: Change) -> str | None:
        """The type of the event for somebody who sees only what matches; None: nothing happened for them."""
        if self._matches is None:
            return change.type
        before = change.previous is not None and self._matches(change.previous)
        after = change.type != "DELETED" and self._matches(change.object)
        return _TRANSITIONS.get((before, after))
