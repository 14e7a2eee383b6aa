"""A container's log file in the CRI format: `<time> <stream> <tag> <content>`, one line each.

Time is RFC 3339 with nanoseconds, zeros at the end dropped, in local time with its offset. Content longer
than 16384 bytes is cut; the pieces carry tag P, the last one F. A last piece that has no newline is P.
(kubelet-behaviour 11.1)

What was read together is written together. If the disk is full the batch is dropped, but never half a line:
what is missing of a torn line goes out first when there is space again.
"""

from __future__ import annotations

import os
import time

LINE_LIMIT = 16384


class CriLog:
    """One file, two streams."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._torn = b""
        self._tails = {"stdout": b"", "stderr": b""}  # begun lines, each at most LINE_LIMIT
        self._fd = _open(path)

    def write(self, stream: str, data: bytes, now: int | None = None) -> None:
        """Append what the container wrote; `now` in nanoseconds since the epoch."""
        *lines, tail = (self._tails[stream] + data).split(b"\n")
        stamp = f"{format_time(time.time_ns() if now is None else now)} {stream} ".encode()
        batch: list[bytes] = []
        for line in lines:
            _cut(batch, stamp, line)
            batch += (stamp, b"F ", line[_whole_pieces(line) :], b"\n")
        _cut(batch, stamp, tail)
        self._tails[stream] = tail[_whole_pieces(tail) :]
        if batch:
            self._append(b"".join(batch))

    def finish(self, now: int | None = None) -> None:
        """The container is gone: write what is left of its last lines."""
        for stream, tail in self._tails.items():
            if tail:
                stamp = format_time(time.time_ns() if now is None else now)
                self._append(f"{stamp} {stream} P ".encode() + tail + b"\n")
                self._tails[stream] = b""

    def reopen(self) -> None:
        """After rotation: the old file was renamed, a new one begins."""
        fd = _open(self._path)
        os.close(self._fd)
        self._fd = fd
        self._torn = b""

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, batch: bytes) -> None:
        data = self._torn + batch
        try:
            written = os.write(self._fd, data)
        except OSError:  # ENOSPC, EDQUOT, EIO: the container goes on without its log
            return
        begun = data.rfind(b"\n", 0, written) + 1  # where the line starts in which the disk became full
        self._torn = data[written : data.find(b"\n", written) + 1] if begun < written < len(data) else b""


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)


def _whole_pieces(line: bytes) -> int:
    """How many bytes of a long line go out as P pieces; the rest, 1 to LINE_LIMIT bytes, is its end."""
    return max(0, len(line) - 1) // LINE_LIMIT * LINE_LIMIT


def _cut(batch: list[bytes], stamp: bytes, line: bytes) -> None:
    for start in range(0, _whole_pieces(line), LINE_LIMIT):
        batch += (stamp, b"P ", line[start : start + LINE_LIMIT], b"\n")


_second = -1
_prefix = _offset = ""


def format_time(now: int) -> str:
    """RFC 3339 with nanoseconds, as Go prints it."""
    global _second, _prefix, _offset
    second, nanoseconds = divmod(now, 1_000_000_000)
    if second != _second:  # the calendar is asked once a second, not once a line
        local = time.localtime(second)
        _second, _prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", local)
        hours, minutes = divmod(abs(local.tm_gmtoff) // 60, 60)
        _offset = f"{'-' if local.tm_gmtoff < 0 else '+'}{hours:02}:{minutes:02}" if local.tm_gmtoff else "Z"
    fraction = f".{nanoseconds:09}".rstrip("0").rstrip(".")
    return f"{_prefix}{fraction}{_offset}"
