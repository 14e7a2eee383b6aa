"""Texts as Go prints them: the kubelet's Events are made of them, and people search for them."""

from __future__ import annotations

import os
import re
import socket

_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_INTEGER = re.compile(r"[+-]?[0-9]+")


def quoted(text: str | bytes) -> str:
    """`%q`: double quotes, everything unprintable escaped; bytes that are not UTF-8 as `\\xff`."""
    if isinstance(text, bytes):
        text = text.decode(errors="surrogateescape")
    return '"' + "".join(map(_quoted_character, text)) + '"'


def _quoted_character(character: str) -> str:
    code = ord(character)
    if code in _ESCAPES:
        return _ESCAPES[code]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def os_error(error: OSError) -> str:
    """`syscall.Errno.Error`: the C library's text in lower case."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return str(error.args[-1] if error.args else error)
    text = os.strerror(error.errno)
    return text[:1].lower() + text[1:]


def atoi(text: str) -> int:
    """`strconv.Atoi`; ValueError carries its text."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    return int(text)


def join_host_port(host: str, port: int) -> str:
    """`net.JoinHostPort`: brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
