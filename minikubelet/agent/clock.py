"""The two clocks of the agent, from one object.

Stamps that people read (startedAt, lastTransitionTime, Events) come from the wall clock; periods, deadlines
of waiting and probe ticks run on the monotonic clock, so that a stepped wall clock neither skips a back-off
nor doubles a probe. The monotonic clock is the event loop's own: in tests the loop's time jumps when
nothing is left to do, and everything that waits, waits in virtual time.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class Clock:
    """Real time. Tests use `tests.virtual_time.VirtualClock`."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the running event loop; only differences mean something."""
        return asyncio.get_running_loop().time()
