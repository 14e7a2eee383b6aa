"""One gRPC call over a fresh HTTP/2 connection: what a health check needs, and nothing else.

`open_channel` stands when the server's first SETTINGS frame has come, as in grpc-go; `Channel.call` sends one
message and returns the answer, or raises `RpcError` with gRPC's code and grpc-go's words. Framing and HPACK
are h2's, a sans-I/O library without threads; it is imported when the first gRPC probe is made.

The server is a stranger. h2 bounds the header table (4 KiB), a header list (64 KiB) and a chain of
CONTINUATION frames (64); flow-control windows are never widened, so 64 KiB of DATA can come. Beyond that
everything received is counted: a flood of SETTINGS or PING ends the call after `RECEIVE_LIMIT` bytes, and is
looked at in small pieces, so that other probes get their turn in between.
"""

from __future__ import annotations

import asyncio
from http.client import responses
from typing import TYPE_CHECKING
from urllib.parse import unquote

from minikubelet.go_text import quoted

from .connection import Connection, TransportError, connect

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

RECEIVE_LIMIT = 256 * 1024  # bytes of one connection; an honest health check needs less than one KiB
MESSAGE_LIMIT = 4096  # bytes of an answer; grpc-go takes 4 MiB
PIECE = 1024  # bytes between two turns of the others
STREAM = 1

CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
    "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
# What an HTTP status means when it does not come from a gRPC server (grpc-go: HTTPStatusConvTab).
_CODE_OF_HTTP = {400: "Internal", 401: "Unauthenticated", 403: "PermissionDenied", 404: "Unimplemented"}
_CODE_OF_HTTP |= dict.fromkeys((429, 502, 503, 504), "Unavailable")
# RST_STREAM error codes (RFC 9113, section 7) that do not mean Internal.
_CODE_OF_RESET = {7: "Unavailable", 8: "Canceled", 11: "ResourceExhausted", 12: "PermissionDenied"}


