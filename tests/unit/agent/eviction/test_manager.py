"""The loop of eviction in virtual time: who is evicted, when, and what the API sees (13.7, 4.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from minikubelet.agent.allocation import Allocation, with_allocation
from minikubelet.agent.eviction.manager import EvictionManager, Surroundings
from minikubelet.agent.eviction.thresholds import Observation, eviction_settings
from minikubelet.agent.ports import AsAsked
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cri import PodDiskUsage, PodUsage
from minikubelet.v1 import Pod
from tests.fakes import Script
from tests.unit.agent.pods import UID, make_pod
from tests.unit.agent.story import Story
from tests.virtual_time import in_virtual_time, settle

MI = 1 << 20
MESSAGE = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
    "Container web was using 1Mi, request is 0, has larger consumption of memory. "
)


class Stage:
    """One pod, and a node whose memory or disk the test says."""

    def __init__(self, pod: Pod, **configuration: object) -> None:
        self.story = Story(pod)
        self.left = 500
        self.signal = "memory.available"
        self.freed_by_reclaim = 0
        self.looked: Callable[[], None] = lambda: None
        self.pressures: list[Sequence[str]] = []
        self.node_events: list[tuple[str, str, str]] = []
        hard = {"memory.available": "100Mi", "nodefs.available": "100Mi"}
        settings = eviction_settings(KubeletConfiguration(**{"evictionHard": hard, **configuration}))  # type: ignore[arg-type]
        self.manager = EvictionManager(
            settings,
            Surroundings(
                runtime=self.story.runtime,
                recorder=self.story.recorder,
                node=self,
                clock=self.story.clock,
                workers=lambda: [self.story.worker],
                observe=self.observe,
                reclaim_disk=self.reclaim,
            ),
        )
        self.story.runtime.usages[UID] = PodUsage(60 * MI, 3)

    async def begin(self) -> None:
        await self.story.begin()
        self.task = asyncio.create_task(self.manager.run())
        await settle()

    async def end(self) -> None:
        self.task.cancel()
        await self.story.end_agent()

    def observe(self) -> dict[str, Observation]:
        self.looked()
        return {self.signal: Observation(self.left * MI, 1000 * MI)}

    async def reclaim(self) -> None:
        self.left += self.freed_by_reclaim

    # `manager.NodeReporter`

    def report_pressure(self, conditions: Sequence[str]) -> None:
        self.pressures.append(conditions)

    def node_event(self, type: str, reason: str, message: str) -> None:
        self.node_events.append((type, reason, message))


@in_virtual_time
async def test_a_pod_is_evicted_with_grace_1_and_says_why_13_7() -> None:
    stage = Stage(make_pod("web"))
    stage.story.runtime.script("web", Script(on_term=None))
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(15)
    status = stage.story.status
    assert (status.phase, status.reason, status.message) == ("Failed", "Evicted", MESSAGE)
    disruption = next(c for c in status.conditions or () if c.type == "DisruptionTarget")
    assert (disruption.status, disruption.reason, disruption.message) == (
        "True",
        "TerminationByKubelet",
        MESSAGE,
    )
    assert stage.story.runtime.times("stop web#0 2") == [10]  # 1 s, and never less than 2 before KILL
    assert stage.story.recorder.reasons()[-2:] == ["Evicted", "Killing"]
    assert stage.story.recorder.messages("Evicted") == [MESSAGE]
    assert stage.pressures == [("MemoryPressure",)]
    assert stage.node_events[0] == ("Warning", "EvictionThresholdMet", "Attempting to reclaim memory")
    await stage.end()


@in_virtual_time
async def test_the_phase_and_the_condition_are_withheld_until_it_is_dead_1_3_5() -> None:
    stage = Stage(make_pod("web"))
    stage.story.runtime.script("web", Script(on_term=1.5))
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(15)
    for _, status in stage.story.publisher.history:
        told = any(c.type == "DisruptionTarget" for c in status.conditions or ())
        assert told == (status.phase == "Failed")
    ended = next(at for at, status in stage.story.publisher.history if status.phase == "Failed")
    assert ended == 11.5
    await stage.end()


@in_virtual_time
async def test_a_soft_eviction_gives_the_smaller_grace_13_7() -> None:
    stage = Stage(
        make_pod("web"),  # terminationGracePeriodSeconds 30
        evictionHard={},
        evictionSoft={"memory.available": "100Mi"},
        evictionSoftGracePeriod={"memory.available": "20s"},
        evictionMaxPodGracePeriod=7,
    )
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(45)
    assert stage.story.runtime.times("stop web#0 7") == [30]  # first seen at 10 s
    await stage.end()


@in_virtual_time
async def test_disk_is_reclaimed_before_any_pod_is_evicted_13_7() -> None:
    stage = Stage(make_pod("web"))
    stage.signal = "nodefs.available"
    stage.freed_by_reclaim = 100
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(15)
    assert stage.node_events == [
        ("Warning", "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage")
    ]
    assert stage.pressures == [("DiskPressure",)]
    assert stage.story.status.phase == "Running"
    stage.freed_by_reclaim, stage.left = 0, 50
    await asyncio.sleep(15)
    assert stage.story.status.reason == "Evicted"
    await stage.end()


@in_virtual_time
async def test_a_pod_with_too_many_files_to_count_goes_first() -> None:
    """It may well be the one that fills the disk. The limit is `manager.LONGEST_COUNT`."""
    stage = Stage(make_pod("web"))
    stage.signal = "nodefs.available"
    stage.story.runtime.du_seconds = 3600
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(45)
    assert stage.story.recorder.messages("Evicted") == [
        "The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, available: 50Mi. "
    ]
    await stage.end()


@in_virtual_time
async def test_a_limit_is_kept_when_counting_takes_longer_than_a_round() -> None:
    stage = Stage(make_pod("web", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "10Mi"}}]))
    stage.story.runtime.du_seconds = 100
    stage.story.runtime.disk_usages[UID] = PodDiskUsage(volumes={"v": 11 * MI})
    await stage.begin()
    await asyncio.sleep(95)
    assert stage.story.status.phase == "Running"
    await asyncio.sleep(20)
    assert stage.story.status.reason == "Evicted"
    await stage.end()


@in_virtual_time
async def test_a_critical_pod_is_spared_7_2() -> None:
    stage = Stage(make_pod("web", priority=2_000_000_000))
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(35)
    assert stage.story.status.phase == "Running"
    await stage.end()


@in_virtual_time
async def test_a_kill_that_takes_too_long_is_an_event_4_6() -> None:
    stage = Stage(make_pod("web"))
    stage.story.runtime.stop_errors = ["stuck"] * 3
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(15)
    assert stage.story.recorder.messages("ExceededGracePeriod") == []
    await asyncio.sleep(10)
    assert stage.story.recorder.messages("ExceededGracePeriod") == [
        "Container runtime did not kill the pod within specified grace period."
    ]
    await stage.end()


@in_virtual_time
async def test_a_volume_beyond_its_limit_evicts_its_pod_without_disruption_10_2() -> None:
    """The node itself is well: the pod is no DisruptionTarget, and there is no Event about the node."""
    stage = Stage(make_pod("web", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "10Mi"}}]))
    await stage.begin()
    stage.story.runtime.disk_usages[UID] = PodDiskUsage(volumes={"v": 11 * MI})
    await asyncio.sleep(15)
    status = stage.story.status
    assert (status.phase, status.reason) == ("Failed", "Evicted")
    assert status.message == 'Usage of EmptyDir volume "v" exceeds the limit "10Mi". '
    assert "DisruptionTarget" not in [c.type for c in status.conditions or ()]
    assert stage.node_events == []
    await stage.end()


@in_virtual_time
async def test_the_next_look_waits_until_the_evicted_pod_has_given_everything_back() -> None:
    """Else the next pod would go for memory that the first still holds: the wait is `manager._clean_up`."""
    stage = Stage(make_pod("web"))
    stage.story.runtime.cleanup_seconds = 5
    looks: list[float] = []
    stage.looked = lambda: looks.append(stage.story.now)
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(30)
    assert looks == [0, 10, 15, 25]
    await stage.end()


@in_virtual_time
async def test_an_evicted_pod_is_not_evicted_again_nor_restarted() -> None:
    stage = Stage(make_pod("web"))
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(120)
    assert len(stage.story.recorder.messages("Evicted")) == 1
    assert stage.story.starts() == [0]
    assert stage.story.runtime.without_volumes == {UID}
    await stage.end()


@in_virtual_time
async def test_a_look_that_fails_is_not_the_last() -> None:
    """The task's end would be the agent's: the defence is in `manager.run`."""
    stage = Stage(make_pod("web"))

    def unreadable() -> None:
        raise OSError("cannot read /proc/meminfo")

    stage.looked = unreadable
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(15)
    assert stage.story.status.phase == "Running"
    stage.looked = lambda: None
    await asyncio.sleep(10)
    assert stage.story.status.reason == "Evicted"
    await stage.end()


@in_virtual_time
async def test_asking_for_more_than_there_is_spares_nobody() -> None:
    """The ranking goes by what was granted: the defence is in `manager._relieve`."""
    asked = {"requests": {"memory": "900Mi"}}
    stage = Stage(make_pod({"name": "web", "resources": asked}))
    await stage.begin()
    stage.story.worker._use = replace(stage.story.worker._use, allocations=Nothing())
    stage.left = 50
    await asyncio.sleep(15)
    assert stage.story.status.message == MESSAGE
    await stage.end()


class Nothing(AsAsked):
    """Nobody was granted anything."""

    def allocated(self, pod: Pod) -> Pod:
        return with_allocation(pod, Allocation(None, {}))


@in_virtual_time
async def test_the_next_agent_knows_of_no_eviction_and_looks_for_itself() -> None:
    """As with a kubelet that ends in the middle of one."""
    stage = Stage(make_pod("web"))
    stage.story.runtime.script("web", Script(on_term=None))
    await stage.begin()
    stage.left = 50
    await asyncio.sleep(10.5)
    stage.task.cancel()
    stage.story = await stage.story.next_agent()
    await asyncio.sleep(10)
    assert stage.story.status.phase == "Running"
    assert not stage.story.recorder.messages("Evicted")
    await stage.end()
