"""Back-off: how long a thing that failed is left alone (kubelet-behaviour 2.8, 2.9).

Each pod worker has one `Backoff` for the crash loops of its containers and one for the pulls of its images.
The first failure costs nothing: `next` makes an entry of 10 s and the restart happens at once; each later
restart doubles the entry up to the cap. An instance that lived for more than 10 minutes after its last
restart was decided has recovered: its entry starts afresh. Hence the delays a user sees: 0, 10, 20, 40, 80,
160, 300, 300 …

Entries live in memory only; a restarted agent restarts everything at once, as the kubelet does. Pure: `now`
and `since` are seconds of one monotonic clock, given by the caller. The caller converts the runtime's
wall-clock stamps once, when it first sees them; a stepped wall clock then neither skips nor stretches a
back-off.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

INITIAL = 10.0
CAP = 300.0
STABLE_AFTER = 600.0  # an event this much later than the last restart decision starts afresh
FACTOR = 2


@dataclass(slots=True)
class Entry:
    """`delay` is what the next restart must wait, counted from the end before it."""

    delay: float
    decided_at: float


class Backoff:
    """`cap` is `crashLoopBackOff.maxContainerRestartPeriod`; a cap below 10 s lowers the first delay too."""

    def __init__(self, cap: float = CAP, initial: float = INITIAL) -> None:
        self.cap = cap
        self.initial = min(initial, cap)
        self._entries: dict[Hashable, Entry] = {}

    def expires_at(self, key: Hashable, since: float | None = None) -> float:
        """When the next try may happen after an end at `since`, or since the last decision; a time that has
        passed means: now.
        """
        entry = self._entries.get(key)
        if since is None:
            return entry.decided_at + entry.delay if entry else -math.inf
        if entry is None or self._stable(entry, since):
            return since
        return since + entry.delay

    def delay(self, key: Hashable) -> float:
        """The current value, as it is shown in `back-off 10s restarting …`."""
        entry = self._entries.get(key)
        return entry.delay if entry else 0.0

    def next(self, key: Hashable, since: float, now: float) -> None:
        """A restart is decided at `now`, after an end at `since`: the one after it waits longer."""
        entry = self._entries.get(key)
        if entry is None or self._stable(entry, since):
            self._entries[key] = Entry(self.initial, now)
            return
        entry.delay = min(entry.delay * FACTOR, self.cap)
        entry.decided_at = now

    @staticmethod
    def _stable(entry: Entry, since: float) -> bool:
        return since - entry.decided_at > STABLE_AFTER


def go_duration(seconds: float) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s, 1h0m0s, 1.5s, 350ms."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.6g}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.6g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
