"""kubelet-behaviour 7.3: when a pod is deleted because of a taint, and what calls it off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.events import EventRecorder
from minikubelet.agent.taint_eviction import TaintEviction
from minikubelet.store import Store
from minikubelet.v1 import Event, Pod, Taint, from_dict
from tests.virtual_time import VirtualClock, in_virtual_time

TAINT = Taint(key="repair", effect="NoExecute")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


class Story:
    """One pod in a store, and the controller."""

    def __init__(self, store: Store, seconds: int | None) -> None:
        self.store = store
        self.told: list[tuple[str | None, str | None]] = []
        clock = VirtualClock()
        self.controller = TaintEviction(store, EventRecorder(self._sink, clock, "node1"), clock)
        self.set_toleration(seconds)

    def _sink(self, event: Event) -> None:
        self.told.append((event.reason, event.message))

    def set_toleration(self, seconds: int | None) -> None:
        """None: none; the pod is made anew."""
        toleration = {"key": "repair", "operator": "Exists", "tolerationSeconds": seconds}
        container = {"name": "c", "image": "localhost/host"}
        made: dict[str, Any] = {
            "metadata": {"name": "web", "namespace": "default", "uid": "u"},
            "spec": {
                "nodeName": "node1",
                "containers": [container],
                "tolerations": [] if seconds is None else [toleration],
                "terminationGracePeriodSeconds": 30,
            },
        }
        self.pod = from_dict(Pod, made)
        if not self.store.list("pods")[0]:
            self.store.create("pods", made)

    def taint(self, *taints: Taint) -> None:
        self.controller.node_changed(taints, [self.pod])

    @property
    def condemned(self) -> dict[str, Any] | None:
        """The stored pod, if it is being deleted."""
        (pod,), _ = self.store.list("pods")
        return pod if "deletionTimestamp" in pod["metadata"] else None


MARKED = ("TaintManagerEviction", "Marking for deletion Pod default/web")
CANCELLED = ("TaintManagerEviction", "Cancelling deletion of Pod default/web")


@in_virtual_time
async def test_without_a_toleration_at_once(store: Store) -> None:
    story = Story(store, None)
    story.taint(TAINT)
    await asyncio.sleep(0.001)
    assert story.told == [MARKED]
    assert story.condemned is not None
    assert story.condemned["metadata"]["deletionGracePeriodSeconds"] == 30
    (condition,) = story.condemned["status"]["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == (
        "DisruptionTarget",
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    )


@in_virtual_time
async def test_when_the_time_is_over_and_not_before(store: Store) -> None:
    story = Story(store, 60)
    story.taint(TAINT)
    await asyncio.sleep(59.9)
    story.taint(TAINT, Taint(key="other", effect="NoSchedule"))  # does not begin the time again
    assert (story.told, story.condemned) == ([], None)
    await asyncio.sleep(0.2)
    assert story.told == [MARKED]


@in_virtual_time
async def test_a_taint_that_goes_calls_it_off(store: Store) -> None:
    story = Story(store, 60)
    story.taint(TAINT)
    await asyncio.sleep(30)
    story.taint()
    await asyncio.sleep(100)
    assert (story.told, story.condemned) == ([CANCELLED], None)


@in_virtual_time
async def test_a_shorter_toleration_counts_from_the_beginning(store: Store) -> None:
    story = Story(store, 600)
    story.taint(TAINT)
    await asyncio.sleep(50)
    story.set_toleration(60)
    story.controller.pod_changed(story.pod)
    await asyncio.sleep(9)
    assert story.condemned is None
    await asyncio.sleep(2)
    assert story.condemned is not None


@in_virtual_time
async def test_a_pod_that_is_over_is_left_alone(store: Store) -> None:
    story = Story(store, 60)
    story.taint(TAINT)
    story.controller.pod_gone("u")
    await asyncio.sleep(100)
    assert (story.told, story.condemned) == ([], None)
