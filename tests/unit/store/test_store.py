"""The store's promises, on a real file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from minikubelet.errors import AlreadyExists, Conflict, Expired, InternalError, NotFound
from minikubelet.store import Seal, Store


def pod(name, namespace="default", **fields):
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}, **fields}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


async def take(watch, count):
    """The next `count` events, as (type, name)."""
    async with asyncio.timeout(10):
        return [
            (kind, obj["metadata"]["name"]) for kind, obj, _ in [await anext(watch) for _ in range(count)]
        ]


def test_a_created_object_gets_its_identity(store):
    made = store.create("pods", pod("a"))
    metadata = made["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["resourceVersion"] == str(store.revision)
    assert store.get("pods", "default", "a") == made


def test_a_name_is_taken_once_per_namespace(store):
    store.create("pods", pod("a"))
    store.create("pods", pod("a", "other"))
    with pytest.raises(AlreadyExists, match='pods "a" already exists'):
        store.create("pods", pod("a"))


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFound, match='pods "a" not found'):
        store.get("pods", "default", "a")
    with pytest.raises(NotFound):
        store.update("pods", pod("a"))
    with pytest.raises(NotFound):
        store.delete("pods", "default", "a")


def test_one_revision_counts_the_writes_of_all_kinds(store):
    first = int(store.create("pods", pod("a"))["metadata"]["resourceVersion"])
    store.create("configmaps", pod("c"))
    assert int(store.create("pods", pod("b"))["metadata"]["resourceVersion"]) == first + 2


def test_an_empty_store_does_not_stand_at_revision_zero(store):
    assert store.list("pods") == ([], 1)


def test_a_write_that_changes_nothing_is_none(store):
    made = store.create("pods", pod("a"))
    assert store.update("pods", made) == made
    assert store.modify("pods", "default", "a", lambda obj: None) == made
    assert store.revision == int(made["metadata"]["resourceVersion"])


def test_a_stale_write_is_a_conflict(store):
    old = store.create("pods", pod("a"))
    store.modify("pods", "default", "a", lambda obj: obj.update(status={"phase": "Running"}))
    with pytest.raises(Conflict, match="the object has been modified; please apply your changes"):
        store.update("pods", old)
    with pytest.raises(Conflict):
        store.delete("pods", "default", "a", resource_version=old["metadata"]["resourceVersion"])
    with pytest.raises(Conflict, match="Precondition failed: UID"):
        store.delete("pods", "default", "a", uid="somebody-else")
    assert store.get("pods", "default", "a")["status"] == {"phase": "Running"}


def test_identity_survives_every_update(store):
    made = store.create("pods", pod("a"))
    changed = store.update("pods", pod("a", spec={}))
    for field in ("uid", "creationTimestamp"):
        assert changed["metadata"][field] == made["metadata"][field]


def test_a_changed_spec_is_a_new_generation(store):
    obj = pod("a", spec={"x": 1})
    obj["metadata"]["generation"] = 1
    store.create("pods", obj)
    status = store.modify("pods", "default", "a", lambda obj: obj.update(status={}))
    spec = store.modify("pods", "default", "a", lambda obj: obj.update(spec={"x": 2}))
    bound = store.modify("pods", "default", "a", lambda obj: obj["spec"].update(nodeName="node1"))
    assert [each["metadata"]["generation"] for each in (status, spec, bound)] == [1, 2, 2]


def test_nobody_shares_a_sub_tree_with_the_store(store):
    given = pod("a", spec={"list": [1]})
    made = store.create("pods", given)
    given["spec"]["list"].append(2)
    made["spec"]["list"].append(3)
    assert store.get("pods", "default", "a")["spec"] == {"list": [1]}


def test_lists_are_sorted_and_can_be_read_in_the_past(store):
    for name in ("b", "a"):
        store.create("pods", pod(name))
    store.create("pods", pod("c", "other"))
    then = store.revision
    store.delete("pods", "default", "a")
    store.modify("pods", "default", "b", lambda obj: obj.update(status={}))

    def names(listed):
        return [obj["metadata"]["name"] for obj in listed[0]]

    assert names(store.list("pods")) == ["b", "c"]
    assert names(store.list("pods", "default")) == ["b"]
    assert names(store.list("pods", at=then)) == ["a", "b", "c"]
    assert names(store.list("pods", "default", at=then)) == ["a", "b"]
    assert "status" not in store.list("pods", at=then)[0][1]


def test_everything_is_there_after_a_reopening(tmp_path):
    store = Store(tmp_path / "store.db")
    store.create("pods", pod("a"))
    store.delete("pods", "default", "a")
    made = store.create("pods", pod("b"))
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.list("pods") == ([made], int(made["metadata"]["resourceVersion"]))
    again.close()


def test_a_killed_writer_loses_nothing_it_told(tmp_path):
    """SIGKILL in the middle of writing: every object that was announced on stdout is there afterwards."""
    program = """
        import sys
        from pathlib import Path
        from minikubelet.store import Store
        store = Store(Path(sys.argv[1]))
        for number in range(100_000):
            store.create("pods", {"metadata": {"name": f"p{number}", "namespace": "default"}})
            print(number, flush=True)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "store.db")], stdout=subprocess.PIPE
    )
    told = [int(writer.stdout.readline()) for _ in range(50)]
    writer.kill()
    told += [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    store = Store(tmp_path / "store.db")
    for number in told:
        store.get("pods", "default", f"p{number}")
    assert store.revision >= len(told)
    store.close()


def test_the_files_are_for_the_owner_only(store, tmp_path):
    store.create("pods", pod("a"))
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_secret_is_nowhere_on_disk_in_the_clear(tmp_path):
    canary = "canary-5f1e"
    store = Store(tmp_path / "store.db")
    secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"x": canary}}
    made = store.create("secrets", secret)
    store.create("configmaps", {**secret, "stringData": {"x": "in the clear"}})
    store.modify("secrets", "default", "s", lambda obj: obj.update(more=canary))
    assert made["stringData"] == {"x": canary}
    for closed in (False, True):
        on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert canary.encode() not in on_disk
        assert b"in the clear" in on_disk
        if not closed:
            store.close()
    again = Store(tmp_path / "store.db")
    assert again.get("secrets", "default", "s")["stringData"] == {"x": canary}
    again.close()


