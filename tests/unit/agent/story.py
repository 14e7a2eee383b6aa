"""A stage for stories about one pod worker in virtual time: fake node, worker, and what a watcher saw.

story = Story(make_pod("web"))
story.runtime.script("web", Script(runs=0, exit_code=1))
await story.begin()
await asyncio.sleep(35)
assert story.runtime.times("start web#2") == [10]
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from minikubelet.agent.pod_worker import Phase, PodWorker
from minikubelet.agent.ports import Collaborators, NodeFacts
from minikubelet.v1 import ContainerStatus, Pod, PodStatus, from_dict, to_dict
from tests.fakes import (
    FakeHooks,
    FakeProber,
    FakePublisher,
    FakeRecorder,
    FakeRuntimeService,
    SteadyRandom,
)
from tests.unit.agent.pods import UID
from tests.virtual_time import VirtualClock, settle, until


class Story:
    def __init__(self, pod: Pod, runtime: FakeRuntimeService | None = None, **use: float) -> None:
        self.pod = pod
        self.clock = VirtualClock()
        self.runtime = runtime or FakeRuntimeService(self.clock)
        self.prober = FakeProber()
        self.recorder = FakeRecorder(self.clock)
        self.hooks = FakeHooks(self.clock)
        self.publisher = FakePublisher(self.clock)
        self.random = SteadyRandom()
        self._settings = use
        self.worker: PodWorker

    async def begin(self) -> None:
        """The worker starts; the first round is over when this returns, if no time is needed for it."""
        use = Collaborators(
            runtime=self.runtime,
            prober=self.prober,
            recorder=self.recorder,
            hooks=self.hooks,
            publisher=self.publisher,
            clock=self.clock,
            random=self.random,
            node=NodeFacts("node", ("192.0.2.1",)),
            **self._settings,
        )
        self.worker = PodWorker(self.pod, use)
        self.prober.changed = lambda uid: self.worker.probe_changed()
        self._waker = asyncio.create_task(self._wake())
        await settle()

    async def _wake(self) -> None:
        async for event in self.runtime.events():
            self.worker.wake(event)

    async def end_agent(self) -> None:
        """The agent is stopped; what runs goes on."""
        self._waker.cancel()
        await self.worker.stop()

    async def next_agent(self) -> Story:
        """Another agent on the same node, which knows only the API object and what exists."""
        await self.end_agent()
        self.pod.status = self.status
        heir = Story(from_dict(Pod, to_dict(self.pod)), self.runtime)
        await heir.begin()
        return heir

    def change_spec(self, **spec: object) -> None:
        """The API object has another spec."""
        data = to_dict(self.pod)
        data["spec"].update(spec)
        self.pod = from_dict(Pod, data)
        self.change()

    def change(self, **metadata: object) -> None:
        """The API object changed."""
        data = to_dict(self.pod)
        data["metadata"].update(metadata)
        self.pod = from_dict(Pod, data)
        self.pod.status = self.publisher.last if self.publisher.history else None
        self.worker.update(self.pod)

    def delete(self, grace: int = 30) -> None:
        """What the API server does with a DELETE (4.3)."""
        deadline = self.clock.now() + timedelta(seconds=grace)
        stamp = deadline.isoformat()
        self.change(deletionTimestamp=stamp, deletionGracePeriodSeconds=grace)

    def force_delete(self) -> None:
        self.worker.remove(self.pod)

    @property
    def now(self) -> float:
        return round(asyncio.get_running_loop().time(), 6)

    @property
    def status(self) -> PodStatus:
        return self.publisher.last

    def container(self, name: str = "web") -> ContainerStatus:
        statuses = [*(self.status.init_container_statuses or ()), *(self.status.container_statuses or ())]
        return next(one for one in statuses if one.name == name)

    def waiting(self, name: str = "web") -> str | None:
        state = self.container(name).state
        return state.waiting.reason if state and state.waiting else None

    def waiting_shown(self, name: str = "web") -> list[tuple[str | None, str | None]]:
        """Every (reason, message) a watcher saw the container wait with."""
        states = [
            one.state.waiting
            for _, status in self.publisher.history
            for one in status.container_statuses or ()
            if one.name == name and one.state
        ]
        return [(waiting.reason, waiting.message) for waiting in states if waiting]

    def condition(self, type: str) -> str | None:
        return next((c.status for c in self.status.conditions or () if c.type == type), None)

    def phases(self) -> list[str]:
        """As a watcher saw them, without repetitions."""
        seen: list[str] = []
        for _, status in self.publisher.history:
            if status.phase and seen[-1:] != [status.phase]:
                seen.append(status.phase)
        return seen

    def probe(self, name: str = "web", **results: str) -> None:
        """A probe worker stores a changed result for the running instance."""
        self.prober.set(UID, self.runtime.instance(UID, name).id, **results)

    async def until_phase(self, phase: str) -> float:
        return await until(lambda: self.publisher.history and self.status.phase == phase)

    async def until_finished(self) -> float:
        return await until(lambda: self.worker.phase is Phase.FINISHED)

    def starts(self, name: str = "web") -> list[float]:
        """When instances of the container were started."""
        return [at for at, entry in self.runtime.journal if entry.startswith(f"start {name}#")]
