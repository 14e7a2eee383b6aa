"""Controllers: what a cluster does by itself when objects are written, each in one small module.

A controller knows the API (`Objects`: the verbs of the API and the store's watches) and nothing else: neither
the node nor HTTP. It is a story, `keep(objects)`, that looks at what is there, does what is missing, and
waits for changes; nothing that matters is in its memory, so that it may be killed and begun again at any
line. Leave one out of CONTROLLERS, and everything else works as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from minikubelet.api.objects import Objects
from minikubelet.controllers import (
    deployments,
    endpoints,
    garbage_collector,
    jobs,
    kubernetes_service,
    namespaces,
    replica_sets,
    service_accounts,
)
from minikubelet.controllers import (
    root_ca as root_certificate,
)
from minikubelet.vital_tasks import end_agent_on_failure

CONTROLLERS: dict[str, Callable[[Objects], Awaitable[None]]] = {
    "namespaces": namespaces.keep,
    "service accounts": service_accounts.keep,
    "garbage collector": garbage_collector.keep,
    "deployments": deployments.keep,
    "replica sets": replica_sets.keep,
    "jobs": jobs.keep,
    "endpoints": endpoints.keep,
}


class Controllers:
    """All of them at work. One that fails is a bug, and ends the agent: containers survive that."""

    def __init__(self, objects: Objects, root_ca: str = "", door: tuple[str, int] | None = None) -> None:
        """`root_ca` is what pods trust the API by, `door` the address and port where they find it; without
        HTTPS there is neither.
        """
        self._stories = {name: keep(objects) for name, keep in CONTROLLERS.items()}
        self._stories["Service kubernetes"] = kubernetes_service.keep(objects, door)
        if root_ca:
            self._stories["root CA"] = root_certificate.keep(objects, root_ca)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for name, story in self._stories.items():
            task = asyncio.ensure_future(story)
            task.set_name(f"controller: {name}")
            task.add_done_callback(end_agent_on_failure)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Everything they have begun is in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
