"""The queue of pods without a node: who is next, who is told what, and that no room is promised twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.binder import Binder
from minikubelet.agent.clock import Clock
from minikubelet.agent.events import EventRecorder
from minikubelet.agent.scheduler_cache import SchedulerCache
from minikubelet.errors import InternalError
from minikubelet.store import Store
from minikubelet.v1 import Event, Pod, from_dict


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


class Desk:
    """A node with room for so many pods, and the binder of it."""

    def __init__(self, store: Store, room: int) -> None:
        self.store = store
        self.told: list[tuple[str | None, str | None]] = []
        self.cache = SchedulerCache("node1")
        self.set_room(room)
        clock = Clock()
        recorder = EventRecorder(self._sink, clock, "node1")
        self.binder = Binder(store, recorder, clock, "node1", self.cache)

    def _sink(self, event: Event) -> None:
        self.told.append((event.involved_object.name if event.involved_object else None, event.reason))

    def set_room(self, pods: int) -> None:
        allocatable = {"pods": str(pods), "cpu": "4", "memory": "1Gi"}
        self.cache.node_changed({"metadata": {"name": "node1"}, "status": {"allocatable": allocatable}})

    def manifest(self, name: str, **spec: Any) -> dict[str, Any]:
        container = {"name": "c", "image": "localhost/host"}
        return {
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **spec},
            "status": {"phase": "Pending"},
        }

    def offer(self, name: str, **spec: Any) -> dict[str, Any]:
        made = self.store.create("pods", self.manifest(name, **spec))
        self.binder.offer(made)
        return made

    def stored(self, name: str) -> dict[str, Any]:
        return self.store.get("pods", "default", name)

    @property
    def bound(self) -> list[str]:
        """In the order they were bound."""
        return [name or "" for name, reason in self.told if reason == "Scheduled"]


def test_who_waits_is_bound_by_importance_and_then_by_age(store: Store) -> None:
    desk = Desk(store, room=0)
    for name, priority in (("first", 0), ("second", 0), ("grand", 5)):
        desk.offer(name, priority=priority)
    assert desk.bound == []
    desk.set_room(2)
    desk.binder.try_again()
    assert desk.bound == ["grand", "first"]
    assert desk.stored("second")["status"]["conditions"][0]["reason"] == "Unschedulable"
    desk.cache.remove("grand")
    desk.binder.try_again()
    assert desk.bound == ["grand", "first", "second"]


def test_room_is_not_promised_twice(store: Store) -> None:
    """The watch has not brought the first back when the second is looked at."""
    desk = Desk(store, room=1)
    desk.offer("first")
    desk.offer("second")
    assert desk.bound == ["first"]
    desk.cache.place(from_dict(Pod, desk.stored("first")))
    desk.binder.try_again()
    assert desk.bound == ["first"]


def test_the_same_reason_is_told_once(store: Store) -> None:
    desk = Desk(store, room=0)
    desk.offer("one")
    for _ in range(3):
        desk.binder.offer(desk.stored("one"))
        desk.binder.try_again()
    assert desk.told == [("one", "FailedScheduling")]
    desk.cache.node_changed(
        {"metadata": {"name": "node1"}, "spec": {"unschedulable": True}, "status": {"allocatable": {}}}
    )
    desk.binder.try_again()
    assert desk.told == [("one", "FailedScheduling")] * 2


def test_who_is_gone_or_changed_meanwhile_is_left_alone(store: Store) -> None:
    desk = Desk(store, room=0)
    desk.offer("gone")
    desk.offer("changed")
    store.delete("pods", "default", "gone")
    store.modify("pods", "default", "changed", lambda pod: pod["metadata"].update(labels={"a": "b"}))
    desk.set_room(5)
    desk.binder.try_again()
    assert desk.bound == []
    desk.binder.offer(desk.stored("changed"))
    assert desk.bound == ["changed"]


def test_whatever_was_changed_meanwhile_the_newer_one_is_tried(store: Store) -> None:
    """Also when it is nothing that matters: nobody else would call for another try."""
    desk = Desk(store, room=1)
    made = store.create("pods", desk.manifest("raced"))
    store.modify("pods", "default", "raced", lambda pod: pod["metadata"].update(annotations={"a": "b"}))
    desk.binder.offer(made)
    assert desk.bound == []
    desk.binder.offer(desk.stored("raced"))
    assert desk.bound == ["raced"]


def test_a_full_disk_only_makes_it_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(store, room=1)
    with monkeypatch.context() as full:
        full.setattr(store, "update", refuse)
        desk.offer("patient")
    assert desk.bound == []
    desk.binder.try_again()
    assert desk.bound == ["patient"]


def refuse(*_: object) -> None:
    raise InternalError("cannot write pods: database or disk is full")


def test_preemption_deletes_with_grace_and_keeps_the_room(store: Store) -> None:
    desk = Desk(store, room=1)
    desk.offer("humble", priority=0)
    desk.cache.place(from_dict(Pod, desk.stored("humble")))
    desk.offer("grand", priority=5)
    victim, winner = desk.stored("humble"), desk.stored("grand")
    assert victim["metadata"]["deletionGracePeriodSeconds"] == 5
    (target,) = [c for c in victim["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (target["reason"], target["message"]) == (
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    )
    assert winner["status"]["nominatedNodeName"] == "node1"
    assert ("humble", "Preempted") in desk.told
    desk.cache.remove("humble")
    desk.offer("thief", priority=1)
    assert desk.bound == ["humble"], "the room is grand's"
    desk.binder.try_again()
    assert desk.bound == ["humble", "grand"]
    assert "nominatedNodeName" not in desk.stored("grand")["status"]
