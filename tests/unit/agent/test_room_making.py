"""Critical pods at the door (kubelet-behaviour 7.2)."""

from __future__ import annotations

from typing import Any

from minikubelet.agent.facts import PhaseOverride
from minikubelet.agent.names import uid_of
from minikubelet.agent.room_making import RoomMaking
from minikubelet.v1 import Pod
from tests.fakes import FakeRecorder
from tests.unit.agent.nodes import make_pod
from tests.virtual_time import VirtualClock, in_virtual_time


class Worker:
    """Only hears that its pod has to end."""

    def __init__(self) -> None:
        self.reason = ""

    def end(self, override: PhaseOverride, grace: int) -> None:
        self.reason = override.reason


class Door:
    """Pods, the workers of those that are in."""

    def __init__(self, *inside: Pod) -> None:
        self.workers: dict[str, Any] = {uid_of(pod): Worker() for pod in inside}
        self.room = RoomMaking(self.workers, FakeRecorder(VirtualClock()), self.begin)

    def begin(self, pod: Pod) -> None:
        self.workers[uid_of(pod)] = Worker()


@in_virtual_time
async def test_a_critical_pod_begins_when_all_its_victims_are_over() -> None:
    one, two, critical = make_pod("one"), make_pod("two"), make_pod("critical")
    door = Door(one, two)
    door.room.make(critical, [one, two])
    door.room.left("one")
    assert "critical" not in door.workers
    door.room.left("two")
    assert "critical" in door.workers


@in_virtual_time
async def test_one_that_waits_may_have_to_make_room_for_a_more_important_one() -> None:
    """It has no worker yet that could end it."""
    weak, critical, most = make_pod("weak"), make_pod("critical"), make_pod("most")
    door = Door(weak)
    door.room.make(critical, [weak])
    door.room.make(most, [critical])
    assert door.workers["critical"].reason == "Preempting"
    door.room.left("weak")
    assert "most" not in door.workers
    door.room.left("critical")
    assert "most" in door.workers