def test_a_sealed_value_opens_only_with_its_key_and_unchanged():
    seal = Seal(bytes(32))
    sealed = seal.close(b"text")
    assert seal.open(sealed) == b"text"
    assert seal.open(seal.close(b"")) == b""
    assert seal.close(b"text") != sealed
    for wrong in (b"", sealed[:-1], bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(ValueError, match="cannot open a sealed value"):
            seal.open(wrong)
    with pytest.raises(ValueError, match="cannot open a sealed value"):
        Seal(os.urandom(32)).open(sealed)


def test_a_full_disk_is_an_error_and_changes_nothing(store):
    made = store.create("pods", pod("a"))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InternalError, match="cannot write pods b: database or disk is full"):
        store.create("pods", pod("b", spec={"x": "y" * 100_000}))
    assert store.list("pods") == ([made], int(made["metadata"]["resourceVersion"]))
    store._db.execute("PRAGMA max_page_count = 100000")
    store.create("pods", pod("b", spec={"x": "y" * 100_000}))


def test_a_watch_starts_at_any_kept_revision(store):
    async def story():
        store.create("pods", pod("a"))
        since = store.revision
        store.create("pods", pod("b"))
        store.create("configmaps", pod("not-a-pod"))
        store.create("pods", pod("elsewhere", "other"))
        store.modify("pods", "default", "a", lambda obj: obj.update(status={}))
        store.delete("pods", "default", "b")
        watch = store.watch("pods", "default", since)
        assert await take(watch, 3) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
        everything = store.watch("pods", since=1)
        assert await take(everything, 3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "elsewhere")]

    asyncio.run(story())


def test_a_waiting_watch_is_woken_by_a_write(store):
    async def story():
        watch = store.watch("pods")
        waiting = asyncio.ensure_future(take(watch, 1))
        await asyncio.sleep(0)
        made = store.create("pods", pod("a"))
        assert await waiting == [("ADDED", "a")]
        store.create("configmaps", pod("c"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.01)
        assert watch.revision == store.revision, "a bookmark may say everything was seen"
        deleted = store.delete("pods", "default", "a")
        kind, obj, revision = await anext(watch)
        assert (kind, obj, revision) == ("DELETED", deleted, int(made["metadata"]["resourceVersion"]) + 2)

    asyncio.run(story())


def test_a_filtered_watch_sees_objects_come_and_go(store):
    def running(obj):
        return obj.get("status") == "Running"

    async def story():
        watch = store.watch("pods", matches=running)
        store.create("pods", pod("a"))
        for status in ("Running", "Running!", "Running"):
            store.modify("pods", "default", "a", lambda obj, status=status: obj.update(status=status))
        store.modify("pods", "default", "a", lambda obj: obj.update(more=1))
        store.delete("pods", "default", "a")
        events = await take(watch, 5)
        assert [kind for kind, _ in events] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]

    asyncio.run(story())


def test_closing_ends_the_iteration(store):
    async def story():
        watch = store.watch("pods")
        waiting = asyncio.ensure_future(take(watch, 1))
        await asyncio.sleep(0)
        watch.close()
        watch.close()
        with pytest.raises(StopAsyncIteration):
            await waiting

    asyncio.run(story())


