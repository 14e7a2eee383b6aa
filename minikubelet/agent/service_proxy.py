"""What kube-proxy is on a cluster: Services and EndpointSlices in, rules of the kernel out.

It watches both in the store, and whenever something changed it says to the network what should be, all of it:
latest wins, and any number of changes while the kernel is busy are one. It is no part of a connection; when
the agent is not there, everything goes on as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from minikubelet.agent.service_ports import place_of, service_ports
from minikubelet.errors import Expired
from minikubelet.runtime.network.services import ServiceNetwork
from minikubelet.store import Store
from minikubelet.vital_tasks import end_agent_on_failure

log = logging.getLogger(__name__)

SERVICES, SLICES = "services", "endpointslices.discovery.k8s.io"
FIRST_RETRY, LONGEST_RETRY = 1.0, 300.0  # seconds, after the kernel refused

Objects = dict[tuple[str, str], dict[str, Any]]


class ServiceProxy:
    """One for the node."""

    def __init__(self, store: Store, network: ServiceNetwork) -> None:
        self._store = store
        self._network = network
        self._known: dict[str, Objects] = {SERVICES: {}, SLICES: {}}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A failure is a bug, and ends the agent: what is in the kernel survives that."""
        self._task = asyncio.create_task(self._run(), name="service proxy")
        self._task.add_done_callback(end_agent_on_failure)

    async def stop(self) -> None:
        """What is in the kernel stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for resource in self._known:
                group.create_task(self._follow(resource), name=f"service proxy: {resource}")
            group.create_task(self._apply(), name="service proxy")

    async def _follow(self, resource: str) -> None:
        while True:
            watch = self._store.watch(resource)
            try:
                self._known[resource] = {place_of(obj): obj for obj in self._store.list(resource)[0]}
                self._changed.set()
                async for kind, obj, _ in watch:
                    if kind == "DELETED":
                        self._known[resource].pop(place_of(obj), None)
                    else:
                        self._known[resource][place_of(obj)] = obj
                    self._changed.set()
                return
            except Expired:
                log.info("the watch of %s fell behind: looking at all of them again", resource)
            finally:
                watch.close()

    async def _apply(self) -> None:
        """Both lists were read before this is called for the first time."""
        retry = FIRST_RETRY
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = service_ports(self._known[SERVICES].values(), self._known[SLICES].values())
            try:
                await self._network.apply(wanted)
            except OSError as error:
                log.error("cannot make the rules of Services: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(retry):
                        await self._changed.wait()
                self._changed.set()
                retry = min(retry * 2, LONGEST_RETRY)
            else:
                retry = FIRST_RETRY
