"""The keys a controller has to look at: each once, however often it was named; some only later.

client-go's rate limited work queue without its threads: a key whose work failed comes back after a delay that
doubles with each failure (5 ms … 1000 s), and is forgotten with the first success.
"""

from __future__ import annotations

import asyncio
import contextlib

Key = tuple[str, str]  # namespace, name

FIRST_DELAY, LONGEST_DELAY = 0.005, 1000.0  # seconds
DOUBLINGS = 18  # beyond, the longest delay is reached


class WorkQueue:
    """For one worker; times are the event loop's."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key, delay: float = 0.0) -> None:
        """To be looked at in `delay` seconds, or earlier if that was said before."""
        due = asyncio.get_running_loop().time() + max(delay, 0.0)
        self._due[key] = min(due, self._due.get(key, due))
        self._changed.set()

    def retry(self, key: Key) -> None:
        """After a failure."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.add(key, min(FIRST_DELAY * 2 ** min(failures - 1, DOUBLINGS), LONGEST_DELAY))

    def forget(self, key: Key) -> None:
        """It went well."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key, when it is due."""
        while True:
            self._changed.clear()
            key = min(self._due, key=self._due.__getitem__, default=None)
            left = None if key is None else self._due[key] - asyncio.get_running_loop().time()
            if key is not None and left is not None and left <= 0:
                del self._due[key]
                return key
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
