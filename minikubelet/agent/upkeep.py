"""What keeps the node in order: eviction, garbage collection, the watch for system OOM; wired together.

`Node` owns one, runs its stories as tasks, and asks it what the node suffers from before it lets a pod in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from minikubelet.agent.clock import Clock
from minikubelet.agent.eviction.manager import EvictionManager, Surroundings
from minikubelet.agent.eviction.observation import observe
from minikubelet.agent.eviction.thresholds import eviction_settings
from minikubelet.agent.garbage_collector import Belongings, GarbageCollector
from minikubelet.agent.image_gc import image_gc_settings
from minikubelet.agent.node_objects import NodeObjects
from minikubelet.agent.pod_worker import PodWorker
from minikubelet.config import Paths
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.kernel_log import system_ooms
from minikubelet.runtime.node_stats import read_file_system
from minikubelet.runtime.service import Service

logger = logging.getLogger(__name__)


class Upkeep:
    """`workers`: of all pods here; `known`: uids of all pods that exist; `in_use`: ids of images."""

    def __init__(
        self,
        paths: Paths,
        configuration: KubeletConfiguration,
        service: Service,
        images: ImageStore,
        cgroups: Cgroups,
        objects: NodeObjects,
        clock: Clock,
        *,
        workers: Callable[[], Collection[PodWorker]],
        known: Callable[[], Collection[str]],
        in_use: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        belongings = Belongings(
            service=service,
            images=images,
            node=objects,
            clock=clock,
            workers=workers,
            known=known,
            in_use=in_use,
            image_disk=lambda: read_file_system(paths.images).space,
        )
        self._garbage = GarbageCollector(image_gc_settings(configuration), belongings)
        surroundings = Surroundings(
            runtime=service,
            recorder=objects.recorder,
            node=objects,
            clock=clock,
            workers=workers,
            observe=lambda: observe(paths, cgroups),
            reclaim_disk=self._garbage.reclaim,
        )
        self._evictions = EvictionManager(eviction_settings(configuration), surroundings)
        self._objects = objects

    @property
    def pressures(self) -> tuple[str, ...]:
        """The conditions of the node that are True: MemoryPressure, DiskPressure, PIDPressure."""
        return self._evictions.conditions

    def stories(self) -> dict[str, Coroutine[Any, Any, None]]:
        """By the name of their task."""
        return {
            "evict": self._evictions.run(),
            "collect_garbage": self._garbage.run(),
            "watch_system_oom": self._watch_system_oom(),
        }

    async def _watch_system_oom(self) -> None:
        """The kernel had to kill something because the whole node was out of memory (12.2)."""
        try:
            async for oom in system_ooms():
                text = f"System OOM encountered, victim process: {oom.process}, pid: {oom.pid}"
                self._objects.node_event("Warning", "SystemOOM", text)
        except OSError as error:
            logger.warning("cannot read the kernel's log, so there will be no Event SystemOOM: %s", error)
