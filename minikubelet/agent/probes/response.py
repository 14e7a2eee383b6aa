"""Reading one HTTP/1.x response off a connection, as strictly as Go's net/http and no further than needed.

Lines may end in LF alone; 1xx answers are skipped. The head may have a megabyte (Go takes ten: a hostile
server in each of hundreds of containers must not fill the agent), the body is read up to a limit and the
rest is left to the kernel. Trouble in the head is a TransportError, trouble in the body a BodyError: the
first makes a probe fail, the second makes it *errored* (kubelet-behaviour 3.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from minikubelet.go_text import quoted

from .connection import Connection, TransportError

HEAD_LIMIT = 1 << 20
LINE_LIMIT = 4096  # of a chunk's size line, as Go
CHUNK_OVERHEAD = 16 * 1024  # of size lines beyond what chunks of a sane size need, as Go

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEX = re.compile(rb"[0-9a-fA-F]+")
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9])$")
_BROKEN = "net/http: HTTP/1.x transport connection broken: "


class BodyError(Exception):
    """The head was good, the body was not; the message is Go's."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; names in lower case."""

    status: int
    version: tuple[int, int]
    headers: dict[str, list[str]]

    def get(self, name: str) -> str:
        return self.headers.get(name, [""])[0]

    @property
    def chunked(self) -> bool:
        return self.version >= (1, 1) and "transfer-encoding" in self.headers

    @property
    def length(self) -> int | None:
        """Bytes of the body if it is known before it came."""
        if self.status in (204, 304) or self.status < 200:
            return 0
        if self.chunked or "content-length" not in self.headers:
            return None
        return int(self.get("content-length"))


async def read_head(connection: Connection) -> Head:
    budget = HEAD_LIMIT
    while True:
        raw = await _raw_head(connection, budget)
        budget -= len(raw)
        head = parse_head(raw)
        if not 100 <= head.status < 200 or head.status == 101:
            return head


async def _raw_head(connection: Connection, budget: int) -> bytes:
    """Everything up to the blank line. The first line is looked at as soon as it is there: a server that
    speaks another protocol often says hello and waits.
    """
    buffer = connection.buffer
    searched = 0
    first_line_seen = False
    while True:
        found = _END_OF_HEAD.search(buffer, searched)
        if found and found.end() <= budget:
            raw = bytes(buffer[: found.end()])
            del buffer[: found.end()]
            return raw
        if len(buffer) > budget:
            raise TransportError(f"net/http: server response headers exceeded {HEAD_LIMIT} bytes; aborted")
        if not first_line_seen and (end := buffer.find(b"\n")) >= 0:
            first_line_seen = True
            _parse_status_line(bytes(buffer[:end]))
        searched = max(0, len(buffer) - 2)
        try:
            more = await connection.fill()
        except TransportError as error:
            if not buffer:
                raise
            raise TransportError(_BROKEN + str(error)) from None
        if not more:
            raise TransportError(_BROKEN + "unexpected EOF" if buffer else "EOF")


def parse_head(raw: bytes) -> Head:
    status_line, *lines = raw.split(b"\n")
    version, status = _parse_status_line(status_line)
    headers: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in lines:
        line = line.rstrip(b"\r")
        if not line:
            break
        if line[:1] in b" \t" and last:  # obsolete folding
            last[-1] = f"{last[-1]} {line.strip().decode(errors='replace')}"
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise TransportError(f"{_BROKEN}malformed MIME header: missing colon: {quoted(line)}")
        if not _FIELD.fullmatch(name):
            raise TransportError(f"{_BROKEN}malformed MIME header line: {line.decode(errors='replace')}")
        last = headers.setdefault(name.decode().lower(), [])
        last.append(value.strip(b" \t").decode(errors="replace"))
    _check_framing(version, headers)
    return Head(status, version, headers)


