"""An event loop in which waiting takes no time.

`VirtualTimeLoop` is asyncio's own loop with another clock: whenever nothing is ready, its time jumps to the
next timer. A test may therefore sleep for hours, and may assert to the microsecond when something happened;
`loop.time()` starts at 0. Real descriptors still work (they are looked at before each jump). A loop that
has neither a timer nor anything ready would wait for ever: that is an error in the test, and said so.

    @in_virtual_time
    async def test_the_second_restart_waits_ten_seconds(): ...

`VirtualClock` gives the wall clock that belongs to such a loop: EPOCH plus the loop's time.
"""

from __future__ import annotations

import asyncio
import functools
import os
import selectors
import socket
import stat
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from minikubelet.agent.clock import Clock

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

EPOCH = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
REAL_PATIENCE = 30.0  # seconds a loop without timers may wait for real descriptors or threads
MOMENT = 0.05  # seconds for the kernel to carry what one of our sockets has sent to another

P = ParamSpec("P")
T = TypeVar("T")


class VirtualClock(Clock):
    """The wall clock of a VirtualTimeLoop; `skew` steps it, as an administrator or NTP would."""

    def __init__(self) -> None:
        self.skew = timedelta()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic()) + self.skew


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what it would have waited for is added to `elapsed`.

    With sockets of the network it first gives the kernel a moment: what one end has sent reaches the other in
    a softirq, mostly within the sending itself, but on a machine that is short of processors some time later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self._network: set[int] = set()

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if _is_of_network(key.fd):
            self._network.add(key.fd)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._network.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(REAL_PATIENCE)
            if not ready:
                raise RuntimeError("the event loop would wait for ever: no timer is set and nothing is ready")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0 and self._network:
            ready = super().select(MOMENT)
        if not ready:
            self.elapsed += timeout
        return ready


def _is_of_network(descriptor: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        return sock.family in (socket.AF_INET, socket.AF_INET6)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's selector loop on a clock that jumps when idle."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


def run(story: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)


def in_virtual_time(story: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a test of an async function; parameters and fixtures pass through."""

    @functools.wraps(story)
    def test(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(story(*args, **kwargs))

    return test


async def until(condition: Callable[[], object], limit: float = 3600.0, step: float = 0.01) -> float:
    """Wait (virtually) for a condition; the loop's time when it was first seen to hold."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    while not condition():
        if loop.time() >= deadline:
            raise AssertionError(f"still not true after {limit:g} virtual seconds")
        await asyncio.sleep(step)
    return loop.time()


async def settle(*awaitables: Awaitable[object]) -> None:
    """Let everything that is ready run, without letting time pass."""
    for awaitable in awaitables:
        await awaitable
    for _ in range(50):
        await asyncio.sleep(0)
