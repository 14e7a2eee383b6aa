"""The shim's event loop: descriptors, timers, children. One thread, no hidden state.

epoll is used directly rather than through `selectors`, because a cgroup tells that it became empty by
EPOLLPRI on its `cgroup.events` file, which `selectors` cannot ask for.

All children of the shim are reaped in one place, `reap`, whoever they are: started by the shim or adopted
by it as subreaper. It runs on SIGCHLD and when a pidfd becomes readable, and each time it asks until there
is nobody left, so merged or lost signals lose no exit code.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from itertools import count

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
IN_ORDER = select.EPOLLIN | select.EPOLLET  # told once of what came, but of two pipes in the order it came
PRIORITY = select.EPOLLPRI
PEER_GONE = select.EPOLLRDHUP

Callback = Callable[[], None]
Exited = Callable[[int], None]  # given the exit code, 128 + signal when killed by one

_LOG_LIMIT = 1 << 20


class Timer:
    """A callback at a point of the monotonic clock."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Waits for the next thing and calls who asked for it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callback] = {}
        self._due: deque[int] = deque()  # ready, and not called yet
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._children: dict[int, Exited] = {}
        self.running = True

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call back whenever `fd` is ready; replaces what was asked for before. No events: forget it.

        (epoll reports a hang-up even to those who ask for nothing, which would turn a pause into a busy
        loop.)
        """
        if not events:
            self.forget(fd)
        elif fd in self._watched:
            self._epoll.modify(fd, events)
            self._watched[fd] = callback
        else:
            self._epoll.register(fd, events)
            self._watched[fd] = callback

    def forget(self, fd: int) -> None:
        """Before the descriptor is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def catch_up(self, fds: Collection[int]) -> None:
        """Call back now for those of these descriptors that are ready, first come first served."""
        self._look(0)
        now = [fd for fd in self._due if fd in fds]
        self._due = deque(fd for fd in self._due if fd not in fds)
        for fd in now:
            self._call(fd)

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    def watch_child(self, pid: int, pidfd: int, exited: Exited) -> None:
        """Call `exited` once when this child has been reaped. The pidfd stays the caller's."""
        self._children[pid] = exited
        self.watch(pidfd, READ, self.reap)

    def reap(self) -> None:
        """Collect every child that has ended."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                return
            if ended is None:
                return
            exited = self._children.pop(ended.si_pid, None)
            if exited is not None:
                code = ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128)
                self._guard(partial(exited, code))

    def run(self) -> None:
        """Until `running` is set to False by a callback."""
        wake, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

        def woken() -> None:
            os.read(wake, 4096)
            self.reap()

        self.watch(wake, READ, woken)
        while self.running:
            self.turn()

    def turn(self) -> None:
        """Wait until something is ready, and call whoever asked for it."""
        self._look(self._wait())
        while self._due:
            self._call(self._due.popleft())
        self._run_timers()

    def _look(self, seconds: float) -> None:
        self._due.extend(fd for fd, _ in self._epoll.poll(seconds) if fd not in self._due)

    def _call(self, fd: int) -> None:
        callback = self._watched.get(fd)  # an earlier callback of this round may have closed it
        if callback is not None:
            self._guard(callback)

    def _wait(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                self._guard(timer.callback)

    def _guard(self, callback: Callback) -> None:
        """A supervisor does not die:

        A bug is written down (stderr is the shim's log file) and the others live on.
        """
        try:
            callback()
        except Exception:
            complain(traceback.format_exc())


def complain(text: str) -> None:
    """To the log file that is the shim's standard error. It has a limit; a full disk is no reason to die."""
    with suppress(OSError):
        if os.fstat(2).st_size < _LOG_LIMIT:
            os.write(2, text.encode(errors="replace") + b"\n")
