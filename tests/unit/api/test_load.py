"""50 watches and 20 writers: each watch is told each write once, in order (`bench/api.py` for a minute)."""

from __future__ import annotations

import asyncio

from tests import api_load


def test_no_watch_misses_an_event_or_is_told_one_twice(api):
    account = asyncio.run(api_load.run(api.paths.socket, 50, 20, lambda turns: turns < 5))
    assert len(account.written) == 20 * 5 * 2
    assert account.mistakes() == []
