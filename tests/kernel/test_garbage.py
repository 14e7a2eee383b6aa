"""Garbage on a real disk: unused images, containers of evicted pods, folders without a pod (14.3)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.clock import Clock
from minikubelet.agent.garbage_collector import Belongings, GarbageCollector, ImageGCError
from minikubelet.agent.image_gc import ImageGCSettings
from minikubelet.config import Paths
from minikubelet.runtime.images import HOST_IMAGE, Image, ImageStore
from minikubelet.runtime.images.records import Records
from minikubelet.runtime.node_stats import Left
from minikubelet.v1 import PodStatus
from tests.contract.test_runtime_service import FAILS, STAYS, Stage, real_stage
from tests.kernel.test_images import NAME, docker_archive, entry, folder, tar
from tests.unit.agent.pods import make_pod

KIB = 1 << 10


class LaterClock(Clock):
    """Real time, and what the test adds to it."""

    later = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later


@dataclass
class Neighbours:
    """Everybody the collector asks besides the runtime."""

    workers: list[Any] = field(default_factory=list)
    in_use: set[str] = field(default_factory=set)
    disk: Left = field(default_factory=lambda: Left(1000 * KIB, 1000 * KIB))
    events: list[tuple[str, str]] = field(default_factory=list)

    def node_event(self, type: str, reason: str, message: str) -> None:
        self.events.append((reason, message))

    async def used(self) -> Collection[str]:
        return self.in_use


@dataclass
class EvictedWorker:
    """What the collector sees of a pod's worker."""

    uid: str
    stopped: asyncio.Event

    @property
    def pod(self) -> Any:
        return make_pod(metadata={"uid": self.uid})

    @property
    def status(self) -> PodStatus:
        return PodStatus(phase="Failed", reason="Evicted")


def collector(
    service: Any,
    images: Any,
    around: Neighbours,
    clock: Clock,
    known: tuple[str, ...] = (),
    settings: ImageGCSettings = ImageGCSettings(),  # noqa: B008  # it is frozen
) -> GarbageCollector:
    use = Belongings(
        service=service,
        images=images,
        node=around,  # type: ignore[arg-type] - it reports no pressure
        clock=clock,
        workers=lambda: around.workers,
        known=lambda: known,
        in_use=around.used,
        image_disk=lambda: around.disk,
    )
    return GarbageCollector(settings, use)


async def three_images(paths: Paths, tmp_path: Path) -> tuple[ImageStore, list[Image]]:
    """Of 64 KiB each, nothing shared."""
    store = ImageStore(paths)
    await store.start()
    images = []
    for name in ("one", "two", "three"):
        archive = tmp_path / f"{name}.tar"
        content = [folder("bin"), (entry(f"bin/{name}"), os.urandom(64 * KIB))]
        archive.write_bytes(docker_archive([tar(content)]))
        images += await store.load(archive)
    return store, images


def names(store: ImageStore) -> set[str]:
    return {image.id for image in store.list()}


def test_the_image_used_longest_ago_goes_and_the_rest_stay(tmp_path: Path) -> None:
    async def story() -> None:
        store, (one, two, three) = await three_images(Paths.under(tmp_path / "root"), tmp_path)
        around, clock = Neighbours(), LaterClock()
        garbage = collector(None, store, around, clock)
        await garbage.collect_images()
        clock.later = 1000
        around.in_use = {one.id, three.id}
        await garbage.collect_images()  # one and three are seen in use
        clock.later, around.in_use = 2000, {three.id}
        await garbage.collect_images()
        assert len(names(store)) == 4  # there is room
        around.disk = Left(150 * KIB, 1000 * KIB)  # 85 %: 50 KiB are wanted, one image is enough
        await garbage.collect_images()
        assert names(store) == {one.id, three.id, store.find(HOST_IMAGE).id}
        assert not Path(two.layers[0]).exists()
        await garbage.reclaim()  # the disk is under pressure: all that nobody uses
        assert names(store) == {three.id, store.find(HOST_IMAGE).id}
        assert around.events == []

    asyncio.run(story())


def test_what_killed_loads_and_pulls_have_left_goes_unless_somebody_is_at_work(tmp_path: Path) -> None:
    """A pull that was killed a moment ago is soon gone on with; under pressure its beginning goes as well."""

    async def story() -> None:
        paths = Paths.under(tmp_path / "root")
        store = ImageStore(paths)
        await store.start()
        records = Records(paths.images)
        with records.pulling():
            old, new = records.partial / ("0" * 64), records.partial / ("1" * 64)
        for path in (old, new):
            path.write_bytes(b"begun")
        os.utime(old, (0, 0))
        (paths.images / "aside/layers").mkdir(parents=True)
        garbage = collector(None, store, Neighbours(), LaterClock())
        with records.pulling(), records.lock():
            await garbage.collect_images()
            assert old.exists()
            assert (paths.images / "aside").exists()
        await garbage.collect_images()
        assert not (paths.images / "aside").exists()
        assert [path for path in (old, new) if path.exists()] == [new]
        await garbage.reclaim()
        assert not new.exists()

    asyncio.run(story())


