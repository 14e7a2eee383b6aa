"""What nobody needs any more is removed (kubelet-behaviour 14.3).

Every minute: the dead containers of evicted pods (those of deleted ones went with them), and folders of pods
that do not exist, which an agent that was killed may have left. Every five minutes: what loads and pulls that
were killed have left, and images, if their disk is getting full. And whatever there is of all that when the
disk is under pressure (`reclaim`).

The first round is one period after the start: a node that has just booted runs nothing yet, and would take
every image for unused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from minikubelet.agent.clock import Clock
from minikubelet.agent.eviction.manager import NodeReporter
from minikubelet.agent.eviction.messages import EVICTED
from minikubelet.agent.image_gc import (
    Candidate,
    ImageAge,
    ImageGCSettings,
    bytes_to_free,
    choose,
    too_old,
    with_look,
)
from minikubelet.agent.names import uid_of
from minikubelet.agent.pod_worker import PodWorker
from minikubelet.errors import MinikubeletError, RuntimeServiceError
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.node_stats import Left
from minikubelet.runtime.service import Service

logger = logging.getLogger(__name__)

CONTAINER_PERIOD = 60.0
ROUNDS_BETWEEN_IMAGES = 5
PULL_GIVEN_UP = 3600.0  # seconds: what a pull has fetched waits so long for its next attempt


class ImageGCError(MinikubeletError):
    """The message is the kubelet's."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """Of the node: `workers` of all its pods, `known` uids of all pods it has heard of, ids of images
    `in_use`, what is left of the disk the images lie on.
    """

    service: Service
    images: ImageStore
    node: NodeReporter
    clock: Clock
    workers: Callable[[], Collection[PodWorker]]
    known: Callable[[], Collection[str]]
    in_use: Callable[[], Awaitable[Collection[str]]]
    image_disk: Callable[[], Left]


class GarbageCollector:
    """A task of the node."""

    def __init__(self, settings: ImageGCSettings, use: Belongings) -> None:
        self._settings = settings
        self._use = use
        self._ages: dict[str, ImageAge] = {}  # image id →
        self._began = use.clock.monotonic()
        self._failed_before = False

    async def run(self) -> None:
        await self._look()
        while True:
            for _ in range(ROUNDS_BETWEEN_IMAGES):
                await asyncio.sleep(CONTAINER_PERIOD)
                await self._try(self.collect_containers())
                await self._try(self._use.service.remove_orphans(self._use.known()))
            await self.try_images()

    async def _try(self, collecting: Awaitable[None]) -> None:
        """A disk that cannot be cleaned up is no reason for the agent to end: the next round tries again."""
        try:
            await collecting
        except (RuntimeServiceError, OSError) as error:
            logger.warning("cannot collect garbage: %s", error)

    async def reclaim(self) -> None:
        """All that nobody uses: dead containers, also those that would be kept as lastState, and images."""
        await self._use.images.remove_unfinished(0.0)
        for worker in list(self._use.workers()):
            await self._remove_dead(worker, keep_newest=not worker.stopped.is_set())
        in_use = await self._look()
        chosen = choose(
            self._candidates(), self._ages, in_use, float("inf"), self._settings, self._use.clock.monotonic()
        )
        await self._delete(chosen)

    async def collect_containers(self) -> None:
        for worker in list(self._use.workers()):
            if worker.status.reason == EVICTED and worker.stopped.is_set():
                await self._remove_dead(worker, keep_newest=False)

    async def collect_images(self) -> None:
        """Raises ImageGCError when the disk stays too full."""
        await self._use.images.remove_unfinished(PULL_GIVEN_UP)
        in_use, now = await self._look(), self._use.clock.monotonic()
        candidates = self._candidates()
        if now - self._began >= self._settings.maximum_age:
            old = too_old(candidates, self._ages, in_use, self._settings, now)
            await self._delete(old)
            candidates = [image for image in candidates if image not in old]
        disk = self._use.image_disk()
        if disk.capacity == 0:
            raise ImageGCError("invalid capacity 0 on image filesystem")
        wanted = bytes_to_free(disk.available, disk.capacity, self._settings)
        if not wanted:
            return
        chosen = choose(candidates, self._ages, in_use, wanted, self._settings, now)
        await self._delete(chosen)
        freed = sum(image.size for image in chosen)
        if freed < wanted:
            text = (
                "Failed to garbage collect required amount of images. "
                f"Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
            )
            self._use.node.node_event("Warning", "FreeDiskSpaceFailed", text)
            raise ImageGCError(text)

    async def try_images(self) -> None:
        """Only the second failure in a row is an Event."""
        try:
            await self.collect_images()
        except (ImageGCError, RuntimeServiceError, OSError) as error:
            logger.warning("cannot collect images: %s", error)
            if self._failed_before:
                self._use.node.node_event("Warning", "ImageGCFailed", str(error))
            self._failed_before = True
        else:
            self._failed_before = False

    async def _look(self) -> Collection[str]:
        """The ids of images in use."""
        in_use, images = await self._use.in_use(), self._use.images
        present = [image.id for image in images.list()]
        now = self._use.clock.monotonic()
        self._ages = with_look(self._ages, present, in_use, images.asked_for, now)
        return in_use

    def _candidates(self) -> list[Candidate]:
        """The node's own image is none, nor is a directory that lies elsewhere: they take no room here."""
        return [Candidate(image.id, image.size) for image in self._use.images.list() if image.size]

    async def _delete(self, chosen: Sequence[Candidate]) -> None:
        if chosen:
            await self._use.images.delete([image.id for image in chosen])

    async def _remove_dead(self, worker: PodWorker, *, keep_newest: bool) -> None:
        """`keep_newest`: of each container the last instance stays. While its pod lives it says that the
        container has run; one that is done would otherwise run again.
        """
        uid = uid_of(worker.pod)
        newest: set[str] = set()  # names
        for one in (await self._use.service.pod_status(uid)).containers:
            kept = keep_newest and one.name not in newest
            newest.add(one.name)
            if one.state == "exited" and not kept:
                await self._remove_container(uid, one.id)

    async def _remove_container(self, uid: str, container_id: str) -> None:
        """What resists is tried again in the next round."""
        try:
            await self._use.service.remove_container(uid, container_id)
        except (RuntimeServiceError, OSError) as error:
            logger.warning("cannot remove a dead container of pod %s: %s", uid, error)
