"""The virtual clock itself: everything else that waits is tested on it."""

import asyncio

import pytest

from tests.virtual_time import EPOCH, VirtualClock, in_virtual_time, run, until


@in_virtual_time
async def test_sleeping_an_hour_takes_no_time_but_the_clock_moves_by_an_hour():
    await asyncio.sleep(3600)
    assert asyncio.get_running_loop().time() == pytest.approx(3600)
    assert (VirtualClock().now() - EPOCH).total_seconds() == pytest.approx(3600)


@in_virtual_time
async def test_timers_fire_in_order():
    order = []

    async def note(delay):
        await asyncio.sleep(delay)
        order.append(delay)

    await asyncio.gather(note(30), note(0.001), note(10))
    assert order == [0.001, 10, 30]


@in_virtual_time
async def test_a_timeout_is_virtual_too():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(999):
            await asyncio.Event().wait()


@in_virtual_time
async def test_real_descriptors_are_served_before_time_jumps():
    server = await asyncio.start_server(lambda r, w: (w.write(b"hello"), w.close()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await asyncio.wait_for(reader.read(), 60) == b"hello"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_until_reports_what_never_comes():
    with pytest.raises(AssertionError, match="still not true after 5 virtual seconds"):
        run(until(lambda: False, limit=5))
