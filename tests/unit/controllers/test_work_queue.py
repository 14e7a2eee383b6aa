"""Keys wait once, in time, and longer after each failure."""

from __future__ import annotations

import asyncio

import pytest

from minikubelet.controllers.work_queue import LONGEST_DELAY, WorkQueue
from tests.virtual_time import in_virtual_time

A, B = ("default", "a"), ("default", "b")


@in_virtual_time
async def test_a_key_waits_once_and_the_earlier_time_counts():
    queue, clock = WorkQueue(), asyncio.get_running_loop().time
    queue.add(A, 60)
    queue.add(B, 5)
    queue.add(A)
    queue.add(A, 3)
    assert await queue.get() == A
    assert clock() == 0
    assert await queue.get() == B
    assert clock() == 5


@in_virtual_time
async def test_what_is_added_while_somebody_waits_is_seen():
    queue = WorkQueue()
    queue.add(A, 60)
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add(B, 1)
    assert await getting == B


@in_virtual_time
async def test_failures_wait_longer_and_longer_until_a_success():
    queue, clock = WorkQueue(), asyncio.get_running_loop().time

    async def wait() -> float:
        before = clock()
        queue.retry(A)
        await queue.get()
        return clock() - before

    waits = [await wait() for _ in range(25)]
    assert waits[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
    assert waits[-1] == LONGEST_DELAY
    queue.forget(A)
    assert await wait() == pytest.approx(0.005)