def test_an_image_that_comes_while_others_go_is_left_alone(tmp_path: Path) -> None:
    """imageMaximumGCAge takes two; meanwhile another one is loaded, and then the disk is too full."""

    async def story() -> None:
        store, _ = await three_images(Paths.under(tmp_path / "root"), tmp_path)
        around, clock = Neighbours(disk=Left(100, 1000)), LaterClock()
        settings = ImageGCSettings(maximum_age=3600)
        garbage = collector(None, store, around, clock, settings=settings)
        await garbage.try_images()
        clock.later = 7200
        archive = tmp_path / "late.tar"
        archive.write_bytes(docker_archive([tar([(entry("late"), os.urandom(64 * KIB))])]))
        delete = store.delete

        async def slow_delete(ids: Collection[str]) -> int:
            await store.load(archive)
            return await delete(ids)

        store.delete = slow_delete  # type: ignore[method-assign]
        await garbage.try_images()
        assert [image.tags for image in store.list() if image.size] == [(NAME,)]

    asyncio.run(story())


def test_a_disk_that_stays_too_full_is_said_and_the_second_time_twice(tmp_path: Path) -> None:
    async def story() -> None:
        store, images = await three_images(Paths.under(tmp_path / "root"), tmp_path)
        around, clock = Neighbours(in_use={image.id for image in images}), LaterClock()
        garbage = collector(None, store, around, clock)
        around.disk = Left(100, 1000)
        text = (
            "Failed to garbage collect required amount of images. "
            "Attempted to free 100 bytes, but only found 0 bytes eligible to free."
        )
        with pytest.raises(ImageGCError, match=text):
            await garbage.collect_images()
        assert around.events == [("FreeDiskSpaceFailed", text)]
        await garbage.try_images()
        assert around.events == [("FreeDiskSpaceFailed", text)] * 2
        await garbage.try_images()
        assert around.events[2:] == [("FreeDiskSpaceFailed", text), ("ImageGCFailed", text)]
        assert len(names(store)) == 4

    asyncio.run(story())


def test_what_is_done_in_a_pod_that_lives_is_remembered(tmp_path: Path) -> None:
    """Of two dead instances the older goes, for room; the newer says that the container need not run again.
    The defence is `keep_newest` in `garbage_collector._remove_dead`.
    """

    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            service: Any = stage.runtime
            await service.run_pod_sandbox(stage.pod, 0)
            older, newer = [await stage.start(FAILS, attempt=attempt) for attempt in (0, 1)]
            await stage.until_exited(newer)
            store = ImageStore(Paths.under(tmp_path))
            await store.start()
            worker = EvictedWorker(stage.uid, asyncio.Event())
            garbage = collector(service, store, Neighbours(workers=[worker]), LaterClock())
            await garbage.reclaim()
            assert [one.id for one in (await stage.status()).containers] == [newer]
            assert not Paths.under(tmp_path).container(older).exists()
            worker.stopped.set()
            await garbage.reclaim()
            assert (await stage.status()).containers == ()

    asyncio.run(story())


async def remove_orphans_while_a_pod_comes(service: Any, known: list[str], folder: Path) -> None:
    """It comes when it was said already who exists; the only worker thread is busy until then."""
    busy = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        executor.submit(busy.wait)
        removing = asyncio.create_task(service.remove_orphans(known))
        await asyncio.sleep(0)
        folder.mkdir()
        busy.set()
        await removing
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def test_an_evicted_pod_leaves_no_containers_and_nobody_knows_its_neighbours_folders(tmp_path: Path) -> None:
    """Its records, layers and logs go; those of a pod that runs stay, and of folders the unknown ones go."""

    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            service: Any = stage.runtime
            other = Stage(service)
            await service.run_pod_sandbox(stage.pod, 0)
            await service.run_pod_sandbox(other.pod, 0)
            dead = await stage.start(FAILS)
            await stage.until_exited(dead)
            await service.stop_pod_sandbox(stage.uid)
            await other.start(STAYS)
            paths = Paths.under(tmp_path)
            lost = [paths.pod("gone") / "volumes", paths.log_pods / "default_gone_gone" / "c"]
            for directory in (*lost, paths.pod("kept"), paths.log_pods / "foreign"):
                directory.mkdir(parents=True)
            try:
                worker = EvictedWorker(stage.uid, asyncio.Event())
                around = Neighbours(workers=[worker])
                garbage = collector(service, None, around, LaterClock(), ("kept",))
                await garbage.collect_containers()
                assert (await stage.status()).containers != ()  # it is not down yet
                worker.stopped.set()
                await garbage.collect_containers()
                assert (await stage.status()).containers == ()
                assert not paths.container(dead).exists()
                await remove_orphans_while_a_pod_comes(service, ["kept"], paths.pod("comes"))
                found = {path.name for path in paths.lib.glob("pods/*")}
                assert found == {"kept", "comes", stage.uid, other.uid}
                left = {path.name.rpartition("_")[2] for path in paths.log_pods.iterdir()}
                assert left == {"foreign", stage.uid, other.uid}
                assert [one.state for one in (await other.status()).containers] == ["running"]
            finally:
                await service.remove_pod(other.uid)

    asyncio.run(story())