class RpcError(Exception):
    """The call failed. `code` is a name of `CODES`, or `Code(N)`; printed as grpc-go prints a status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.code = code
        self.message = message


async def open_channel(host: str, port: int) -> Channel:
    """Connect and greet. TransportError when there is no HTTP/2 server."""
    connection = await connect(host, port)
    channel = Channel(connection)
    try:
        await channel.greet()
    except BaseException:
        channel.close()
        raise
    return channel


class Channel:
    """One connection, good for one call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = _new_h2()
        self._received = 0
        self._greeted = False
        self._answer = _Answer()

    def close(self) -> None:
        """GOAWAY, then RST: a server that waits in its read would answer FIN before our RST is out."""
        self._h2.close_connection()
        self._connection.abort(farewell=self._h2.data_to_send())

    async def greet(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        while not self._greeted:
            await self._receive()

    async def call(self, path: str, message: bytes, metadata: dict[str, str]) -> bytes:
        """POST `message` to `path`; the one message of the answer. RpcError."""
        try:
            await self._send(path, message, metadata)
            while not self._answer.complete:
                await self._receive()
        except TransportError as cause:
            if not self._answer.complete:
                raise RpcError("Unavailable", f"error reading from server: {cause}") from None
        return self._answer.message()

    async def _send(self, path: str, message: bytes, metadata: dict[str, str]) -> None:
        """As soon as the server lets us: it may have granted no stream, or no byte, yet."""
        while self._h2.remote_settings.max_concurrent_streams < 1:
            await self._receive()
        headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": self._connection.peer}
        headers |= {"content-type": "application/grpc", "te": "trailers"} | metadata
        self._h2.send_headers(STREAM, list(headers.items()))
        await self._flush()
        frame = b"\0" + len(message).to_bytes(4, "big") + message
        while frame and not self._answer.complete:
            size = min(
                len(frame), self._h2.local_flow_control_window(STREAM), self._h2.max_outbound_frame_size
            )
            if size <= 0:
                await self._receive()
                continue
            self._h2.send_data(STREAM, frame[:size], end_stream=size == len(frame))
            frame = frame[size:]
            await self._flush()

    async def _receive(self) -> None:
        """Whatever came. TransportError at the end of the stream, at nonsense, and when it is too much."""
        connection = self._connection
        if not connection.buffer and not await connection.fill():
            raise TransportError("EOF")
        piece = bytes(connection.buffer[:PIECE])
        del connection.buffer[:PIECE]
        self._received += len(piece)
        if self._received > RECEIVE_LIMIT:
            raise TransportError(f"more than {RECEIVE_LIMIT} bytes came in answer to a health check")
        for event in self._understood(piece):
            self._take(event)
        await self._flush()
        await asyncio.sleep(0)

    def _understood(self, piece: bytes) -> list[Event]:
        from h2.exceptions import ProtocolError

        try:
            return self._h2.receive_data(piece)
        except ProtocolError as cause:
            raise TransportError(f"connection error: {cause or type(cause).__name__}") from None

    def _take(self, event: Event) -> None:
        from h2 import events

        if isinstance(event, events.RemoteSettingsChanged):
            self._greeted = True
        elif isinstance(event, events.ConnectionTerminated):
            if (event.last_stream_id or 0) < STREAM:
                raise TransportError("connection error: the server said GOAWAY")
        elif getattr(event, "stream_id", None) == STREAM:
            self._answer.take(event)

    async def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            await self._connection.send(data)


def _new_h2() -> H2Connection:
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.settings import SettingCodes

    # Headers are checked where they are used: h2 knows rules that gRPC servers break and grpc-go lets pass.
    found = H2Connection(H2Configuration(client_side=True, validate_inbound_headers=False))
    found.local_settings[SettingCodes.ENABLE_PUSH] = 0
    return found


class _Answer:
    """What came on the stream of the call."""

    def __init__(self) -> None:
        self.complete = False
        self._headers: dict[str, str] = {}
        self._answered = False
        self._body = b""
        self._failure: RpcError | None = None

    def take(self, event: Event) -> None:
        from h2 import events

        match event:
            case events.ResponseReceived():
                self._answered = True
                self._headers |= _decoded(event.headers)
                self._failure = _not_grpc(self._headers)
                self.complete = self._failure is not None
            case events.TrailersReceived():
                self._headers |= _decoded(event.headers)
            case events.DataReceived():
                self._body += event.data or b""
                self._check_size()
            case events.StreamEnded():
                self.complete = True
            case events.StreamReset():
                self._failure = self._failure or _reset(int(event.error_code or 0))
                self.complete = True

    def _check_size(self) -> None:
        size = int.from_bytes(self._body[1:5], "big")
        if len(self._body) >= 5 and size > MESSAGE_LIMIT:
            text = f"grpc: received message larger than max ({size} vs. {MESSAGE_LIMIT})"
            self._failure = RpcError("ResourceExhausted", text)
            self.complete = True

    def message(self) -> bytes:
        """The message, or why there is none. RpcError."""
        if self._failure is not None:
            raise self._failure
        status = self._headers.get("grpc-status")
        if status is None:
            raise RpcError("Internal", "server closed the stream without sending trailers")
        if not (status.isascii() and status.isdigit() and len(status) < 10):
            raise RpcError("Internal", f"malformed grpc-status: {quoted(status)}")
        if int(status):
            raise RpcError(_code_name(int(status)), unquote(self._headers.get("grpc-message", "")))
        if len(self._body) < 5 or len(self._body) != 5 + int.from_bytes(self._body[1:5], "big"):
            raise RpcError("Internal", "cardinality violation: received no response message")
        if self._body[0]:
            raise RpcError("Internal", "grpc: compressed flag set with identity or empty encoding")
        return self._body[5:]


def _decoded(headers: object) -> dict[str, str]:
    """h2 hands out bytes; a stranger's may be no text."""
    assert isinstance(headers, list)
    return {
        bytes(name).decode(errors="replace"): bytes(value).decode(errors="replace") for name, value in headers
    }


def _not_grpc(headers: dict[str, str]) -> RpcError | None:
    """The words for an HTTP server that is no gRPC server; grpc-go tells both by the content type."""
    kind = headers.get("content-type", "")
    if kind == "application/grpc" or kind.startswith(("application/grpc+", "application/grpc;")):
        return None
    wrong_type = (
        f"transport: received unexpected content-type {quoted(kind)}"
        if kind
        else "malformed header: missing HTTP content-type"
    )
    status = headers.get(":status", "")
    if status == "200":
        return RpcError("Unknown", wrong_type)
    number = int(status) if status.isascii() and status.isdigit() else 0
    phrase = responses.get(number, "")
    text = f"unexpected HTTP status code received from server: {number} ({phrase}); {wrong_type}"
    return RpcError(_CODE_OF_HTTP.get(number, "Unknown"), text)


def _reset(number: int) -> RpcError:
    from h2.errors import ErrorCodes

    known = {int(code): code.name for code in ErrorCodes}
    name = known.get(number, f"unknown error code 0x{number:x}")
    text = f"stream terminated by RST_STREAM with error code: {name}"
    return RpcError(_CODE_OF_RESET.get(number, "Internal"), text)


def _code_name(number: int) -> str:
    return CODES[number] if number < len(CODES) else f"Code({number})"
