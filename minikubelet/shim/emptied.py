"""Hearing that a cgroup has no process any more, without asking again and again.

`cgroup.events` raises EPOLLPRI when `populated` changes; reading it arms it for the next change. A cgroup
that somebody else has removed counts as empty.
"""

from __future__ import annotations

import os

from minikubelet.linux import cgroup
from minikubelet.shim.loop import PRIORITY, Callback, Loop


def when_empty(loop: Loop, path: str, callback: Callback) -> None:
    """Call back once, perhaps at once."""
    try:
        events = os.open(f"{path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        callback()
    else:
        _Watch(loop, events, callback)


class _Watch:
    def __init__(self, loop: Loop, events: int, callback: Callback) -> None:
        self._loop, self._events, self._callback = loop, events, callback
        loop.watch(events, PRIORITY, self._look)
        self._look()  # it may have become empty before it was watched

    def _look(self) -> None:
        if b"populated 1" in cgroup.read_open(self._events):
            return
        self._loop.forget(self._events)
        os.close(self._events)
        self._callback()
