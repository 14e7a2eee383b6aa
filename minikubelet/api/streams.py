"""exec and attach over WebSocket: channels 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize; in v5 255 closes
one.

Two tasks per session, one per direction, and no queue between them: output waits for the socket
(`send_bytes` drains), input waits for the process. So gigabytes pass through a constant amount of memory.
The end is one Status on channel 3, after all output. A client that vanishes ends the session: whatever the
two tasks were doing is cancelled and the process is closed.

The errors a client may see *before* the 101 are HTTP errors; kubectl then tries again over SPDY and prints
that answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from minikubelet.api import respond
from minikubelet.api.request import Call
from minikubelet.errors import ApiError, BadRequest, MinikubeletError
from minikubelet.runtime.cri import ExecSession

Object = dict[str, Any]

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
MESSAGE_LIMIT = 4 << 20  # bytes; kubectl sends 32 KiB at a time
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Streams:
    """What the client wants connected."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def wanted_streams(call: Call) -> Streams:
    streams = Streams(call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), call.flag("tty"))
    if not (streams.stdin or streams.stdout or streams.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if streams.tty and streams.stderr:
        raise BadRequest("tty and stderr cannot both be true")
    return streams


async def serve_session(
    call: Call, streams: Streams, start: Callable[[], Awaitable[ExecSession]], *, report_exit_code: bool
) -> web.StreamResponse:
    """Upgrade, start, pump, report."""
    socket = web.WebSocketResponse(
        protocols=PROTOCOLS, compress=False, max_msg_size=MESSAGE_LIMIT, timeout=5.0
    )
    ready = socket.can_prepare(call.http)
    if not ready.ok or ready.protocol is None:
        raise BadRequest(
            "unable to upgrade: this server speaks v5.channel.k8s.io and v4.channel.k8s.io over WebSocket"
        )
    await socket.prepare(call.http)
    try:
        session = await start()
    except MinikubeletError as error:
        await _report(socket, _failure(error))
        return socket
    try:
        status = await _pump(socket, session, streams)
    finally:
        await session.close()
    await _report(socket, status if report_exit_code else _SUCCESS)
    return socket


async def _report(socket: web.WebSocketResponse, status: Object) -> None:
    """The last word of a session. A client that has left does not hear it."""
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(bytes([ERROR]) + respond.encode(status))
        await socket.close()


async def _pump(socket: web.WebSocketResponse, session: ExecSession, streams: Streams) -> Object:
    """Both directions at once; the end of the output is the end of both, and so is a client that leaves."""
    output = asyncio.create_task(_output(socket, session, streams), name="exec output")
    entry = asyncio.create_task(_input(socket, session), name="exec input")
    try:
        await asyncio.wait((output, entry), return_when=asyncio.FIRST_COMPLETED)
        if not output.done():
            entry.result()  # raises what went wrong with the input, if anything did
            raise ConnectionResetError("the client has left")
        return output.result()
    finally:
        for task in (output, entry):
            task.cancel()
        await asyncio.gather(output, entry, return_exceptions=True)


async def _output(socket: web.WebSocketResponse, session: ExecSession, streams: Streams) -> Object:
    """From the process to the client; the exit code, as a Status."""
    wanted = {STDOUT: streams.stdout, STDERR: streams.stderr}
    async for channel, data in session.frames():
        if channel == ERROR:
            return exit_status(int(data))
        if wanted.get(channel):
            await socket.send_bytes(bytes([channel]) + data)
    return _SUCCESS


async def _input(socket: web.WebSocketResponse, session: ExecSession) -> None:
    """From the client to the process, until the client closes the connection."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN:
            await session.write_stdin(data)
        elif channel == RESIZE:
            size = terminal_size(data)
            if size is not None:
                await session.resize(*size)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await session.close_stdin()


def terminal_size(data: bytes) -> tuple[int, int] | None:
    """`{"Width":100,"Height":30}`; None when it is anything else."""
    try:
        size = msgspec.json.decode(data, type=dict[str, int])
    except msgspec.DecodeError:
        return None
    width, height = size.get("Width", 0), size.get("Height", 0)
    return (width, height) if 0 < width < 1 << 16 and 0 < height < 1 << 16 else None


_SUCCESS: Object = {"metadata": {}, "status": "Success"}


def exit_status(code: int) -> Object:
    """As the kubelet reports the end of a command."""
    if code == 0:
        return _SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failure(error: MinikubeletError) -> Object:
    if isinstance(error, ApiError):
        return error.status()
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": str(error),
        "code": 500,
    }
