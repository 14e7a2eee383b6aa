"""Directories that wake asyncio tasks: inotify(7) for log followers and manifest folders.

One inotify descriptor serves the whole agent, because a user may have only 128 of them. Whoever waits gets
told *that* something changed in the directory, not what: it looks again itself. So nothing can be lost,
whether the kernel merges events or its queue overflows. (`closed` is a hint that a writer has finished.)
Where inotify cannot be had (no watches left), the waiter's own time limit makes it look now and then.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import struct
from pathlib import Path

from minikubelet.linux import syscalls

_MASK = (
    syscalls.IN_MODIFY
    | syscalls.IN_ATTRIB
    | syscalls.IN_CLOSE_WRITE
    | syscalls.IN_CREATE
    | syscalls.IN_DELETE
    | syscalls.IN_MOVED_FROM
    | syscalls.IN_MOVED_TO
    | syscalls.IN_DELETE_SELF
    | syscalls.IN_MOVE_SELF
    | syscalls.IN_ONLYDIR
)
_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows
_READ_SIZE = 64 * 1024

_log = logging.getLogger(__name__)


class DirectoryWatch:
    """One waiter on one directory; a context manager."""

    def __init__(self, hub: FileWatch, number: int) -> None:
        self._hub = hub
        self._changed = asyncio.Event()
        self.number = number  # -1: inotify cannot be had
        self.closed = False  # a file that was open for writing was closed; the waiter resets it

    def wake(self, mask: int) -> None:
        self.closed = self.closed or bool(mask & (syscalls.IN_CLOSE_WRITE | syscalls.IN_Q_OVERFLOW))
        self._changed.set()

    async def changed(self, timeout: float) -> bool:
        """Wait until something changed since the last call returned; False when the time is over."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def __enter__(self) -> DirectoryWatch:
        return self

    def __exit__(self, *reason: object) -> None:
        self._hub.forget(self)


class FileWatch:
    """The inotify descriptor of the agent, opened with the first watch and closed with the last one."""

    def __init__(self) -> None:
        self._fd = -1
        self._watches: dict[int, set[DirectoryWatch]] = {}

    def watch(self, directory: Path) -> DirectoryWatch:
        """Begin to watch. Look at the directory *after* this call, then wait."""
        try:
            if self._fd < 0:
                self._open()
            number = syscalls.inotify_add_watch(self._fd, str(directory), _MASK)
        except OSError as error:
            _log.warning("cannot watch %s, looking once a second: %s", directory, error)
            number = -1
        watch = DirectoryWatch(self, number)
        if number >= 0:
            self._watches.setdefault(number, set()).add(watch)
        self._close_if_unused()
        return watch

    def forget(self, watch: DirectoryWatch) -> None:
        waiters = self._watches.get(watch.number, set())
        waiters.discard(watch)
        if watch.number in self._watches and not waiters:
            del self._watches[watch.number]
            if self._watches:
                self._remove(watch.number)
        self._close_if_unused()

    def _remove(self, number: int) -> None:
        try:
            syscalls.inotify_rm_watch(self._fd, number)
        except OSError as error:
            # The directory has gone: the kernel has forgotten the watch, which we have yet to read.
            if error.errno != errno.EINVAL:
                raise

    def _open(self) -> None:
        self._fd = syscalls.inotify_init1(syscalls.IN_NONBLOCK | syscalls.IN_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _close_if_unused(self) -> None:
        if self._fd >= 0 and not self._watches:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            number, mask, _cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            self._dispatch(number, mask)

    def _dispatch(self, number: int, mask: int) -> None:
        if mask & syscalls.IN_Q_OVERFLOW:
            for waiters in self._watches.values():
                for watch in waiters:
                    watch.wake(mask)
            return
        for watch in self._watches.get(number, ()):
            watch.wake(mask)
        if mask & syscalls.IN_IGNORED:  # the directory is gone, and the kernel forgot the watch
            for watch in self._watches.pop(number, set()):
                watch.number = -1
