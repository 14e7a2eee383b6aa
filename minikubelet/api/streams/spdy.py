"""SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00): bytes to frames and back. Pure; knows no streams.

    control frame   1 version(15)=3 type(16) flags(8) length(24) payload
    data frame      0 stream(31)             flags(8) length(24) payload

Header blocks are compressed, each direction of a connection as one zlib stream that begins with a dictionary
both sides know. A small block can inflate into as much memory as its sender likes, so what comes out is
bounded while it comes out. A data frame may be 16 MiB long and is passed on in pieces as it arrives.

The decoder is given whatever arrives, in any pieces; for input that is not SPDY it raises SpdyError, and
nothing else, ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from minikubelet.errors import MinikubeletError

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN, UNIDIRECTIONAL = 1, 2  # flags

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5  # of RST_STREAM

CONTROL_LIMIT = 64 << 10  # bytes of a control frame
HEADERS_LIMIT = 16 << 10  # bytes of a header block when inflated
HEADER_COUNT_LIMIT = 64
DATA_LIMIT = (1 << 24) - 1  # bytes of a data frame

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status
"""
_MORE_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)

# What header blocks are compressed against; its words stand as names do in a block, each behind its length.
DICTIONARY = b"".join(
    [len(word).to_bytes(4, "big") + word.encode() for word in (*_WORDS.split(), *_MORE_WORDS)]
    + [_TEXT.encode()]
)


class SpdyError(MinikubeletError):
    """What came is not SPDY/3.1, or more of it than is good."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """The peer opens a stream."""

    stream_id: int
    headers: Mapping[str, str]  # names in lower case
    fin: bool  # nothing else will come on it


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a data frame; `fin` stands on the last piece of the last one."""

    stream_id: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class RstStream:
    """The peer gives a stream up, both directions of it."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To be sent back as it is."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer will open no more streams."""

    last_stream_id: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Asks for nothing here: settings, window updates (there is no flow control), late headers."""

    type: int


Frame = SynStream | Data | RstStream | Ping | GoAway | Ignored


class Decoder:
    """One direction of one connection, from bytes to frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._data_left = 0  # bytes of the data frame we are in
        self._data_stream = 0
        self._data_fin = False

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are complete now. To be consumed whole before more is fed. Raises SpdyError."""
        self._buffer += received
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if self._data_left:
            return self._piece() if self._buffer else None
        if len(self._buffer) < 8:
            return None
        first, second = struct.unpack_from(">II", self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first >> 31:
            del self._buffer[:8]
            self._data_stream, self._data_left, self._data_fin = first, length, bool(flags & FIN)
            return self._piece()
        if first >> 16 & 0x7FFF != VERSION:
            raise SpdyError(f"unsupported SPDY version {first >> 16 & 0x7FFF}")
        if length > CONTROL_LIMIT:
            raise SpdyError(f"a control frame of {length} bytes")
        if len(self._buffer) < 8 + length:
            return None
        payload = bytes(self._buffer[8 : 8 + length])
        del self._buffer[: 8 + length]
        return self._control(first & 0xFFFF, flags, payload)

    def _piece(self) -> Data:
        """As much of the data frame as is there; maybe nothing, of an empty frame."""
        data = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(data)]
        self._data_left -= len(data)
        return Data(self._data_stream, data, self._data_fin and not self._data_left)

    def _control(self, kind: int, flags: int, payload: bytes) -> Frame:
        if kind == SYN_STREAM:
            return SynStream(_stream_id(payload), self._headers(payload[10:]), bool(flags & FIN))
        if kind in (SYN_REPLY, HEADERS):
            self._headers(payload[4:])  # not asked for, but the inflater must have seen them
        elif kind == RST_STREAM:
            return RstStream(_stream_id(payload), _number(payload, 4))
        elif kind == PING:
            return Ping(_number(payload, 0))
        elif kind == GOAWAY:
            return GoAway(_stream_id(payload))
        return Ignored(kind)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, HEADERS_LIMIT + 1)
        except zlib.error as error:
            raise SpdyError(f"a header block that cannot be inflated: {error}") from None
        if len(plain) > HEADERS_LIMIT or self._inflate.unconsumed_tail or self._inflate.unused_data:
            raise SpdyError("a header block that is too large")
        return _parse_headers(plain)


def _parse_headers(plain: bytes) -> dict[str, str]:
    """u32 count, then u32 length and text of each name and value."""
    count, at = _number(plain, 0), 4
    if count > HEADER_COUNT_LIMIT:
        raise SpdyError(f"{count} headers")
    texts = []
    for _ in range(2 * count):
        size = _number(plain, at)
        text = plain[at + 4 : at + 4 + size]
        if len(text) < size:
            raise SpdyError("a header block that ends in the middle")
        texts.append(text.decode("latin-1"))
        at += 4 + size
    return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


def _number(data: bytes, at: int) -> int:
    if len(data) < at + 4:
        raise SpdyError("a frame that is too short")
    return int.from_bytes(data[at : at + 4], "big")


def _stream_id(payload: bytes) -> int:
    return _number(payload, 0) & 0x7FFFFFFF


class Encoder:
    """The other direction."""

    def __init__(self) -> None:
        # Empty header blocks need no window of 32 KiB, which takes 256 KiB.
        self._deflate = zlib.compressobj(wbits=11, memLevel=1, zdict=DICTIONARY)

    def syn_reply(self, stream_id: int) -> bytes:
        """The stream is accepted; there are no headers to tell."""
        return _control_frame(SYN_REPLY, 0, stream_id.to_bytes(4, "big") + self._block({}))

    def syn_stream(self, stream_id: int, headers: Mapping[str, str]) -> bytes:
        """Open a stream: what clients do."""
        return _control_frame(SYN_STREAM, 0, struct.pack(">IIH", stream_id, 0, 0) + self._block(headers))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        texts = [text.encode("latin-1") for pair in headers.items() for text in pair]
        plain = b"".join([len(headers).to_bytes(4, "big"), *(_counted(text) for text in texts)])
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data(stream_id: int, payload: bytes, *, fin: bool = False) -> bytes:
    """One data frame of at most DATA_LIMIT bytes."""
    return struct.pack(">II", stream_id, fin << 24 | len(payload)) + payload


def rst_stream(stream_id: int, status: int) -> bytes:
    return _control_frame(RST_STREAM, 0, struct.pack(">II", stream_id, status))


def ping(ping_id: int) -> bytes:
    return _control_frame(PING, 0, ping_id.to_bytes(4, "big"))


def goaway(last_stream_id: int) -> bytes:
    """All is well (status 0), and no more streams are welcome."""
    return _control_frame(GOAWAY, 0, struct.pack(">II", last_stream_id, 0))


def _control_frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload


def _counted(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text
