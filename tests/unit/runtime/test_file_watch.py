"""One inotify descriptor for many waiters."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from minikubelet.linux import syscalls
from minikubelet.runtime.file_watch import FileWatch

PATIENCE = 10.0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        pytest.param(lambda d: (d / "old").write_text("more"), True, id="written and closed"),
        pytest.param(lambda d: (d / "old").rename(d / "new"), False, id="renamed"),
        pytest.param(lambda d: (d / "old").unlink(), False, id="removed"),
        pytest.param(lambda d: (d / "sub").mkdir(), False, id="made"),
    ],
)
def test_a_change_in_the_directory_wakes_the_waiter(tmp_path: Path, change, closed):
    (tmp_path / "old").write_text("")

    async def story():
        with FileWatch().watch(tmp_path) as watch:
            change(tmp_path)
            assert await watch.changed(PATIENCE)
            assert watch.closed is closed
            assert not await watch.changed(0)

    asyncio.run(story())


def test_changes_before_the_question_are_not_lost(tmp_path: Path):
    async def story():
        with FileWatch().watch(tmp_path) as watch:
            (tmp_path / "a").write_text("")
            await asyncio.sleep(0)
            (tmp_path / "b").write_text("")
            assert await watch.changed(PATIENCE)

    asyncio.run(story())


def test_two_waiters_on_one_directory_go_their_own_ways(tmp_path: Path):
    async def story():
        files = FileWatch()
        with files.watch(tmp_path) as first:
            with files.watch(tmp_path) as second:
                (tmp_path / "a").write_text("")
                assert await first.changed(PATIENCE)
                assert await second.changed(PATIENCE)
            (tmp_path / "b").write_text("")
            assert await first.changed(PATIENCE)

    asyncio.run(story())


def test_a_hundred_watches_cost_one_descriptor_and_the_last_one_closes_it(tmp_path: Path):
    async def story():
        files, before = FileWatch(), descriptors()
        watches = []
        for number in range(100):
            (tmp_path / str(number)).mkdir()
            watches.append(files.watch(tmp_path / str(number)))
        assert descriptors() == before + 1
        for watch in watches:
            files.forget(watch)
        assert descriptors() == before

    asyncio.run(story())


def test_a_directory_that_goes_away_wakes_its_waiter(tmp_path: Path):
    async def story():
        files, before = FileWatch(), descriptors()
        (tmp_path / "gone").mkdir()
        with files.watch(tmp_path / "gone") as watch:
            (tmp_path / "gone").rmdir()
            assert await watch.changed(PATIENCE)
            while watch.number != -1:
                assert await watch.changed(PATIENCE)
        assert descriptors() == before

    asyncio.run(story())


def test_a_watch_of_a_directory_that_has_just_gone_is_given_up_in_peace(tmp_path: Path):
    """The kernel has forgotten it, and we have not read that yet."""

    async def story():
        files = FileWatch()
        (tmp_path / "gone").mkdir()
        with files.watch(tmp_path) as other:
            with files.watch(tmp_path / "gone"):
                (tmp_path / "gone").rmdir()
            assert await other.changed(PATIENCE)

    asyncio.run(story())


def test_without_inotify_the_waiter_s_own_time_limit_is_left(tmp_path: Path, monkeypatch, caplog):
    def refuse(flags):
        raise OSError(errno.EMFILE, "inotify_init1: too many open files")

    monkeypatch.setattr(syscalls, "inotify_init1", refuse)

    async def story():
        with FileWatch().watch(tmp_path) as watch:
            (tmp_path / "a").write_text("")
            assert not await watch.changed(0.01)

    asyncio.run(story())
    assert "cannot watch" in caplog.text


def test_an_overflowing_queue_wakes_everybody(tmp_path: Path):
    async def story():
        files = FileWatch()
        (tmp_path / "quiet").mkdir()
        with files.watch(tmp_path / "quiet") as watch:
            files._dispatch(-1, syscalls.IN_Q_OVERFLOW)
            assert await watch.changed(PATIENCE)
            assert watch.closed

    asyncio.run(story())
