"""exec and attach: one pump between a client and a process, whatever the client speaks.

Everything that can be refused is refused before the 101, as an HTTP error and in the same words over both
transports: kubectl tries again over SPDY when a WebSocket was refused, and prints that answer. Nothing is
started before the 101.

Then two directions at once, without a queue between them: output waits for the client, input waits for the
process, so gigabytes pass through a constant amount of memory. The end is one Status, after all output. A
client that vanishes ends the session: whatever was going on is cancelled and the process is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from aiohttp import web

from minikubelet.api.request import Call
from minikubelet.errors import ApiError, BadRequest, MinikubeletError
from minikubelet.runtime.cri import ExecSession

log = logging.getLogger(__name__)

Object = dict[str, Any]

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)

NON_ZERO_EXIT_CODE = "NonZeroExitCode"
SUCCESS: Object = {"metadata": {}, "status": "Success"}


@dataclass(frozen=True, slots=True)
class Streams:
    """What the client wants connected."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


@dataclass(frozen=True, slots=True)
class Purpose:
    """What differs between the two in how they end."""

    failed: str  # the kubelet's words before a reason
    report_exit_code: bool


EXEC = Purpose("error executing command in container", report_exit_code=True)
ATTACH = Purpose("error attaching to container", report_exit_code=False)  # the code is in the pod's status


class Client(Protocol):
    """Who asked for an exec or attach, after the 101."""

    @property
    def response(self) -> web.StreamResponse: ...

    async def wait_ready(self) -> None:
        """Until the client has done its part of the opening. Raises ConnectionError."""

    async def send(self, channel: int, data: bytes) -> None:
        """Output, STDOUT or STDERR. Waits while the client does not take it. Raises ConnectionError."""

    async def feed(self, session: ExecSession) -> None:
        """Everything the client sends, to the process. Returns when the client has gone."""

    async def finish(self, status: Object) -> None:
        """The last word, and the end of the connection. Raises ConnectionError."""

    def abort(self) -> None:
        """The end without a word, also for a client that takes none."""


def wanted_streams(call: Call) -> Streams:
    streams = Streams(call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), call.flag("tty"))
    if not (streams.stdin or streams.stdout or streams.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    if streams.tty and streams.stderr:
        raise BadRequest("tty and stderr cannot both be true")
    return streams


async def serve_session(
    upgrade: AbstractAsyncContextManager[Client],
    streams: Streams,
    start: Callable[[], Awaitable[ExecSession]],
    purpose: Purpose,
) -> web.StreamResponse:
    """Upgrade (what `transport.command_client` gave), start, pump, report."""
    async with upgrade as client:
        try:
            await client.wait_ready()
            status = await _run(client, streams, start, purpose)
            if status.get("reason") == NON_ZERO_EXIT_CODE and not purpose.report_exit_code:
                status = SUCCESS
            await client.finish(status)
        except ConnectionError as error:
            log.debug("a client has left: %s", error)
            client.abort()
    return client.response


async def _run(
    client: Client, streams: Streams, start: Callable[[], Awaitable[ExecSession]], purpose: Purpose
) -> Object:
    """How it ended, as a Status."""
    try:
        session = await start()
        try:
            return await _pump(client, session, streams)
        finally:
            await session.close()
    except MinikubeletError as error:
        return _failure(error, purpose)


async def _pump(client: Client, session: ExecSession, streams: Streams) -> Object:
    """Both directions at once; the end of the output is the end of both, and so is a client that leaves."""
    output = asyncio.create_task(_output(client, session, streams), name="exec output")
    entry = asyncio.create_task(client.feed(session), name="exec input")
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


async def _output(client: Client, session: ExecSession, streams: Streams) -> Object:
    """From the process to the client; the exit code, as a Status."""
    wanted = {STDOUT: streams.stdout, STDERR: streams.stderr}
    async for channel, data in session.frames():
        if channel == ERROR:
            return exit_status(int(data))
        if wanted.get(channel):
            await client.send(channel, data)
    return SUCCESS


def terminal_size(data: bytes) -> tuple[int, int] | None:
    """`{"Width":100,"Height":30}`; None when it is anything else."""
    try:
        size = msgspec.json.decode(data, type=dict[str, int])
    except msgspec.DecodeError:
        return None
    width, height = size.get("Width", 0), size.get("Height", 0)
    return (width, height) if 0 < width < 1 << 16 and 0 < height < 1 << 16 else None


def exit_status(code: int) -> Object:
    """As the kubelet reports the end of a command."""
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": NON_ZERO_EXIT_CODE,
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failure(error: MinikubeletError, purpose: Purpose) -> Object:
    if isinstance(error, ApiError):
        return error.status()
    cause = f"{purpose.failed}: {error}"
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {cause}",
        "details": {"causes": [{"message": cause}]},
        "code": 500,
    }
