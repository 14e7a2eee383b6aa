"""From an HTTP request to the bare connection below it, and how a client that vanishes is noticed.

`bare_connection` takes the connection from aiohttp after the 101 and gives it back when it is lost, so that
the cancellation of the request still works. `WebSocketLine` is the same stream of bytes inside a WebSocket.

Ways to vanish, and how each is noticed. A process that ends closes its socket, which is read at once, and by
`watch_client` even while nobody reads because the process in the pod does not take its input. But what stands
before the end in the client's kernel then, and finds no room here, holds back the end itself: so a client
that has to wait is sent a ping now and then (`Nudge`), which a closed socket answers with a reset. A machine
that is gone does not answer TCP's keep-alive. A client that has sent pings and falls silent is gone
(`SILENCE`: kubectl pings every 5 or 10 s and gives the server up by the same rule). Nobody is expected to
*answer* pings: the Python client does so only while somebody reads from it.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from aiohttp import WSMsgType, web

SILENCE = 61.0  # seconds; as kubectl's own
LINE_BUFFER = 64 << 10  # bytes; asyncio stops reading at twice that
KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))  # seconds
NUDGE = 0.5  # seconds
_LOOK_AGAIN = 0.2  # seconds


class Line(Protocol):
    """A connection after its upgrade."""

    async def read(self) -> bytes:
        """What comes next; empty when the client has gone."""

    async def write(self, data: bytes) -> None:
        """Waits while the client does not take what it was sent. Raises ConnectionError."""


class BareLine:
    """The socket itself, or TLS upon it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(LINE_BUFFER)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class WebSocketLine:
    """A stream of bytes as binary messages; where one ends means nothing."""

    def __init__(self, websocket: web.WebSocketResponse) -> None:
        self._websocket = websocket

    async def read(self) -> bytes:
        async for message in self._websocket:
            if message.type is WSMsgType.BINARY and message.data:
                return bytes(message.data)
        return b""

    async def write(self, data: bytes) -> None:
        await self._websocket.send_bytes(data)


class _Taken(asyncio.StreamReaderProtocol):
    """Reads for a BareLine; HTTP hears only of the end."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._before.connection_lost(error)


async def bare_connection(
    http: web.BaseRequest, headers: Mapping[str, str]
) -> tuple[web.StreamResponse, BareLine]:
    """Answer 101 with these headers, and take the connection."""
    transport = http.transport
    if transport is None:
        raise ConnectionResetError("the client has left")
    response = web.StreamResponse(status=101, headers=headers)
    response.force_close()
    await response.prepare(http)  # does not wait: nothing can come in between
    http.protocol.keep_alive(False)
    reader = asyncio.StreamReader(LINE_BUFFER)
    protocol = _Taken(reader, transport.get_protocol())
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return response, BareLine(
        reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    )


class Nudge:
    """`with` this, a client is made to wait: it is sent pings meanwhile, as long as it takes them."""

    def __init__(self, ping: Callable[[], Awaitable[None]], may_ping: Callable[[], bool]) -> None:
        self._ping, self._may_ping = ping, may_ping
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(NUDGE, self._tick)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(NUDGE, self._tick)
        if self._may_ping() and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._send(), name="nudge")

    async def _send(self) -> None:
        with suppress(ConnectionError):  # who waits hears of it otherwise
            await self._ping()


def abort(http: web.BaseRequest) -> None:
    """Cut the connection. (What closes it waits for the client to take what it was sent.)"""
    if http.transport is not None:
        http.transport.abort()


@contextmanager
def watch_client(http: web.BaseRequest) -> Iterator[None]:
    """Cut the connection, and so cancel the request, when the client closes it while nobody reads."""
    transport = http.transport
    if transport is None:
        raise ConnectionResetError("the client has left")
    client = transport.get_extra_info("socket")
    if client.family in (socket.AF_INET, socket.AF_INET6):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEP_ALIVE:
            client.setsockopt(socket.IPPROTO_TCP, option, value)
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def look() -> None:
        """What still lies in the socket may be worth reading: only who does not read loses it."""
        nonlocal timer
        if not watch.poll(0):
            return  # woken for nothing
        loop.remove_reader(watch.fileno())
        if not transport.is_closing() and not transport.is_reading():
            transport.abort()
        elif not transport.is_closing():
            timer = loop.call_later(_LOOK_AGAIN, look)

    with select.epoll() as watch:
        # An epoll of its own: the loop's would report data that nobody wants to read yet, again and again.
        watch.register(client.fileno(), select.EPOLLRDHUP)
        loop.add_reader(watch.fileno(), look)
        try:
            yield
        finally:
            loop.remove_reader(watch.fileno())
            if timer is not None:
                timer.cancel()
