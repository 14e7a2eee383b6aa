"""Stories of resizes in virtual time (kubelet-behaviour 6.9, 6.12): granted, applied, shown, retried."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from minikubelet.agent.allocation_files import AllocationFiles
from minikubelet.agent.resize import Verdict
from minikubelet.agent.resizes import Resizes
from minikubelet.v1 import Pod, PodCondition, from_dict, to_dict
from tests.fakes import FakeRuntimeService
from tests.unit.agent.pods import UID, make_pod
from tests.unit.agent.story import Story
from tests.virtual_time import in_virtual_time, settle

SIZED = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
GROWN = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "400m", "memory": "256Mi"}}
FULL = Verdict("Deferred", "Node didn't have enough resource: cpu, requested: 400, used: 9, capacity: 10")


class Resizing(Story):
    """A story with allocations; `answer` is what the node says of a resize."""

    def __init__(self, path: Path, pod: Pod, runtime: FakeRuntimeService | None = None) -> None:
        super().__init__(pod, runtime)
        self.path = path
        self.answer = Verdict()
        self.asked = 0
        self.resizes = Resizes(
            AllocationFiles(lambda uid: path / uid),
            self.recorder,
            self.clock,
            self._judge,
            granted=lambda uid: self.worker.wake(),
            shown=lambda uid: self.worker.wake(),
        )
        self._settings["allocations"] = self.resizes

    def _judge(self, desired: Pod, granted: Pod) -> Verdict:
        self.asked += 1
        return self.answer

    async def begin(self) -> None:
        self.resizes.begin(self.pod)
        await super().begin()
        self.resizes.grant(self.pod)
        self.resizes.open()
        self._retries = asyncio.create_task(self.resizes.follow())
        await settle()

    async def resize(self, resources: dict[str, Any], **fields: Any) -> None:
        """What the API and the node do with a PATCH."""
        data = to_dict(self.pod)
        data["spec"]["containers"][0] |= {"resources": resources, **fields}
        data["metadata"]["generation"] += 1
        self.pod = from_dict(Pod, data)
        self.pod.status = self.publisher.last
        self.resizes.consider(self.pod)
        self.worker.update(self.pod)
        await settle()

    def said(self) -> list[str]:
        return [reason for reason in self.recorder.reasons() if reason.startswith("Resize")]

    def told(self) -> dict[str, PodCondition]:
        return {
            one.type or "": one
            for one in self.status.conditions or ()
            if one.type and one.type.startswith("PodResize")
        }


def sized(**fields: Any) -> Pod:
    return make_pod({"name": "web", "resources": SIZED, **fields})


@in_virtual_time
async def test_a_resize_is_granted_applied_and_over(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    await story.resize(GROWN)
    assert story.said() == ["ResizeStarted", "ResizeCompleted"]
    assert story.told() == {}
    resources = story.container().resources
    assert resources is not None
    assert (resources.limits, story.container().restart_count) == (GROWN["limits"], 0)
    written = [entry for _, entry in story.runtime.journal if "resize" in entry or "pod " in entry]
    assert written == [
        f"pod memory.max {256 << 20}", "resize web memory", "pod cpu.max 40000 100000", "resize web cpu",
    ]  # fmt: skip
    history = [status for _, status in story.publisher.history]
    shown = [
        [c.type for c in status.conditions or () if (c.type or "").startswith("PodResize")]
        for status in history
    ]
    assert ["PodResizeInProgress"] in shown, "it is shown while it goes on"


@in_virtual_time
async def test_a_policy_restarts_the_container_with_what_was_granted(tmp_path: Path) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    story = Resizing(tmp_path, sized(resizePolicy=policy))
    await story.begin()
    await story.resize(GROWN)
    assert story.container().restart_count == 1
    assert story.recorder.messages("Killing") == ["Container web resize requires restart, will be restarted"]
    resources = story.container().resources
    assert resources is not None
    assert resources.limits == GROWN["limits"]
    assert story.said() == ["ResizeStarted", "ResizeCompleted"]


@in_virtual_time
async def test_a_deferred_resize_waits_30_s_and_then_3_min(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.answer = FULL
    await story.resize(GROWN)
    pending = story.told()["PodResizePending"]
    assert (pending.status, pending.reason, pending.message) == ("True", "Deferred", FULL.message)
    assert pending.observed_generation == 2
    resources = story.container().resources
    assert resources is not None
    assert resources.limits == SIZED["limits"], "what is applied is shown"
    assert story.container().allocated_resources == SIZED["requests"]
    assert story.asked == 1
    await asyncio.sleep(29)
    assert story.asked == 1
    await asyncio.sleep(2)
    assert story.asked == 2
    await asyncio.sleep(179)
    assert story.asked == 2
    story.answer = Verdict()
    await asyncio.sleep(2)
    assert story.asked == 3
    assert story.said() == ["ResizeDeferred", "ResizeStarted", "ResizeCompleted"]
    assert story.told() == {}


@in_virtual_time
async def test_room_that_was_made_is_tried_at_once(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.answer = FULL
    await story.resize(GROWN)
    story.answer = Verdict()
    story.resizes.retry()
    await settle()
    assert story.said() == ["ResizeDeferred", "ResizeStarted", "ResizeCompleted"]


@in_virtual_time
async def test_an_infeasible_resize_is_said_once_and_not_tried_again(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.answer = Verdict("Infeasible", "Node didn't have enough capacity: cpu, requested: 9, capacity: 4")
    await story.resize(GROWN)
    story.resizes.consider(story.pod)
    story.resizes.retry()
    await asyncio.sleep(1000)
    assert story.asked == 1
    assert story.said() == ["ResizeInfeasible"]
    assert story.told()["PodResizePending"].reason == "Infeasible"
    await story.resize(SIZED)
    assert story.told() == {}, "who takes it back is done"
    assert story.said() == ["ResizeInfeasible"]


@in_virtual_time
async def test_a_write_that_fails_is_shown_and_tried_again_after_10_s(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.runtime.resize_errors = ["write '1' to memory.max: no"]
    await story.resize(GROWN)
    told = story.told()["PodResizeInProgress"]
    assert (told.reason, told.message) == ("Error", "write '1' to memory.max: no")
    assert story.said() == ["ResizeStarted", "ResizeError"]
    await asyncio.sleep(10)
    assert story.said() == ["ResizeStarted", "ResizeError", "ResizeCompleted"]
    assert story.told() == {}


@in_virtual_time
async def test_memory_that_is_in_use_is_not_taken_away(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.runtime.memory_usage[story.runtime.instance(UID, "web").id] = 100 << 20
    await story.resize({**SIZED, "limits": {"cpu": "200m", "memory": "80Mi"}})
    assert story.told()["PodResizeInProgress"].message == (
        "cannot decrease memory limits: [attempting to set pod memory limit (83886080) below current usage "
        '(104857600), attempting to set container "web" memory limit (83886080) below current usage '
        "(104857600)]"
    )
    assert not [entry for _, entry in story.runtime.journal if entry.startswith(("resize", "pod "))]
    await asyncio.sleep(100)
    assert story.said() == ["ResizeStarted", "ResizeError"], "the same again is no news"


@in_virtual_time
async def test_the_next_agent_knows_what_was_granted(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.answer = FULL
    await story.resize(GROWN)
    await story.end_agent()
    story.pod.status = story.status
    heir = Resizing(tmp_path, story.pod, story.runtime)
    heir.answer = FULL
    await heir.begin()
    assert heir.container().allocated_resources == SIZED["requests"]
    assert heir.container().restart_count == 0
    assert not [entry for _, entry in story.runtime.journal if entry.startswith(("resize", "pod "))]
    assert heir.told()["PodResizePending"].reason == "Deferred"


@in_virtual_time
async def test_the_next_agent_finishes_what_was_begun(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.runtime.resize_errors = ["no"]
    await story.resize(GROWN)
    await story.end_agent()
    story.pod.status = story.status
    heir = Resizing(tmp_path, story.pod, story.runtime)
    await heir.begin()
    assert heir.said() == ["ResizeCompleted"]
    resources = heir.container().resources
    assert resources is not None
    assert resources.limits == GROWN["limits"]


@in_virtual_time
async def test_nothing_is_granted_before_all_pods_are_known(tmp_path: Path) -> None:
    story = Resizing(tmp_path, sized())
    story.resizes.begin(story.pod)
    story.resizes.grant(story.pod)
    wanted = from_dict(Pod, to_dict(make_pod({"name": "web", "resources": GROWN})))
    await Story.begin(story)
    story.resizes.consider(wanted)
    assert story.asked == 0
    story.resizes.open()
    assert story.asked == 1


@in_virtual_time
async def test_the_pod_as_a_whole_is_resized(tmp_path: Path) -> None:
    story = Resizing(tmp_path, make_pod("web", resources=SIZED))
    await story.begin()
    assert story.status.resources is not None
    assert story.status.resources.limits == SIZED["limits"]
    data = to_dict(story.pod)
    data["spec"]["resources"] = GROWN
    data["metadata"]["generation"] = 2
    story.pod = from_dict(Pod, data)
    story.pod.status = story.status
    story.resizes.consider(story.pod)
    story.worker.update(story.pod)
    await settle()
    assert story.said() == ["ResizeStarted", "ResizeCompleted"]
    assert story.status.resources.limits == GROWN["limits"]
    assert story.status.allocated_resources == GROWN["requests"]
    assert f"pod memory.max {256 << 20}" in [entry for _, entry in story.runtime.journal]


@in_virtual_time
async def test_a_pod_without_resources_costs_no_file(tmp_path: Path) -> None:
    story = Resizing(tmp_path, make_pod("web"))
    await story.begin()
    assert list(tmp_path.iterdir()) == []
    assert story.status.allocated_resources is None


def test_a_checkpoint_that_cannot_be_read_is_none(tmp_path: Path, caplog: Any) -> None:
    files = AllocationFiles(lambda uid: tmp_path)
    for text in ("{", "{}", "[]", '{"pod": 1, "containers": {}}'):
        (tmp_path / "allocation.json").write_text(text)
        assert files.load("u") is None
    assert len(caplog.records) == 4


@in_virtual_time
async def test_a_pod_on_its_way_out_waits_for_no_resize(tmp_path: Path) -> None:
    """Else the room that it leaves itself would be granted to it."""
    story = Resizing(tmp_path, sized())
    await story.begin()
    story.answer = FULL
    await story.resize(GROWN)
    story.answer = Verdict()
    story.delete()
    story.resizes.consider(story.pod)
    story.resizes.retry()
    assert story.said() == ["ResizeDeferred"]
    await story.end_agent()
