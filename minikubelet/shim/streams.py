"""The two halves of every byte stream in the shim: a `Reader` and a `Writer` of a non-blocking descriptor.

Neither grows without bound. A reader reads one portion when told to; who cannot take more pauses it, so the
bytes wait in the kernel and their producer is held up. A writer keeps what the descriptor does not take yet
and says when it is `full`; its producer pauses until `drained`. Both own their descriptor. A stream that
goes both ways (a socket, a terminal) is two descriptors of the same thing.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable

from minikubelet.shim.loop import IN_ORDER, PEER_GONE, READ, WRITE, Callback, Loop

PORTION = 64 * 1024
FULL = 256 * 1024
F_GETPIPE_SZ = 1032


def nothing() -> None:
    """For those who are not interested."""


class Reader:
    """Hands every portion to `received`, and calls `ended` once at the end of file or on an error."""

    def __init__(
        self, loop: Loop, fd: int, received: Callable[[bytes], None], ended: Callback = nothing
    ) -> None:
        self._loop, self._fd, self._received, self._ended = loop, fd, received, ended
        mode = os.fstat(fd).st_mode
        self._is_socket = stat.S_ISSOCK(mode)
        # A process has two pipes. With READ, one that was just read would come first again, whatever the
        # kernel has got to tell of the other meanwhile.
        self._events = IN_ORDER if stat.S_ISFIFO(mode) else READ
        self.resume()

    @property
    def open(self) -> bool:
        return self._fd >= 0

    @property
    def fd(self) -> int:
        return self._fd

    def pause(self) -> None:
        """Read no more for now.

        A socket's peer that goes away is noticed all the same: who waits for it would wait for ever. A pipe
        must not be asked: that its writer is gone says nothing about what still lies in it.
        """
        self._paused = True
        if self.open and self._is_socket:
            self._loop.watch(self._fd, PEER_GONE, self._gone)
        elif self.open:
            self._loop.forget(self._fd)

    def resume(self) -> None:
        self._paused = False
        if self.open:
            self._loop.watch(self._fd, self._events, self._ready)

    def read_now(self) -> None:
        """One portion, if there is any, paused or not."""
        if self.open:
            self._read()

    def _ready(self) -> None:
        if self._read() and self._events == IN_ORDER and not self._paused:
            self.resume()  # there may be more, or the end, of which nobody tells a second time

    def _gone(self) -> None:
        self.close()
        self._ended()

    def _read(self) -> int:
        """How many bytes came; 0 when there are none now or never again."""
        try:
            data = os.read(self._fd, PORTION)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the last slave of a terminal was closed; ECONNRESET: a client died
            data = b""
        if data:
            self._received(data)
        else:
            self.close()
            self._ended()
        return len(data)

    def drain(self) -> None:
        """The producer is dead: read what it left behind, but no more than the pipe can hold.

        (Somebody else may have the other end and go on writing for ever.)
        """
        if not self.open:
            return
        try:
            left = fcntl.fcntl(self._fd, F_GETPIPE_SZ)
        except OSError:  # not a pipe
            left = 4 * PORTION
        while self.open and left > 0:
            count = self._read()
            left -= count
            if not count:
                return

    def close(self) -> None:
        if self.open:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1


class Writer:
    """Takes everything, in order. Calls `drained` when no longer full, `broken` once if nobody reads."""

    def __init__(self, loop: Loop, fd: int, drained: Callback = nothing, broken: Callback = nothing) -> None:
        self._loop, self._fd, self._drained, self._broken = loop, fd, drained, broken
        self._pending = bytearray()
        self._closing = False

    @property
    def open(self) -> bool:
        return self._fd >= 0

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def full(self) -> bool:
        return len(self._pending) >= FULL

    def write(self, data: bytes) -> None:
        if not self.open or self._closing:
            return
        idle = not self._pending
        self._pending += data
        if idle:
            self._flush()

    def close_when_written(self) -> None:
        """The end of the stream, after everything written so far."""
        self._closing = True
        if not self._pending:
            self.close()

    def close(self) -> None:
        if self.open:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._pending.clear()

    def _flush(self) -> None:
        was_full = self.full
        try:
            while self._pending:
                del self._pending[: os.write(self._fd, bytes(self._pending[:PORTION]))]
        except BlockingIOError:
            self._loop.watch(self._fd, WRITE, self._flush)
        except OSError:  # EPIPE, ECONNRESET, EIO
            self.close()
            self._broken()
            return
        if not self._pending:
            self._loop.forget(self._fd)
            if self._closing:
                self.close()
        if was_full and not self.full:
            self._drained()
