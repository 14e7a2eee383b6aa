"""What containers and the node use of CPU and memory, measured when somebody asks.

The kernel counts CPU time from the start of a cgroup; a use is the difference of two readings by the time
between them, the window. A reading is taken when somebody asks, and kept for the next one who asks: who looks
every few seconds gets the average of that time, as with a kubelet's window. For what is too new to have been
read then (the first time: everything) a second reading follows half a second later. So nothing is polled,
nobody waits longer than that, and any number of clients at once cost as much as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from minikubelet.agent.clock import Clock

PAUSE = 0.5  # seconds between two readings of one measurement
LONGEST_WINDOW = 60.0  # an older reading says nothing about the present


class ContainerKey(NamedTuple):
    """One run of a container; `uid` is the pod's, as the node knows it."""

    uid: str
    name: str
    container_id: str


class Amount(NamedTuple):
    """`cpu` in nanoseconds since the start, `memory` in bytes."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment (seconds of the monotonic clock)."""

    containers: Mapping[ContainerKey, Amount] = field(default_factory=dict)
    node: Amount = field(default_factory=lambda: Amount(0, 0))
    moment: float = float("-inf")


class Usage(NamedTuple):
    """`cpu` in nanoseconds per second (billionths of a core), `memory` in bytes, `window` in seconds."""

    cpu: int
    memory: int
    window: float


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """One measurement; `at` is when it ended."""

    at: datetime
    node: Usage
    containers: Mapping[ContainerKey, Usage]

    def of_pod(self, uid: str) -> dict[str, Usage]:
        """By name of the container."""
        return {key.name: usage for key, usage in self.containers.items() if key.uid == uid}


class Meter:
    """`read` takes one reading."""

    def __init__(self, read: Callable[[], Awaitable[Reading]], clock: Clock | None = None) -> None:
        self._read = read
        self._clock = clock or Clock()
        self._lock = asyncio.Lock()
        self._last = Reading()
        self._result: NodeUsage | None = None

    async def measure(self) -> NodeUsage:
        """What was measured less than half a second ago is good enough."""
        async with self._lock:
            if self._result is None or self._clock.monotonic() - self._last.moment >= PAUSE:
                self._result = await self._measure()
            return self._result

    async def _measure(self) -> NodeUsage:
        earlier = self._last
        now = await self._take()
        if now.moment - earlier.moment <= LONGEST_WINDOW:
            used = _usages(earlier, now)
            if used.keys() == now.containers.keys():
                return NodeUsage(self._clock.now(), _usage(earlier.node, now.node, earlier, now), used)
        else:
            earlier, used = now, {}
        await asyncio.sleep(PAUSE)
        last = await self._take()
        longer = {key: usage for key, usage in used.items() if key in last.containers}
        return NodeUsage(
            self._clock.now(), _usage(earlier.node, last.node, earlier, last), _usages(now, last) | longer
        )

    async def _take(self) -> Reading:
        self._last = replace(await self._read(), moment=self._clock.monotonic())
        return self._last


def _usages(first: Reading, second: Reading) -> dict[ContainerKey, Usage]:
    """Of everything that is in both readings."""
    return {
        key: _usage(first.containers[key], amount, first, second)
        for key, amount in second.containers.items()
        if key in first.containers
    }


def _usage(before: Amount, after: Amount, first: Reading, second: Reading) -> Usage:
    window = second.moment - first.moment
    return Usage(round(max(0, after.cpu - before.cpu) / window), after.memory, window)