def test_a_watch_of_what_nobody_writes_is_not_behind(store):
    """Whoever waits for the next namespace may wait for days."""

    async def story():
        watch = store.watch("namespaces")
        waiting = asyncio.ensure_future(take(watch, 1))
        await asyncio.sleep(0)
        for number in range(20):
            store.create("pods", pod(f"p{number}"))
        store.compact(store.revision)
        store.create("namespaces", {"metadata": {"name": "new"}})
        store.compact(store.revision - 1)
        assert await waiting == [("ADDED", "new")]

    asyncio.run(story())


def test_compaction_keeps_the_present_and_expires_old_watches(store):
    async def story():
        store.create("pods", pod("quiet"))
        for round in range(20):
            store.create("pods", pod(f"gone-{round}"))
            store.delete("pods", "default", f"gone-{round}")
        store.create("pods", pod("a"))
        then = store.revision
        slow = store.watch("pods", since=then - 5)
        for round in range(10):
            store.modify("pods", "default", "a", lambda obj, round=round: obj.update(status=round))
        store.compact(then)
        assert [obj["metadata"]["name"] for obj in store.list("pods")[0]] == ["a", "quiet"]
        assert len(await take(store.watch("pods", since=then), 10)) == 10
        (rows,) = store._db.execute("SELECT count(*) FROM log").fetchone()
        assert rows == 12
        for old in (lambda: store.watch("pods", since=then - 1), lambda: store.list("pods", at=then - 1)):
            with pytest.raises(Expired, match=rf"too old resource version: {then - 1} \({then}\)"):
                old()
        with pytest.raises(Expired):
            await anext(slow)
        with pytest.raises(Expired):
            store.watch("pods", since=store.revision + 1)

    asyncio.run(story())


def test_a_key_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(fd):
        raise Killed

    path = tmp_path / "store.key"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", kill)
        with pytest.raises(Killed):
            Seal.load(path)
    assert not path.exists()
    sealed = Seal.load(path).close(b"secret")
    assert Seal.load(path).open(sealed) == b"secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_old_events_and_old_revisions_are_forgotten(tmp_path):
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = Store(tmp_path / "store.db", now=lambda: clock[0])
    store.create("events", pod("old"))
    store.create("pods", pod("a"))
    clock[0] += timedelta(minutes=59)
    store.create("events", pod("young"))
    store.modify("pods", "default", "a", lambda obj: obj.update(status=1))
    store.maintain()
    clock[0] += timedelta(minutes=11)
    store.maintain()
    assert [obj["metadata"]["name"] for obj in store.list("events")[0]] == ["young"]
    with pytest.raises(Expired):
        store.watch("pods", since=2)
    assert store.get("pods", "default", "a")["status"] == 1
    store.close()


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "store.db").write_bytes(b"not a database " * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Store(Path(tmp_path / "store.db"))


def test_finalizers_hold_an_object_until_the_last_is_gone(store):
    obj = pod("a")
    obj["metadata"]["finalizers"] = ["x/y"]
    store.create("pods", obj)
    held = store.delete("pods", "default", "a")
    assert held["metadata"]["deletionTimestamp"]
    assert store.get("pods", "default", "a") == held
    store.modify("pods", "default", "a", lambda obj: obj["metadata"].pop("finalizers") and None)
    with pytest.raises(NotFound):
        store.get("pods", "default", "a")


def test_grace_holds_an_object_until_it_is_used_up(store):
    store.create("pods", pod("a"))

    def grace(seconds):
        def change(obj):
            obj["metadata"].update(
                deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=seconds
            )

        return change

    store.modify("pods", "default", "a", grace(5))
    assert store.get("pods", "default", "a")
    since = store.revision
    store.modify("pods", "default", "a", grace(0))

    async def story():
        return await take(store.watch("pods", since=since), 2)

    assert asyncio.run(story()) == [("MODIFIED", "a"), ("DELETED", "a")]


def test_a_rehearsal_leaves_no_trace(store):
    async def story():
        made = store.create("pods", pod("a"))
        watch = store.watch("pods")
        before = store.revision
        with store.rehearsal():
            store.create("pods", pod("b"))
            store.modify("pods", "default", "a", lambda obj: obj.update(status={}))
            store.delete("pods", "default", "b")
            with pytest.raises(AlreadyExists):
                store.create("pods", pod("a"))
        assert (store.list("pods"), store.revision) == (([made], before), before)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.01)
        store.create("pods", pod("c"))
        assert await take(watch, 1) == [("ADDED", "c")]

    asyncio.run(story())
