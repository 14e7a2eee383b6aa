"""Reading a container's log for the API (kubelet-behaviour 11.2 to 11.4).

`log_choice` decides from the pod's status whose log is meant, or why there is none; `ContainerLogs` reads the
file. Both halves are the kubelet's: tailLines counts *file* lines before the time filter looks at them, a
piece tagged P has no newline, timestamps stand only where a line begins, limitBytes cuts anywhere.

A follower sleeps on inotify. Rotation renames the file and makes a new one; the writer never touches the
old one once the new one exists, so a follower that sees a new file reads the old one to its end and goes
on with the new: no line is lost, none comes twice. It ends when the instance no longer runs and everything
was read. Memory is bounded: one block, one line, whatever the file and however slow the client.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from minikubelet.runtime import cri
from minikubelet.runtime.cri import RUNTIME_NAME, RuntimeService
from minikubelet.runtime.file_watch import DirectoryWatch, FileWatch

from .log_choice import log_container, log_instance

__all__ = ["ContainerLogs", "LogOptions", "log_container", "log_instance", "read_log"]

BLOCK = 64 * 1024
LONGEST_LINE = 64 * 1024  # the writer cuts at 16 KiB; what is longer is no log line
FORCED_LOOK = 1.0  # seconds; that an instance has ended makes no inotify event of its own
CLOSED_LOOK, CLOSED_LOOKS = 0.05, 10  # seconds between questions, and how many, after a log was closed

_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log; None: everything. `since` already stands for sinceSeconds too."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class ContainerLogs:
    """The logs of the node's containers, by instance."""

    def __init__(self, runtime: RuntimeService) -> None:
        self._runtime = runtime
        self._files = FileWatch()

    async def read(self, uid: str, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The log of one instance. Close the iterator when the client goes away."""
        instance = await self._instance(uid, container_id)
        if instance is None or not instance.log_path:
            yield f"unable to retrieve container logs for {RUNTIME_NAME}://{container_id}".encode()
            return

        async def running() -> bool:
            now = await self._instance(uid, container_id)
            return now is not None and now.state == "running"

        async with aclosing(read_log(Path(instance.log_path), options, running, self._files)) as pieces:
            async for piece in pieces:
                yield piece

    async def _instance(self, uid: str, container_id: str) -> cri.ContainerStatus | None:
        status = await self._runtime.pod_status(uid)
        return next((found for found in status.containers if found.id == container_id), None)


Running = Callable[[], Awaitable[bool]]


async def read_log(
    path: Path, options: LogOptions, running: Running, files: FileWatch
) -> AsyncGenerator[bytes, None]:
    """The log as the client gets it, in pieces of about a block. `running`: does the instance still run?

    A log file that is missing is not an error of the request: its text is the log.
    """
    try:
        fd = _open(path)
    except OSError as error:
        cause = os.strerror(error.errno or 0).lower()
        yield f'failed to try resolving symlinks in path "{path}": lstat {path}: {cause}'.encode()
        return
    file = _LogFile(path, fd)
    try:
        wanted = _Wanted(options)
        await file.seek_tail(options.tail_lines)
        pieces = _follow(file, running, files) if options.follow else _to_end(file, options.tail_lines)
        async for lines in pieces:
            if output := b"".join(wanted.pass_lines(lines)):
                yield output
            if wanted.full:
                return
    finally:
        file.close()


class _LogFile:
    """An open log file and the line that is not complete yet."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._next = -1  # the file that replaced it
        self._rest = b""
        self._overlong = False

    def close(self) -> None:
        for fd in (self._fd, self._next):
            if fd >= 0:
                os.close(fd)

    async def seek_tail(self, lines: int | None) -> None:
        """Go to where the last `lines` complete lines begin."""
        if lines is None or lines < 0:
            return
        position = os.fstat(self._fd).st_size
        missing = lines + 1  # the newline in front of them
        while position > 0:
            start = max(0, position - BLOCK)
            block = os.pread(self._fd, position - start, start)
            count = block.count(b"\n")
            if count >= missing:
                end = len(block)
                for _ in range(missing):
                    end = block.rfind(b"\n", 0, end)
                position = start + end + 1
                break
            missing -= count
            position = start
            await asyncio.sleep(0)
        os.lseek(self._fd, position, os.SEEK_SET)

    def read_lines(self) -> list[bytes] | None:
        """The next complete lines, without newlines; None at the end of what is there."""
        block = os.read(self._fd, BLOCK)
        if not block:
            return None
        *lines, self._rest = (self._rest + block).split(b"\n")
        if self._overlong and lines:
            self._overlong = False
            del lines[0]
        if len(self._rest) > LONGEST_LINE:
            self._overlong = True
            self._rest = b""
        return lines

    def last_line(self) -> list[bytes]:
        """What follows the last newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest and not self._overlong else []

    def replaced(self) -> bool:
        """Is there another file at the path now? It is opened at once: while a slow client takes what is
        left of this one, that may be rotated too.
        """
        if self._next >= 0:
            return True
        try:
            if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                return False
            self._next = _open(self.path)
        except FileNotFoundError:  # in the middle of a rotation
            return False
        return True

    def switch(self) -> None:
        """Go on with the file that replaced this one."""
        os.close(self._fd)
        self._fd, self._next = self._next, -1
        self._overlong = False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


async def _to_end(file: _LogFile, limit: int | None) -> AsyncIterator[list[bytes]]:
    """Everything up to the end, or so many lines."""
    left = limit if limit is not None and limit >= 0 else None
    while left is None or left > 0:
        lines = file.read_lines()
        if lines is None:
            break
        if left is not None:
            lines = lines[:left]
            left -= len(lines)
        yield lines
        await asyncio.sleep(0)
    if left is None or left > 0:
        yield file.last_line()


async def _follow(file: _LogFile, running: Running, files: FileWatch) -> AsyncIterator[list[bytes]]:
    """Everything up to the end, and what comes, through rotations, until the instance has ended."""
    with files.watch(file.path.parent) as watch:
        ended = not await running()
        while True:
            replaced = file.replaced()  # asked before reading: then the old file is complete
            if (lines := file.read_lines()) is not None:
                yield lines
                await asyncio.sleep(0)
            elif replaced:
                yield file.last_line()
                file.switch()
            elif ended:
                yield file.last_line()
                return
            else:
                ended = not await _wait(watch, running)


async def _wait(watch: DirectoryWatch, running: Running) -> bool:
    """Wait until there may be more; False when the instance does not run any more.

    The runtime is asked when nothing came for a while, or when somebody closed a log: at the end of an
    instance, a little before its exit is known.
    """
    if await watch.changed(FORCED_LOOK) and not watch.closed:
        return True
    looks = CLOSED_LOOKS if watch.closed else 1
    watch.closed = False
    for look in range(looks):
        if not await running():
            return False
        if look + 1 < looks and await watch.changed(CLOSED_LOOK):
            return True
    return True


class _Wanted:
    """From lines of the file to bytes for the client."""

    def __init__(self, options: LogOptions) -> None:
        self._timestamps = options.timestamps
        self._since = _nanoseconds(options.since) if options.since else None
        self._left = options.limit_bytes
        self._line_begins = True
        self.full = self._left is not None and self._left <= 0

    def pass_lines(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            if self.full:
                return
            parts = line.split(b" ", 3)
            if len(parts) < 4 or parts[1] not in (b"stdout", b"stderr"):
                continue  # no CRI line: half-written when the node died
            time, _stream, tag, content = parts
            if tag.split(b":", 1)[0] != b"P":
                content += b"\n"
            if piece := self._piece(time, content):
                yield piece
            self._line_begins = not content or content.endswith(b"\n")

    def _piece(self, time: bytes, content: bytes) -> bytes:
        if self._since is not None or self._timestamps:
            stamp = _TIME.fullmatch(time)
            if stamp is None or (self._since is not None and _epoch(stamp) < self._since):
                return b""
            if self._timestamps and self._line_begins:
                content = _fixed(stamp) + b" " + content
        if self._left is not None:
            content = content[: self._left]
            self._left -= len(content)
            self.full = self._left <= 0
        return content


def _fixed(stamp: re.Match[bytes]) -> bytes:
    """With nine digits, as the API prints it."""
    seconds, fraction, zone = stamp.groups()
    return seconds + b"." + (fraction or b"").ljust(9, b"0") + (b"Z" if zone == b"+00:00" else zone)


def _epoch(stamp: re.Match[bytes]) -> int:
    """Nanoseconds since the epoch."""
    seconds, fraction, zone = stamp.groups()
    moment = datetime.fromisoformat((seconds + (b"+00:00" if zone == b"Z" else zone)).decode())
    return int(moment.timestamp()) * 1_000_000_000 + int((fraction or b"0").ljust(9, b"0"))


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
