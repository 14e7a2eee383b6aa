"""What belongs to something that is gone goes; on a real store, with the real verbs."""

from __future__ import annotations

import asyncio

import pytest

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.initial import make_initial
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.controllers import garbage_collector
from minikubelet.controllers.garbage_collector import GarbageCollector, Owner, state_of
from minikubelet.errors import InternalError
from minikubelet.store import Store
from minikubelet.v1.resources import BY_KEY

MAPS, SECRETS = BY_KEY["configmaps"], BY_KEY["secrets"]


@pytest.fixture
def objects(tmp_path):
    store = Store(tmp_path / "store.db")
    made = Objects(store)
    make_initial(made)
    yield made
    store.close()


def make(objects, name, *owners, info=MAPS, block=True):
    references = [
        {
            "apiVersion": "v1",
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for owner in owners
    ]
    metadata = {"name": name, "ownerReferences": references} if references else {"name": name}
    return objects.create(info, "default", {"metadata": metadata}, WriteOptions())


def delete(objects, name, propagation=""):
    return objects.delete(MAPS, "default", name, DeleteOptions(propagation=propagation))[0]


def names(objects):
    return [obj["metadata"]["name"] for obj in objects.list(MAPS, "default").items]


def settle(objects):
    """All events there are, as the watch tells them."""
    collector = GarbageCollector(objects)
    revision = 0
    while revision != objects.store.revision:
        revision = objects.store.revision
        collector.sweep()


def test_a_dependent_follows_its_last_owner(objects):
    first, second = make(objects, "a"), make(objects, "b")
    make(objects, "child", first, second)
    delete(objects, "a")
    settle(objects)
    child = objects.get(MAPS, "default", "child")
    assert [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["b"]
    gone = delete(objects, "b")
    GarbageCollector(objects).gone(gone)
    assert names(objects) == []


def test_a_secret_can_be_a_dependent_though_it_is_sealed(objects):
    owner = make(objects, "a")
    make(objects, "hidden", owner, info=SECRETS)
    GarbageCollector(objects).gone(delete(objects, "a"))
    assert objects.list(SECRETS, "default").items == []


def test_an_owner_of_the_same_name_is_another_one(objects):
    owner = make(objects, "a")
    make(objects, "child", owner)
    delete(objects, "a")
    make(objects, "a")
    settle(objects)
    assert names(objects) == ["a"]


def test_in_the_foreground_the_owner_goes_last(objects):
    owner = make(objects, "a")
    child = make(objects, "child", owner)
    make(objects, "grandchild", child)
    held = objects.store.modify("configmaps", "default", "grandchild", hold)
    going = delete(objects, "a", "Foreground")
    assert going["metadata"]["finalizers"] == ["foregroundDeletion"]
    settle(objects)
    assert names(objects) == ["a", "child", "grandchild"]
    assert held["metadata"]["finalizers"] == ["example.com/hold"]
    objects.store.modify("configmaps", "default", "grandchild", release)
    settle(objects)
    assert names(objects) == []


def hold(obj):
    obj["metadata"]["finalizers"] = ["example.com/hold"]


def release(obj):
    obj["metadata"].pop("finalizers")


def test_who_does_not_block_is_not_waited_for(objects):
    owner = make(objects, "a")
    make(objects, "child", owner, block=False)
    objects.store.modify("configmaps", "default", "child", hold)
    delete(objects, "a", "Foreground")
    settle(objects)
    assert names(objects) == ["child"]
    assert "deletionTimestamp" in objects.get(MAPS, "default", "child")["metadata"]


def test_a_circle_does_not_hold_itself(objects):
    first = make(objects, "a")
    second = make(objects, "b", first)

    def belong(obj):
        obj["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": second["metadata"]["uid"],
             "blockOwnerDeletion": True}
        ]  # fmt: skip

    objects.store.modify("configmaps", "default", "a", belong)
    delete(objects, "a", "Foreground")
    settle(objects)
    assert names(objects) == []


def test_what_failed_is_tried_again_though_nothing_happens(objects, monkeypatch):
    """As when the disk was full for a moment."""
    monkeypatch.setattr(garbage_collector, "RETRY_SECONDS", 0.01)
    make(objects, "child", make(objects, "a"))
    delete_one, failures = objects.delete, [InternalError("no space left on device")]

    def fails_once(*arguments):
        if failures:
            raise failures.pop()
        return delete_one(*arguments)

    async def story():
        keeping = asyncio.create_task(garbage_collector.keep(objects))
        await asyncio.sleep(0)
        delete(objects, "a", "Background")
        monkeypatch.setattr(objects, "delete", fails_once)
        async with asyncio.timeout(20):
            while names(objects):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        keeping.cancel()

    asyncio.run(story())
    assert failures == []


def test_orphans_stay_and_forget(objects):
    owner = make(objects, "a")
    make(objects, "child", owner)
    delete(objects, "a", "Orphan")
    settle(objects)
    assert names(objects) == ["child"]
    assert "ownerReferences" not in objects.get(MAPS, "default", "child")["metadata"]


def test_an_owner_of_a_kind_that_is_not_served_is_left_alone(objects):
    reference = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "x"}
    body = {"metadata": {"name": "child", "ownerReferences": [reference]}}
    objects.create(MAPS, "default", body, WriteOptions())
    settle(objects)
    assert names(objects) == ["child"]


def test_what_has_no_namespace_has_no_owner_in_one(objects):
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    body = {"metadata": {"name": "shop", "ownerReferences": [reference]}}
    objects.create(BY_KEY["namespaces"], "", body, WriteOptions())
    settle(objects)
    assert "deletionTimestamp" not in objects.get(BY_KEY["namespaces"], "", "shop")["metadata"]


def test_the_state_of_an_owner():
    reference = {"uid": "1"}
    assert state_of(reference, None) is Owner.ABSENT
    assert state_of(reference, {"metadata": {"uid": "2"}}) is Owner.ABSENT
    assert state_of(reference, {"metadata": {"uid": "1"}}) is Owner.SOLID
    going = {"uid": "1", "deletionTimestamp": "x", "finalizers": ["foregroundDeletion"]}
    assert state_of(reference, {"metadata": going}) is Owner.WAITING
