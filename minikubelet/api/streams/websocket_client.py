"""A client of exec or attach over WebSocket: channels 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize.

The first byte of a binary message is the channel. Since v5 a message on channel 255 closes the channel it
names; before, a client could not end its stdin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from minikubelet.api import respond
from minikubelet.api.request import Call
from minikubelet.api.streams.remote_command import ERROR, RESIZE, STDIN, terminal_size
from minikubelet.api.streams.upgrade import SILENCE, Nudge, abort, watch_client
from minikubelet.errors import BadRequest
from minikubelet.runtime.cri import ExecSession

CLOSE = 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
MESSAGE_LIMIT = 4 << 20  # bytes; kubectl sends 32 KiB at a time
CLOSE_SECONDS = 5.0  # for the client to answer our close


def accept(call: Call, protocols: Iterable[str], **settings: Any) -> web.WebSocketResponse:
    """What will answer this request; BadRequest when it cannot be."""
    socket = web.WebSocketResponse(
        protocols=protocols, compress=False, max_msg_size=MESSAGE_LIMIT, timeout=CLOSE_SECONDS, **settings
    )
    ready = socket.can_prepare(call.http)
    if not ready.ok or ready.protocol is None:
        known = " and ".join(protocols)
        raise BadRequest(f"unable to upgrade: this server speaks {known} over WebSocket")
    return socket


class Channels:
    """The channels of one WebSocket. Pings are answered here, so that a client that sends them and then falls
    silent is noticed.
    """

    def __init__(self, call: Call, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._http = call.http
        self._pinged = False
        self.waiting = Nudge(socket.ping, self._has_taken_all)

    def _has_taken_all(self) -> bool:
        return self._http.transport is not None and not self._http.transport.get_write_buffer_size()

    async def send(self, channel: int, data: bytes) -> None:
        await self.socket.send_bytes(bytes([channel]) + data)

    async def receive(self) -> tuple[int, bytes] | None:
        """(channel, data); None when the client has gone."""
        while True:
            try:
                message: WSMessage = await self.socket.receive(SILENCE if self._pinged else None)
            except TimeoutError:
                return None
            if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                # The Python client sends as text what it was given as text.
                data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
                if data:
                    return data[0], data[1:]
            elif message.type is WSMsgType.PING:
                self._pinged = True
                await self.socket.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                return None


class WebSocketClient:
    """`remote_command.Client` over WebSocket."""

    def __init__(self, call: Call, socket: web.WebSocketResponse) -> None:
        self.response = socket
        self._http = call.http
        self._channels = Channels(call, socket)

    async def wait_ready(self) -> None:
        return

    async def send(self, channel: int, data: bytes) -> None:
        await self._channels.send(channel, data)

    async def feed(self, session: ExecSession) -> None:
        while received := await self._channels.receive():
            channel, data = received
            if channel == STDIN:
                if data:
                    with self._channels.waiting:
                        await session.write_stdin(data)
            elif channel == RESIZE:
                size = terminal_size(data)
                if size is not None:
                    await session.resize(*size)
            elif channel == CLOSE and data[:1] == bytes([STDIN]):
                await session.close_stdin()

    async def finish(self, status: dict[str, Any]) -> None:
        await self.send(ERROR, respond.encode(status))
        await self.response.close()

    def abort(self) -> None:
        abort(self._http)


@asynccontextmanager
async def upgrade(call: Call) -> AsyncIterator[WebSocketClient]:
    socket = accept(call, PROTOCOLS, autoping=False)
    await socket.prepare(call.http)
    with watch_client(call.http):
        yield WebSocketClient(call, socket)
