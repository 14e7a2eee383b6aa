"""Measuring use: windows, new containers, and many who ask at once. In virtual time."""

from __future__ import annotations

import asyncio

import pytest

from minikubelet.agent.usage import PAUSE, Amount, ContainerKey, Meter, Reading
from minikubelet.runtime.node_stats import busy
from tests.virtual_time import VirtualClock, in_virtual_time

SECOND = 10**9
WEB, NEW = ContainerKey("1", "web", "a"), ContainerKey("2", "new", "b")


class Kernel:
    """Containers that each use a quarter of a core from the moment they start."""

    def __init__(self) -> None:
        self.readings = 0
        self.started = {WEB: 0.0}

    async def read(self) -> Reading:
        self.readings += 1
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(0)
        counters = {
            key: Amount(int((now - start) * SECOND / 4), 1 << 20) for key, start in self.started.items()
        }
        return Reading(counters, Amount(int(now * SECOND), 1 << 30))


def meter():
    kernel = Kernel()
    return kernel, Meter(kernel.read, VirtualClock())


@in_virtual_time
async def test_the_first_who_asks_waits_half_a_second():
    kernel, one = meter()
    found = await one.measure()
    assert asyncio.get_running_loop().time() == PAUSE
    assert found.of_pod("1") == {"web": (SECOND // 4, 1 << 20, PAUSE)}
    assert found.node.cpu == SECOND
    assert kernel.readings == 2


@in_virtual_time
async def test_who_asks_again_gets_the_time_in_between_at_once():
    kernel, one = meter()
    await one.measure()
    await asyncio.sleep(10)
    found = await one.measure()
    assert (found.of_pod("1")["web"].window, kernel.readings) == (10, 3)
    assert found.node == (SECOND, 1 << 30, 10)


@in_virtual_time
async def test_what_is_new_is_measured_over_half_a_second_and_the_rest_over_the_whole_time():
    kernel, one = meter()
    await one.measure()
    await asyncio.sleep(10)
    kernel.started[NEW] = asyncio.get_running_loop().time()
    found = await one.measure()
    assert found.of_pod("2")["new"] == (SECOND // 4, 1 << 20, PAUSE)
    assert found.of_pod("1")["web"].window == 10


@in_virtual_time
async def test_an_old_reading_says_nothing_about_now():
    _, one = meter()
    await one.measure()
    await asyncio.sleep(3600)
    found = await one.measure()
    assert found.of_pod("1")["web"].window == found.node.window == PAUSE


@in_virtual_time
async def test_a_container_that_ends_meanwhile_is_not_told_of():
    kernel, one = meter()
    await one.measure()
    await asyncio.sleep(10)
    kernel.started[NEW] = 10.0
    measuring = asyncio.create_task(one.measure())
    await asyncio.sleep(PAUSE / 2)
    del kernel.started[WEB]
    assert (await measuring).of_pod("1") == {}


@in_virtual_time
async def test_any_number_of_clients_cost_as_much_as_one():
    kernel, one = meter()
    found = await asyncio.gather(*(one.measure() for _ in range(100)))
    assert kernel.readings == 2
    assert all(each is found[0] for each in found)


@pytest.mark.parametrize(
    ("stat", "ticks"),
    [("cpu  1 2 4 1000 1000 8 16 32 1 2\ncpu0 9", 63), ("cpu  5 0 0 9 0 0 0 0\n", 5)],
)
def test_what_the_cpus_have_worked(stat, ticks):
    assert busy(stat) == ticks * 10_000_000
