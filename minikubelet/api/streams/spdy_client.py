"""A client of exec or attach over SPDY/3.1: one stream per channel, named by its header `streamtype`.

The client opens `error` and those it has asked for, and `resize` with a terminal; only when all are there the
command begins, as with the kubelet. Protocol versions, as `X-Stream-Protocol-Version` negotiates them:

    v4 (v5 is the same over SPDY)  the end is a Status as JSON on the error stream
    v3, v2, none (the first)       the end is nothing, or a text on the error stream; no resize before v3
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from minikubelet.api import respond
from minikubelet.api.request import Call
from minikubelet.api.streams.remote_command import STDOUT, Streams, terminal_size
from minikubelet.api.streams.spdy import REFUSED_STREAM
from minikubelet.api.streams.spdy_session import Session, Stream
from minikubelet.api.streams.upgrade import abort, bare_connection, watch_client
from minikubelet.errors import BadRequest, Forbidden
from minikubelet.runtime.cri import ExecSession

UPGRADE = "SPDY/3.1"
VERSION_HEADER = "X-Stream-Protocol-Version"
V1, V2, V3, V4 = "channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io", "v4.channel.k8s.io"
CREATION_SECONDS = 30.0  # for the client to open its streams
SIZE_LIMIT = 1024  # bytes of one resize


def negotiate(call: Call, known: tuple[str, ...]) -> str:
    """The first version of the client's that we know; empty when it names none. Forbidden, as the kubelet."""
    if call.http.can_read_body:
        raise BadRequest("unable to upgrade: a request with a body")
    asked = [
        name.strip() for line in call.http.headers.getall(VERSION_HEADER, []) for name in line.split(",")
    ]
    for version in asked:
        if version in known:
            return version
    if asked:
        listed = f"client supports [{' '.join(asked)}], server accepts [{' '.join(known)}]"
        raise Forbidden(f"unable to upgrade: unable to negotiate protocol: {listed}")
    return ""


def answer_headers(version: str) -> dict[str, str]:
    headers = {"Connection": "Upgrade", "Upgrade": UPGRADE}
    return headers | {VERSION_HEADER: version} if version else headers


class SpdyClient:
    """`remote_command.Client` over SPDY."""

    def __init__(self, call: Call, response: web.StreamResponse, wanted: set[str], version: str) -> None:
        self.response = response
        self._http = call.http
        self.session: Session
        self._wanted, self._version = wanted, version
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()

    def accept(self, stream: Stream) -> int | None:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._wanted or kind in self._streams:
            return REFUSED_STREAM
        self._streams[kind] = stream
        if kind in ("error", "stdout", "stderr"):
            stream.discard()  # the client has nothing to say on these
        if len(self._streams) == len(self._wanted):
            self._complete.set()
        return None

    async def wait_ready(self) -> None:
        """Until the client has opened its streams. Raises ConnectionError."""
        complete = asyncio.create_task(self._complete.wait(), name="spdy streams")
        gone = asyncio.create_task(self.session.wait_closed(), name="spdy end")
        try:
            await asyncio.wait(
                (complete, gone), timeout=CREATION_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            complete.cancel()
            gone.cancel()
        if not self._complete.is_set():
            raise ConnectionResetError("timed out waiting for client to create streams")

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get("stdout" if channel == STDOUT else "stderr")
        if stream is not None and not stream.closed:
            await stream.write(data)

    async def feed(self, session: ExecSession) -> None:
        stories = [self.session.wait_closed()]
        if "stdin" in self._streams:
            stories.append(self._feed_stdin(self._streams["stdin"], session))
        if "resize" in self._streams:
            stories.append(self._feed_sizes(self._streams["resize"], session))
        await asyncio.gather(*stories)

    async def _feed_stdin(self, stream: Stream, session: ExecSession) -> None:
        while data := await stream.read():
            await session.write_stdin(data)
        await session.close_stdin()

    async def _feed_sizes(self, stream: Stream, session: ExecSession) -> None:
        """One JSON object after another; kubectl ends each with a newline."""
        rest = b""
        while data := await stream.read():
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[:SIZE_LIMIT]
            for line in lines:
                size = terminal_size(line)
                if size is not None:
                    await session.resize(*size)

    async def finish(self, status: dict[str, Any]) -> None:
        """Every half of ours is ended: kubectl waits for that."""
        failed = status["status"] != "Success"
        if self._version == V4:
            await self._streams["error"].write(respond.encode(status))
        elif failed:
            await self._streams["error"].write(str(status.get("message", "")).encode())
        for stream in self._streams.values():
            await stream.finish()
        await self.session.finish()

    def abort(self) -> None:
        abort(self._http)


@asynccontextmanager
async def upgrade(call: Call, streams: Streams) -> AsyncIterator[SpdyClient]:
    version = negotiate(call, (V4, V3, V2, V1))
    wanted = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(streams, name)}
    if streams.tty and version in (V4, V3):
        wanted.add("resize")
    response, line = await bare_connection(call.http, answer_headers(version))
    client = SpdyClient(call, response, wanted, version)
    with watch_client(call.http):
        async with Session(line, client.accept, len(wanted)) as client.session:
            yield client
