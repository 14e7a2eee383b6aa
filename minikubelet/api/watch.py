"""A watch over HTTP: one JSON line per event, sent at once, until the client leaves or its time is over.

The store's `Watch` is a cursor without a queue and `write` waits for the socket, so a client that does not
read holds one line in memory. `kubectl get -w` does not come back when the server closes, so without
`timeoutSeconds` a watch lives 30 to 60 minutes, as the API server's does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from minikubelet.api import negotiation, respond
from minikubelet.api.listing import ListOptions, check_reached
from minikubelet.api.request import Call
from minikubelet.api.table import only_metadata, table
from minikubelet.errors import Expired
from minikubelet.store import Watch
from minikubelet.store.watch import Event
from minikubelet.v1 import conversion
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

BOOKMARK_SECONDS = 60.0
AT_ONCE = 32 << 10  # bytes
LIFE_SECONDS = (1800.0, 3600.0)
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def watch(call: Call, options: ListOptions) -> web.StreamResponse:
    """`?watch=true`. Errors before the first byte are HTTP errors, later ones an ERROR event."""
    frame = Frame(call)
    info, matches = call.resource, options.matches
    present, since = _start(call, options)
    chosen = None if matches is None else lambda obj: matches(conversion.shown(info, obj))
    cursor = call.backend.store.watch(info.stored, call.namespace or None, since, matches=chosen)
    try:
        response = web.StreamResponse(headers=respond.headers())
        await response.prepare(call.http)
        for obj in present:
            await response.write(frame.line("ADDED", obj))
        if options.initial_events and options.bookmarks:
            await response.write(frame.bookmark(since, {INITIAL_EVENTS_END: "true"}))
        await _follow(call, options, cursor, frame, response)
        await response.write_eof()
        return response
    finally:
        cursor.close()


def _start(call: Call, options: ListOptions) -> tuple[list[Object], int]:
    """What to send first, and where to go on.

    Without a revision the present state comes as ADDED events, unless the client says it does not want them;
    with one, only if it asks for them.
    """
    store = call.backend.store
    wanted = options.initial_events
    if wanted is None:
        wanted = not options.revision
    elif wanted:
        check_reached(options.revision, store.revision)
    if wanted:
        page = call.objects.list(call.resource, call.namespace, options.matches)
        return page.items, page.revision
    return [], options.revision or store.revision


async def _follow(
    call: Call, options: ListOptions, cursor: Watch, frame: Frame, response: web.StreamResponse
) -> None:
    """Until `timeoutSeconds` have passed, the log was compacted behind the client, or the store closes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (options.seconds if options.seconds > 0 else random.uniform(*LIFE_SECONDS))
    while (left := deadline - loop.time()) > 0:
        try:
            async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                event = await anext(cursor)
        except TimeoutError:
            if options.bookmarks:
                await response.write(frame.bookmark(cursor.revision))
        except StopAsyncIteration:
            return
        except Expired as error:
            await response.write(respond.encode({"type": "ERROR", "object": error.status()}) + b"\n")
            return
        else:
            await response.write(_lines(call, cursor, frame, event))


def _lines(call: Call, cursor: Watch, frame: Frame, event: Event | None) -> bytes:
    """The event, and what has happened since as far as it fits: one system call under load, not hundreds."""
    lines = bytearray()
    while event is not None:
        lines += frame.line(event[0], conversion.shown(call.resource, event[1]))
        if len(lines) >= AT_ONCE:
            break
        try:
            event = cursor.ready()
        except Expired:
            break  # it will be told when these lines are out
    return bytes(lines)


class Frame:
    """Makes the lines: plain objects, their metadata, or Tables of one row (with column definitions in the
    first only).
    """

    def __init__(self, call: Call, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._info: ResourceInfo = call.resource
        self._form = negotiation.wanted(call.http.headers.get("Accept", ""))
        self._include = call.text("includeObject")
        self._definitions = True
        self._now = now

    def line(self, kind: str, obj: Object) -> bytes:
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return respond.encode({"type": kind, "object": self._shown(obj, [obj], metadata)}) + b"\n"

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """Everything up to here was sent: the client may watch from here next time."""
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": self._info.kind, "apiVersion": self._info.api_version, "metadata": metadata}
        return respond.encode({"type": "BOOKMARK", "object": self._shown(obj, [], metadata)}) + b"\n"

    def _shown(self, obj: Object, rows: list[Object], metadata: Object) -> Object:
        if self._form.kind == negotiation.METADATA:
            return only_metadata(obj, self._form.version)
        if self._form.kind != negotiation.TABLE:
            return obj
        definitions, self._definitions = self._definitions, False
        return table(
            self._info,
            rows,
            metadata,
            self._now(),
            version=self._form.version,
            include=self._include,
            definitions=definitions,
        )
