"""port-forward: connections to ports of a pod, carried by one connection of a client.

Over SPDY/3.1, bare (kubectl before 1.31) or as the bytes of a WebSocket (since then): for each TCP connection
the client opens two streams, `error` and `data`, that name the port and have a request id in common. Data
flows both ways on the one; the other ends empty, or with a text when something went wrong. That a client has
ended its half is passed on; the end of the server's half is the end of the connection.

The Python client speaks without SPDY: `websocket_ports`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from minikubelet.api.request import Call
from minikubelet.api.streams import spdy_client, websocket_client, websocket_ports
from minikubelet.api.streams.spdy import PROTOCOL_ERROR
from minikubelet.api.streams.spdy_session import Session, Stream
from minikubelet.api.streams.transport import asks_for_spdy
from minikubelet.api.streams.upgrade import Line, WebSocketLine, abort, bare_connection, watch_client
from minikubelet.errors import PortForwardError
from minikubelet.runtime.cri import PortConnection

log = logging.getLogger(__name__)

VERSION = "portforward.k8s.io"
TUNNEL = f"{spdy_client.UPGRADE}+{VERSION}"
STREAM_LIMIT = 512  # of one client at a time: two for each connection
CREATION_SECONDS = 30.0  # for the second stream of a pair

Connect = Callable[[int], Awaitable[PortConnection]]


async def serve(call: Call, connect: Connect) -> web.StreamResponse:
    """All that can be refused as an HTTP error has been, but for what the upgrade itself says."""
    if asks_for_spdy(call.http):
        version = spdy_client.negotiate(call, (VERSION,))
        response, line = await bare_connection(call.http, spdy_client.answer_headers(version))
        await _serve_spdy(call, line, connect)
        return response
    if TUNNEL in call.http.headers.get("Sec-WebSocket-Protocol", ""):
        socket = websocket_client.accept(call, (TUNNEL,))  # its pings are aiohttp's: SPDY has its own
        await socket.prepare(call.http)
        await _serve_spdy(call, WebSocketLine(socket), connect)
    else:
        ports = websocket_ports.wanted_ports(call)
        socket = websocket_client.accept(call, websocket_client.PROTOCOLS, autoping=False)
        await socket.prepare(call.http)
        await websocket_ports.serve(call, socket, ports, connect)
    return socket


async def _serve_spdy(call: Call, line: Line, connect: Connect) -> None:
    """Until the client leaves."""
    forwarding = Forwarding(connect)
    with watch_client(call.http):
        try:
            async with Session(line, forwarding.accept, STREAM_LIMIT) as session:
                await session.wait_closed()
        finally:
            await forwarding.close()
    abort(call.http)


@dataclass(slots=True)
class _Pair:
    """The streams of one connection; it is served from the first on."""

    port: int
    streams: dict[str, Stream] = field(default_factory=dict)
    complete: asyncio.Event = field(default_factory=asyncio.Event)


class Forwarding:
    """The connections of one client."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._pairs: dict[str, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, stream: Stream) -> int | None:
        """A stream the client has opened, of a pair by its request id."""
        kind, port = stream.headers.get("streamtype", ""), port_number(stream.headers.get("port", ""))
        if kind not in ("error", "data") or port is None:
            return PROTOCOL_ERROR
        request = stream.headers.get("requestid", "")
        pair = self._pairs.get(request)
        if pair is None:
            pair = self._pairs[request] = _Pair(port)
            task = asyncio.create_task(self._serve(request, pair), name=f"forward port {port}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        if kind in pair.streams or pair.port != port:
            return PROTOCOL_ERROR
        pair.streams[kind] = stream
        if kind == "error":
            stream.discard()  # the client has nothing to say on it
        if len(pair.streams) == 2:
            del self._pairs[request]  # the name may be used again
            pair.complete.set()
        return None

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def _serve(self, request: str, pair: _Pair) -> None:
        """One connection, from its first stream to its last byte."""
        said = ""
        try:
            async with asyncio.timeout(CREATION_SECONDS):
                await pair.complete.wait()
        except TimeoutError:
            self._pairs.pop(request, None)
            said = f"(request={request}) timed out waiting for streams"
        try:
            said = said or await self._forward(pair)
            if said and "error" in pair.streams:
                await pair.streams["error"].write(said.encode())
            for stream in pair.streams.values():
                stream.discard()
                await stream.finish()
        except ConnectionError as error:
            log.debug("a connection to port %d was given up: %s", pair.port, error)
            for stream in pair.streams.values():
                await stream.reset()

    async def _forward(self, pair: _Pair) -> str:
        """What went wrong, to be told to the client."""
        try:
            connection = await self._connect(pair.port)
            try:
                await pump(pair.streams["data"], connection)
            finally:
                connection.close()
        except PortForwardError as error:
            return str(error)
        return ""


async def pump(client: Stream, server: PortConnection) -> None:
    """Both directions, until the server ends. PortForwardError, StreamReset.

    A server that takes no more may have answered before: what it said still reaches the client.
    """
    up = asyncio.create_task(_upwards(client, server), name="to the pod")
    down = asyncio.create_task(_downwards(client, server), name="from the pod")
    try:
        done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        refused: PortForwardError | None = None
        if down not in done:
            try:
                up.result()
            except PortForwardError as error:
                refused = error
            await down
        down.result()
        if refused is not None:
            raise refused
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _upwards(client: Stream, server: PortConnection) -> None:
    while data := await client.read():
        await server.write(data)
    server.end()


async def _downwards(client: Stream, server: PortConnection) -> None:
    while data := await server.read():
        await client.write(data)


def port_number(text: str) -> int | None:
    """As `strconv.ParseUint(text, 10, 16)`, and not 0."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        return None
    return int(text) if 0 < int(text) < 1 << 16 else None
