"""Protobuf's bytes: a message is a sequence of numbered fields, each a number or a string of bytes."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

Raw = int | bytes


class Malformed(ValueError):
    """These bytes are no protobuf, or not of the message they are said to be."""


def fields(data: Raw) -> Iterator[tuple[int, Raw]]:
    """(field number, value) of one message, in the order they were written."""
    position, data = 0, content(data)
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == LENGTH:
            length, position = _varint(data, position)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise Malformed(f"wire type {wire}")
        if position + length > len(data):
            raise Malformed("a field ends behind its message")
        yield number, data[position : position + length]
        position += length


def content(raw: Raw) -> bytes:
    if not isinstance(raw, bytes):
        raise Malformed("a number stands where a text or a message belongs")
    return raw


def text(raw: Raw) -> str:
    try:
        return content(raw).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a text is not UTF-8: {error}") from None


def integer(raw: Raw) -> int:
    """Signed, of 64 bits."""
    if not isinstance(raw, int):
        raise Malformed("a text or a message stands where a number belongs")
    return raw - (1 << 64) if raw >= 1 << 63 else raw


def packed(raw: Raw) -> Iterator[int]:
    """The numbers of a list: each by itself, or all in one string of bytes."""
    if isinstance(raw, int):
        yield integer(raw)
        return
    position = 0
    while position < len(raw):
        value, position = _varint(raw, position)
        yield integer(value)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & (1 << 64) - 1, position
        if shift > 63:
            raise Malformed("a number is too long")
    raise Malformed("a number ends behind its message")
