"""The service proxy: what it says to the network, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from minikubelet.agent.service_proxy import ServiceProxy
from minikubelet.runtime.network.service_rules import ServicePort
from minikubelet.runtime.network.services import ServiceNetwork
from minikubelet.store import Store
from tests.unit.agent.test_services import SLICES, endpoint, service, slice_of
from tests.virtual_time import in_virtual_time


class Kernel:
    """Takes what is wanted; refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.taken: list[list[ServicePort]] = []
        self._refusals = refusals

    async def apply(self, wanted: Iterable[ServicePort]) -> None:
        await asyncio.sleep(0.02)
        if self._refusals:
            self._refusals -= 1
            raise OSError("no")
        self.taken.append(list(wanted))


async def played(path: Path, kernel: Kernel, *changes: Callable[[Store], Any]) -> None:
    """The changes one after the other, faster than the kernel; then a minute of time."""
    store = Store(path / "store.db")
    proxy = ServiceProxy(store, cast("ServiceNetwork", kernel))
    proxy.start()
    for change in changes:
        change(store)
        await asyncio.sleep(0.001)
    await asyncio.sleep(60)
    await proxy.stop()
    store.close()


@in_virtual_time
async def test_any_number_of_changes_is_one_when_the_kernel_is_busy(tmp_path: Path) -> None:
    kernel = Kernel()
    await played(
        tmp_path,
        kernel,
        lambda store: store.create("services", service("web", "10.96.0.9")),
        lambda store: store.create(SLICES, slice_of("web", endpoint("10.244.0.5"))),
        lambda store: store.create("services", service("more", "10.96.0.10")),
        lambda store: store.delete("services", "shop", "web"),
    )

    assert len(kernel.taken) <= 3
    assert [port.name for port in kernel.taken[-1]] == ["more"]


@in_virtual_time
async def test_what_the_kernel_refuses_is_tried_again(tmp_path: Path) -> None:
    kernel = Kernel(refusals=3)
    await played(tmp_path, kernel, lambda store: store.create("services", service("web", "10.96.0.9")))

    assert [port.name for port in kernel.taken[-1]] == ["web"]
