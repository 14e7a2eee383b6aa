"""port-forward without SPDY, as the Python client does it: `…/portforward?ports=80,443` over a WebSocket.

One connection to each port, made at once. Of the i-th port channel 2i carries the data and 2i+1 what went
wrong; the first message on each is the port, two bytes, little endian. What has ended cannot be told of one
port, so the WebSocket ends with the last. (A client that speaks v5 can end its half of a port by `255 2i`.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from minikubelet.api.request import Call
from minikubelet.api.streams.upgrade import abort, watch_client
from minikubelet.api.streams.websocket_client import CLOSE, Channels
from minikubelet.errors import BadRequest, PortForwardError
from minikubelet.runtime.cri import PortConnection

log = logging.getLogger(__name__)

PORT_LIMIT = 127  # a channel is one byte, and 255 has a meaning of its own

Connect = Callable[[int], Awaitable[PortConnection]]


def wanted_ports(call: Call) -> list[int]:
    """From the query, where they may be repeated and listed."""
    texts = [text for line in call.http.query.getall("ports", []) for text in line.split(",")]
    if not texts:
        raise BadRequest('query parameter "ports" is required')
    if len(texts) > PORT_LIMIT:
        raise BadRequest(f"too many ports: at most {PORT_LIMIT}")
    return [_port(text) for text in texts]


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise BadRequest(f'unable to parse "{text}" as a port')
    if int(text) < 1:
        raise BadRequest(f'port "{text}" must be > 0')
    return int(text)


async def serve(call: Call, socket: web.WebSocketResponse, ports: list[int], connect: Connect) -> None:
    """Until every port has ended, or the client leaves."""
    channels = Channels(call, socket)
    with watch_client(call.http):
        try:
            for index, port in enumerate(ports):
                for channel in (2 * index, 2 * index + 1):
                    await channels.send(channel, port.to_bytes(2, "little"))
            if await _forward(channels, ports, connect):
                await socket.close()
                return
        except ConnectionError as error:
            log.debug("a client of port-forward has left: %s", error)
    abort(call.http)


async def _forward(channels: Channels, ports: list[int], connect: Connect) -> bool:
    """False when the client has left."""
    forwarded = [_Port(channels, 2 * index) for index in range(len(ports))]
    output = asyncio.gather(*(one.run(connect(port)) for one, port in zip(forwarded, ports, strict=True)))
    entry = asyncio.create_task(_input(channels, forwarded), name="forward input")
    try:
        await asyncio.wait((output, entry), return_when=asyncio.FIRST_COMPLETED)
        if output.done():
            output.result()
        return output.done()
    finally:
        for task in (output, entry):
            task.cancel()
        await asyncio.gather(output, entry, return_exceptions=True)


async def _input(channels: Channels, ports: list[_Port]) -> None:
    """Until the client has gone. A server that does not read holds up the other ports, too."""
    while received := await channels.receive():
        channel, data = received
        if channel == CLOSE and data[:1] and data[0] % 2 == 0 and data[0] // 2 < len(ports):
            await ports[data[0] // 2].end()
        elif channel % 2 == 0 and channel // 2 < len(ports):
            with channels.waiting:
                await ports[channel // 2].write(data)


class _Port:
    """One port and the connection to it."""

    def __init__(self, channels: Channels, channel: int) -> None:
        self._channels, self._channel = channels, channel
        self._connection: PortConnection | None = None
        self._connected = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def run(self, connecting: Awaitable[PortConnection]) -> None:
        """From connecting to the end of what the server sends."""
        try:
            self._connection = await connecting
            self._connected.set()
            while data := await self._connection.read():
                await self._channels.send(self._channel, data)
        except PortForwardError as error:
            await self._channels.send(self._channel + 1, str(error).encode())
        finally:
            self._connected.set()
            if self._connection is not None:
                await self._stop_writing()
                self._connection.close()
                self._connection = None

    async def write(self, data: bytes) -> None:
        """What comes too late is dropped; why it could not be written, the other direction finds, too."""
        await self._connected.wait()
        if self._connection is None:
            return
        self._writing = asyncio.create_task(self._connection.write(data), name="to the pod")
        try:
            await asyncio.wait((self._writing,))
        finally:
            self._writing.cancel()
        if not self._writing.cancelled() and (error := self._writing.exception()) is not None:
            log.debug("a server takes no more: %s", error)

    async def _stop_writing(self) -> None:
        """To a server that ended its half and does not read: nothing else would ever end it."""
        if self._writing is not None and not self._writing.done():
            self._writing.cancel()
            await asyncio.wait((self._writing,))

    async def end(self) -> None:
        await self._connected.wait()
        if self._connection is not None:
            self._connection.end()
