"""Writes take turns: two in each round of the event loop.

A write is done in one go and then told to every watch. Twenty in one round make it long, and whoever only
reads waits for several rounds. In turns they take as long as before, and reading goes on in between.
"""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 2  # one alone, and each watch would be woken for each write; many, and readers wait


class Turns:
    """Whose turn it is, in the order they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._taken = 0  # of this round
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Until it is the caller's turn; at once when few others have come in this round."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._next_round)
        if self._taken < self._at_once:
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next_round(self) -> None:
        """Who has left meanwhile is passed over."""
        self._taken = 0
        while self._waiting and self._taken < self._at_once:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._taken += 1
        if self._taken:
            asyncio.get_running_loop().call_soon(self._next_round)
