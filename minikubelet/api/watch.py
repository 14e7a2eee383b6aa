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

from minikubelet.api import respond
from minikubelet.api.request import Call
from minikubelet.api.selectors import Matcher
from minikubelet.api.table import table, wants_table
from minikubelet.errors import BadRequest, Expired
from minikubelet.store import Watch
from minikubelet.v1 import conversion
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

BOOKMARK_SECONDS = 60.0
LIFE_SECONDS = (1800.0, 3600.0)


async def watch(call: Call, matches: Matcher | None) -> web.StreamResponse:
    """`?watch=true`. Errors before the first byte are HTTP errors, later ones an ERROR event."""
    frame = Frame(call)
    info = call.resource
    present, since = _start(call, matches)
    chosen = None if matches is None else lambda obj: matches(conversion.shown(info, obj))
    cursor = call.backend.store.watch(info.stored, call.namespace or None, since, matches=chosen)
    try:
        response = web.StreamResponse(headers=respond.headers())
        await response.prepare(call.http)
        for obj in present:
            await response.write(frame.line("ADDED", obj))
        await _follow(call, cursor, frame, response)
        await response.write_eof()
        return response
    finally:
        cursor.close()


def _start(call: Call, matches: Matcher | None) -> tuple[list[Object], int]:
    """What to send first, and where to go on. Without a revision the present state comes as ADDED events."""
    given = call.text("resourceVersion")
    if given in ("", "0"):
        page = call.objects.list(call.resource, call.namespace, matches)
        return page.items, page.revision
    if not given.isdecimal():
        raise BadRequest(f'strconv.ParseUint: parsing "{given}": invalid syntax')
    return [], int(given)


async def _follow(call: Call, cursor: Watch, frame: Frame, response: web.StreamResponse) -> None:
    """Until `timeoutSeconds` have passed, the log was compacted behind the client, or the store closes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (call.number("timeoutSeconds") or random.uniform(*LIFE_SECONDS))
    bookmarks = call.flag("allowWatchBookmarks")
    while (left := deadline - loop.time()) > 0:
        try:
            async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                kind, obj, _ = await anext(cursor)
        except TimeoutError:
            if bookmarks:
                await response.write(frame.bookmark(cursor.revision))
        except StopAsyncIteration:
            return
        except Expired as error:
            await response.write(respond.encode({"type": "ERROR", "object": error.status()}) + b"\n")
            return
        else:
            await response.write(frame.line(kind, conversion.shown(call.resource, obj)))


class Frame:
    """Makes the lines: plain objects, or Tables of one row (with column definitions in the first only)."""

    def __init__(self, call: Call, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._info: ResourceInfo = call.resource
        self._table = wants_table(call.http.headers.get("Accept", ""))
        self._include = call.text("includeObject")
        self._definitions = True
        self._now = now

    def line(self, kind: str, obj: Object) -> bytes:
        return respond.encode({"type": kind, "object": self._shown(obj)}) + b"\n"

    def bookmark(self, revision: int) -> bytes:
        """Everything up to here was sent: the client may watch from here next time."""
        metadata = {"resourceVersion": str(revision)}
        obj = {"kind": self._info.kind, "apiVersion": self._info.api_version, "metadata": metadata}
        return respond.encode({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _shown(self, obj: Object) -> Object:
        if self._table is None:
            return obj
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        definitions, self._definitions = self._definitions, False
        return table(
            self._info,
            [obj],
            metadata,
            self._now(),
            version=self._table,
            include=self._include,
            definitions=definitions,
        )
