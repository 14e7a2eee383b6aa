"""So many writes in each round of the event loop, in the order they came."""

from __future__ import annotations

import asyncio
import itertools

from minikubelet.api.turns import Turns


def test_one_in_a_round_in_order_and_nobody_waits_alone():
    async def story():
        loop, turns, rounds = asyncio.get_running_loop(), Turns(1), 0
        told: list[tuple[str, int]] = []

        def count():
            nonlocal rounds
            rounds += 1
            loop.call_soon(count)

        async def write(name):
            await turns.take()
            told.append((name, rounds))

        count()
        await write("alone")
        assert told == [("alone", 1)]
        await asyncio.gather(*(write(name) for name in "abcd"))
        names, when = zip(*told[1:], strict=True)
        assert names == tuple("abcd")
        assert all(later > earlier for earlier, later in itertools.pairwise(when))

    asyncio.run(story())


def test_who_leaves_is_passed_over():
    async def story():
        turns = Turns(1)
        await turns.take()
        leaving, staying = asyncio.create_task(turns.take()), asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        leaving.cancel()
        async with asyncio.timeout(20):
            await staying

    asyncio.run(story())