def _parse_status_line(line: bytes) -> tuple[tuple[int, int], int]:
    line = line.rstrip(b"\r")
    protocol, space, rest = line.partition(b" ")
    if not space:
        raise TransportError(f"{_BROKEN}malformed HTTP response {quoted(line)}")
    code = rest.lstrip(b" ").partition(b" ")[0]
    if len(code) != 3 or not code.isdigit():
        raise TransportError(f"{_BROKEN}malformed HTTP status code {quoted(code)}")
    version = _STATUS_LINE.match(protocol)
    if not version:
        raise TransportError(f"{_BROKEN}malformed HTTP version {quoted(protocol)}")
    return (int(version[1]), int(version[2])), int(code)


def _check_framing(version: tuple[int, int], headers: dict[str, list[str]]) -> None:
    """One Transfer-Encoding, chunked; one length, a number. Chunked wins over a length."""
    encodings = headers.get("transfer-encoding")
    if encodings and version >= (1, 1):
        if len(encodings) > 1:
            raise TransportError(
                f"{_BROKEN}too many transfer encodings: [{' '.join(map(quoted, encodings))}]"
            )
        if encodings[0].lower() != "chunked":
            raise TransportError(f"{_BROKEN}unsupported transfer encoding: {quoted(encodings[0])}")
        return
    lengths = list(dict.fromkeys(headers.get("content-length", ())))
    if len(lengths) > 1:
        raise TransportError(
            f"{_BROKEN}http: message cannot contain multiple Content-Length headers; "
            f"got [{' '.join(map(quoted, lengths))}]"
        )
    if lengths and not (lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) < 19):
        raise TransportError(f"{_BROKEN}bad Content-Length {quoted(lengths[0])}")


async def read_body(connection: Connection, head: Head, limit: int) -> bytes:
    """At most `limit` bytes; that there was more is no error. BodyError."""
    if head.chunked and head.length is None:
        return await _read_chunks(connection, limit)
    if head.length is not None:
        wanted = min(head.length, limit)
        await _need(connection, wanted)
        return bytes(connection.buffer[:wanted])
    while len(connection.buffer) < limit and await _fill(connection):
        pass
    return bytes(connection.buffer[:limit])


async def _read_chunks(connection: Connection, limit: int) -> bytes:
    body = bytearray()
    overhead = 0
    while True:
        line = await _line(connection)
        size = _chunk_size(line)
        overhead = max(0, overhead + len(line) + 2 - 16 - 2 * size)
        if overhead > CHUNK_OVERHEAD:
            raise BodyError("chunked encoding contains too much non-data")
        if size == 0:
            await _skip_trailers(connection)
            return bytes(body)
        wanted = min(size, limit - len(body))
        await _need(connection, wanted)
        body += connection.buffer[:wanted]
        if len(body) >= limit:
            return bytes(body)
        del connection.buffer[:wanted]
        await _need(connection, 2)
        if connection.buffer[:2] != b"\r\n":
            raise BodyError("malformed chunked encoding")
        del connection.buffer[:2]


async def _skip_trailers(connection: Connection) -> None:
    budget = HEAD_LIMIT
    while line := await _line(connection):
        budget -= len(line) + 2
        if budget < 0:
            raise BodyError("http: suspiciously long trailer after chunked body")


def _chunk_size(line: bytes) -> int:
    size = line.partition(b";")[0].strip(b" \t")
    if not size:
        raise BodyError("empty hex number for chunk length")
    if not _HEX.fullmatch(size):
        raise BodyError("invalid byte in chunk length")
    if len(size) > 16:
        raise BodyError("http chunk length too large")
    return int(size, 16)


async def _line(connection: Connection) -> bytes:
    while (end := connection.buffer.find(b"\n", 0, LINE_LIMIT)) < 0:
        if len(connection.buffer) >= LINE_LIMIT:
            raise BodyError("header line too long")
        if not await _fill(connection):
            raise BodyError("unexpected EOF")
    line = bytes(connection.buffer[:end])
    del connection.buffer[: end + 1]
    return line.rstrip(b" \t\r")


async def _need(connection: Connection, count: int) -> None:
    while len(connection.buffer) < count:
        if not await _fill(connection):
            raise BodyError("unexpected EOF")


async def _fill(connection: Connection) -> bool:
    try:
        return await connection.fill()
    except TransportError as error:
        raise BodyError(str(error)) from None
