"""Work in threads, and who waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from minikubelet.runtime.threads import to_the_end


def test_what_it_returns_or_raises_is_handed_on() -> None:
    assert asyncio.run(to_the_end(int, "77", base=8)) == 63
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(to_the_end(int, "x"))


def test_who_is_cancelled_waits_for_the_thread() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()
        ended.set()

    async def story() -> None:
        task = asyncio.create_task(to_the_end(work))
        while not begun.is_set():  # noqa: ASYNC110 - of a thread
            await asyncio.sleep(0.001)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(story())
