"""What every RuntimeService promises: one suite for the fake in virtual time and the real one on this kernel.

Unit tests of the agent believe the fake. They may, as long as both pass here. Each program is therefore
written twice: as a command for the kernel, and as a script for the fake.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.config import Paths
from minikubelet.daemon import make_directories
from minikubelet.errors import ImageError, RunContainerError, RuntimeServiceError
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.linux import cgroup
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import (
    ContainerStatus,
    ExecResult,
    PodDiskUsage,
    PodLifecycleEvent,
    PodRuntimeStatus,
    RuntimeService,
    container_hash,
)
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.network import Network
from minikubelet.runtime.preparation import NodeView, Preparation
from minikubelet.runtime.resources import qos_cgroups
from minikubelet.runtime.service import Service
from minikubelet.runtime.shim_client import ZygoteClient
from minikubelet.store.store import Store
from minikubelet.v1 import Container, Pod, from_dict, to_dict
from tests.fakes import FakeRuntimeService, Script
from tests.leaks import no_leaks
from tests.virtual_time import VirtualClock, VirtualTimeLoop

FACTOR = float(os.environ.get("MK_TEST_FACTOR", "1"))
HAIR = 0.05  # a stamp may be rounded
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Program:
    """One behaviour: what the kernel runs, and how the fake plays it."""

    shell: str
    script: Script
    command: list[str] | None = None  # instead of a shell


SUCCEEDS = Program("exit 0", Script(runs=0.01))
FAILS = Program("exit 3", Script(runs=0.01, exit_code=3))
STAYS = Program("exec sleep 1000", Script(on_term=None))  # PID 1 without a TERM handler ignores TERM
OBEYS = Program(
    "trap 'exit 7' TERM; echo ready > /dev/termination-log; while :; do sleep 0.05; done",
    Script(on_term=0.1, term_exit_code=7, message="ready\n"),
)
SPEAKS = Program("printf done > /dev/termination-log", Script(runs=0.01, message="done"))
NO_SUCH_COMMAND = Program("", Script(start_error="/no/such/command"), ["/no/such/command"])


@dataclass
class Stage:
    """One pod on one runtime."""

    runtime: RuntimeService
    events: list[PodLifecycleEvent] = field(default_factory=list)
    uid: str = ""

    def __post_init__(self) -> None:
        self.uid = f"00000000-0000-4000-8000-{os.getpid():06d}{next(_numbers):06d}"
        self.containers: list[Container] = []

    @property
    def pod(self) -> Pod:
        metadata = {"name": "contract", "namespace": "default", "uid": self.uid}
        pod = from_dict(Pod, {"metadata": metadata, "spec": {"restartPolicy": "Never"}})
        assert pod.spec is not None
        pod.spec.containers = self.containers
        return pod

    def container(self, program: Program, name: str = "web", **fields: Any) -> Container:
        command = program.command or ["sh", "-c", program.shell]
        data = {"name": name, "image": "localhost/host", "command": command, **fields}
        if isinstance(self.runtime, FakeRuntimeService):
            self.runtime.script(name, program.script)
        container = from_dict(Container, data)
        self.containers = [one for one in self.containers if one.name != name] + [container]
        return container

    async def create(self, program: Program, name: str = "web", attempt: int = 0) -> str:
        container = self.container(program, name)
        image = await self.runtime.ensure_image(self.pod, container)
        return await self.runtime.create_container(self.pod, container, attempt, image)

    async def start(self, program: Program, name: str = "web", attempt: int = 0) -> str:
        container_id = await self.create(program, name, attempt)
        await self.runtime.start_container(self.uid, container_id)
        return container_id

    async def status(self) -> PodRuntimeStatus:
        return await self.runtime.pod_status(self.uid)

    async def instance(self, container_id: str) -> ContainerStatus:
        return next(one for one in (await self.status()).containers if one.id == container_id)

    async def until_exited(self, container_id: str) -> ContainerStatus:
        async def exited() -> ContainerStatus | None:
            one = await self.instance(container_id)
            return one if one.state == "exited" else None

        return await until(exited)

    async def until_ready(self, container_id: str) -> None:
        """OBEYS has set its trap."""

        async def has_spoken() -> bool:
            look = ["sh", "-c", "test -s /dev/termination-log"]
            return (await self.runtime.exec_sync(self.uid, container_id, look, 5)).exit_code == 0

        await until(has_spoken)


async def until(check: Callable[[], Awaitable[Any]], limit: float = 10) -> Any:
    async with asyncio.timeout(limit * FACTOR):
        while not (answer := await check()):  # noqa: ASYNC110 - a state, not an event, is looked at
            await asyncio.sleep(0.01)
    return answer


@asynccontextmanager
async def fake_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    yield Stage(FakeRuntimeService(VirtualClock()))


@asynccontextmanager
async def real_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    paths = Paths.under(tmp_path)
    make_directories(paths)
    mount = cgroup.find_mount()
    cgroups = Cgroups(Path(mount), frozenset(cgroup.controllers(mount)))
    cgroups.start(qos_cgroups([], milli_cpu=1000, memory=1 << 30))  # as the node does before any pod
    zygote = ZygoteClient()
    zygote.start()
    network = Network("mkcontract", "10.244.251.0/24", paths.run / "network")
    await network.start()
    store = Store(paths.store)
    images = ImageStore(paths)
    await images.start()
    node = NodeView("node", "192.0.2.1", 1 << 30, {})
    preparation = Preparation(
        paths, images, network, ConfigObjects(store).find, KubeletConfiguration(), cgroups, node
    )
    service = Service(paths, cgroups, zygote, preparation)
    await service.start()
    stage = Stage(service)
    try:
        yield stage
    finally:
        await service.remove_pod(stage.uid)
        await service.close()
        store.close()
        await network.stop(remove=True)
        await zygote.close()
        await cgroups.stop("minikubelet")


STAGES = {"fake": (fake_stage, VirtualTimeLoop), "real": (real_stage, asyncio.new_event_loop)}

Story = Callable[[Stage], Awaitable[None]]


@pytest.fixture(params=list(STAGES))
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Runs a story on a stage that is taken down after it; the real one leaves nothing behind."""
    make_stage, make_loop = STAGES[request.param]

    async def scene(story: Story) -> None:
        async with make_stage(tmp_path) as stage:
            listener = asyncio.create_task(listen(stage))
            try:
                await story(stage)
            finally:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)

    def run(story: Story) -> None:
        with no_leaks(), asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(scene(story))

    return run


async def listen(stage: Stage) -> None:
    async for event in stage.runtime.events():
        stage.events.append(event)


def test_a_new_sandbox_is_ready_and_has_an_address(play):
    async def story(stage):
        stage.container(STAYS)
        sandbox = await stage.runtime.run_pod_sandbox(stage.pod, 0)
        assert (sandbox.ready, sandbox.attempt, sandbox.host_network) == (True, 0, False)
        assert sandbox.ip.startswith("10.244.")
        assert (await stage.status()).sandboxes == (sandbox,)
        assert stage.uid in await stage.runtime.list_pods()

    play(story)


def test_of_an_unknown_pod_nothing_exists(play):
    async def story(stage):
        assert await stage.status() == PodRuntimeStatus(stage.uid)
        assert await stage.runtime.stats(stage.uid) == []

    play(story)


def test_an_unknown_pod_uses_nothing(play):
    async def story(stage):
        assert await stage.runtime.pod_usage(stage.uid) is None
        assert await stage.runtime.disk_usage(stage.uid) == PodDiskUsage()
        assert await stage.runtime.stats(stage.uid) == []

    play(story)


def test_a_container_runs_and_exits_with_its_code(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(FAILS)
        ended = await stage.until_exited(container_id)
        assert (ended.exit_code, ended.reason, ended.name, ended.attempt) == (3, "Error", "web", 0)
        assert ended.created_at - HAIR <= ended.started_at <= ended.finished_at + HAIR
        assert len(ended.id) == 64
        assert ended.image.removesuffix(":latest") == "localhost/host", "the name as the runtime resolves it"

    play(story)


def test_exit_0_is_completed(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        ended = await stage.until_exited(await stage.start(SUCCEEDS))
        assert (ended.exit_code, ended.reason, ended.message) == (0, "Completed", "")

    play(story)


def test_a_running_container_is_known_by_sandbox_and_definition(play):
    async def story(stage):
        sandbox = await stage.runtime.run_pod_sandbox(stage.pod, 0)
        one = await stage.instance(await stage.start(STAYS))
        assert (one.state, one.exit_code, one.finished_at) == ("running", 0, 0.0)
        assert one.started_at > 0
        assert one.sandbox_id == sandbox.id
        assert one.hash == container_hash(stage.containers[0])
        assert [stats.name for stats in await stage.runtime.stats(stage.uid)] == ["web"]

    play(story)


def test_a_command_that_cannot_be_started_is_an_error_and_an_exited_instance(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.create(NO_SUCH_COMMAND)
        with pytest.raises(RunContainerError, match="/no/such/command"):
            await stage.runtime.start_container(stage.uid, container_id)
        one = await stage.instance(container_id)
        assert (one.state, one.exit_code, one.reason, one.started_at) == ("exited", 128, "StartError", 0.0)
        assert "/no/such/command" in one.message
        assert one.finished_at > 0

    play(story)


def test_stopping_gives_the_container_its_say(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(OBEYS)
        await stage.until_ready(container_id)
        began = asyncio.get_running_loop().time()
        await stage.runtime.stop_container(stage.uid, container_id, 1000)
        assert asyncio.get_running_loop().time() - began < 100
        one = await stage.instance(container_id)
        assert (one.state, one.exit_code) == ("exited", 7)

    play(story)


def test_stopping_kills_after_the_grace_period_and_not_before(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(STAYS)
        began = asyncio.get_running_loop().time()
        await stage.runtime.stop_container(stage.uid, container_id, 1)
        assert asyncio.get_running_loop().time() - began >= 1 - HAIR
        one = await stage.instance(container_id)
        assert (one.state, one.exit_code, one.reason) == ("exited", 137, "Error")

    play(story)


def test_a_second_stop_may_shorten_the_first(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(STAYS)
        patient = asyncio.create_task(stage.runtime.stop_container(stage.uid, container_id, 1000))
        await asyncio.sleep(0)
        await stage.runtime.stop_container(stage.uid, container_id, 0)
        await asyncio.wait_for(patient, 100)
        assert (await stage.instance(container_id)).exit_code == 137

    play(story)


def test_what_is_gone_already_can_be_stopped_and_removed(play):
    async def story(stage):
        for _ in range(2):
            await stage.runtime.stop_container(stage.uid, "0" * 64, 1)
            await stage.runtime.remove_container(stage.uid, "0" * 64)
            await stage.runtime.stop_pod_sandbox(stage.uid)
            await stage.runtime.remove_pod_sandbox(stage.uid)
            await stage.runtime.remove_pod(stage.uid)
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(SUCCEEDS)
        await stage.until_exited(container_id)
        await stage.runtime.stop_container(stage.uid, container_id, 1)
        for _ in range(2):
            await stage.runtime.remove_container(stage.uid, container_id)
        assert (await stage.status()).containers == ()

    play(story)


def test_an_exit_is_an_event(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(FAILS)

        async def told():
            return PodLifecycleEvent(stage.uid, "ContainerDied", container_id) in stage.events

        await until(told)
        assert (await stage.instance(container_id)).state == "exited", "state first, then the event"

    play(story)


def test_instances_come_newest_first(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        first = await stage.start(FAILS, attempt=0)
        await stage.until_exited(first)
        second = await stage.start(STAYS, attempt=1)
        found = (await stage.status()).instances("web")
        assert [(one.id, one.attempt, one.state) for one in found] == [
            (second, 1, "running"),
            (first, 0, "exited"),
        ]

    play(story)


def test_stopping_a_sandbox_ends_everything_and_keeps_the_records(play):
    async def story(stage):
        stage.container(STAYS, "a")
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        a, b = await stage.start(STAYS, "a"), await stage.start(FAILS, "b")
        await stage.until_exited(b)
        await stage.runtime.stop_pod_sandbox(stage.uid)
        status = await stage.status()
        assert [(sandbox.ready, sandbox.ip) for sandbox in status.sandboxes] == [(False, "")]
        assert {one.id: (one.state, one.exit_code) for one in status.containers} == {
            a: ("exited", 137),
            b: ("exited", 3),
        }

    play(story)


def test_a_second_sandbox_keeps_the_records_of_the_first(play):
    async def story(stage):
        first = await stage.runtime.run_pod_sandbox(stage.pod, 0)
        old = await stage.start(FAILS)
        await stage.until_exited(old)
        await stage.runtime.stop_pod_sandbox(stage.uid)
        second = await stage.runtime.run_pod_sandbox(stage.pod, 1)
        new = await stage.start(STAYS, attempt=1)
        status = await stage.status()
        assert [(sandbox.attempt, sandbox.ready) for sandbox in status.sandboxes] == [(1, True), (0, False)]
        assert [(one.id, one.sandbox_id) for one in status.containers] == [(new, second.id), (old, first.id)]

    play(story)


def test_removing_leaves_nothing(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        await stage.start(STAYS)
        await stage.runtime.remove_pod(stage.uid)
        assert await stage.status() == PodRuntimeStatus(stage.uid)
        assert stage.uid not in await stage.runtime.list_pods()

    play(story)


def test_the_termination_message_is_in_the_record(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        assert (await stage.until_exited(await stage.start(SPEAKS))).message == "done"

    play(story)


def test_exec_sync_returns_exit_code_and_output(play):
    async def story(stage):
        answer = Script(on_term=None, exec=lambda command: ExecResult(4, b"outerr", stderr=b"err"))
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(Program(STAYS.shell, answer))
        command = ["sh", "-c", "printf err >&2; printf out; exit 4"]
        result = await stage.runtime.exec_sync(stage.uid, container_id, command, 10 * FACTOR)
        assert (result.exit_code, result.output, result.timed_out) == (4, b"outerr", False)
        assert result.stderr == b"err"
        result = await stage.runtime.exec_sync(stage.uid, container_id, command, 10 * FACTOR, limit=2)
        assert (result.output, result.stderr) == (b"ou", b"er")

    play(story)


def test_exec_in_a_container_that_does_not_run_is_an_error(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        container_id = await stage.start(SUCCEEDS)
        await stage.until_exited(container_id)
        with pytest.raises(RunContainerError):
            await stage.runtime.exec_sync(stage.uid, container_id, ["true"], 1)

    play(story)


def test_the_node_itself_is_an_image_that_is_never_pulled(play):
    async def story(stage):
        container = stage.container(SUCCEEDS, imagePullPolicy="Always")
        image = await stage.runtime.ensure_image(stage.pod, container, lambda: pytest.fail("pulled"))
        assert image.image.startswith("localhost/host")
        assert not image.pulled
        assert image.image_id

    play(story)


def test_an_absent_image_that_may_not_be_pulled_is_an_error(play):
    async def story(stage):
        image = "localhost/absent:1"
        if isinstance(stage.runtime, FakeRuntimeService):
            stage.runtime.missing_images[image] = "unused"
        container = stage.container(SUCCEEDS, image=image, imagePullPolicy="Never")
        with pytest.raises(ImageError) as raised:
            await stage.runtime.ensure_image(stage.pod, container)
        assert raised.value.reason == "ErrImageNeverPull"
        assert str(raised.value) == f'Container image "{image}" is not present with pull policy of Never'

    play(story)


def test_an_absent_image_is_pulled_unless_the_caller_forbids_it(play):
    async def story(stage):
        image = "localhost/absent:1"
        if isinstance(stage.runtime, FakeRuntimeService):
            stage.runtime.missing_images[image] = "no such image"
        container = stage.container(SUCCEEDS, image=image)
        told = []
        with pytest.raises(ImageError) as raised:
            await stage.runtime.ensure_image(stage.pod, container, lambda: told.append("pulling"))
        assert (raised.value.reason, told) == ("ErrImagePull", ["pulling"])

        def refuse():
            raise ImageError("ImagePullBackOff", "not now")

        with pytest.raises(ImageError, match="not now"):
            await stage.runtime.ensure_image(stage.pod, container, refuse)

    play(story)


SIZED = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
GROWN = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "400m", "memory": "128Mi"}}


@pytest.mark.limits
def test_resources_of_what_runs_are_replaced_one_by_one(play):
    async def story(stage):
        container = stage.container(STAYS, resources=SIZED)
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        image = await stage.runtime.ensure_image(stage.pod, container)
        container_id = await stage.runtime.create_container(stage.pod, container, 0, image)
        await stage.runtime.start_container(stage.uid, container_id)
        assert to_dict((await stage.instance(container_id)).resources) == SIZED
        before = await stage.runtime.pod_cgroup(stage.pod)
        assert before.files == before.wanted
        assert set(before.files) == {"cpu.weight", "cpu.max", "memory.max"}

        grown = stage.container(STAYS, resources=GROWN)
        await stage.runtime.update_container_resources(stage.pod, grown, container_id, "memory")
        limits = {"cpu": "200m", "memory": "128Mi"}
        assert (await stage.instance(container_id)).resources.limits == limits
        await stage.runtime.update_container_resources(stage.pod, grown, container_id, "cpu")
        assert to_dict((await stage.instance(container_id)).resources) == GROWN
        assert (await stage.runtime.pod_cgroup(stage.pod)).files == before.files
        await stage.runtime.update_pod_cgroup(stage.pod, ["cpu.max", "memory.max"])
        after = await stage.runtime.pod_cgroup(stage.pod)
        assert after.files == after.wanted != before.files

    play(story)


def test_resources_of_what_does_not_run_are_not_replaced(play):
    async def story(stage):
        await stage.runtime.run_pod_sandbox(stage.pod, 0)
        ended = await stage.until_exited(await stage.start(SUCCEEDS))
        with pytest.raises(RunContainerError, match="is not running"):
            await stage.runtime.update_container_resources(stage.pod, stage.containers[0], ended.id, "cpu")

    play(story)


def test_of_a_container_whose_shim_died_before_it_began_nothing_is_kept(tmp_path):
    """No record tells of it, so nobody would come back for its layers."""

    async def story():
        async with real_stage(tmp_path) as stage:
            stage.container(STAYS)
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            container_id = await stage.create(STAYS)
            layers = Paths.under(tmp_path).container(container_id)
            assert layers.is_dir()
            state = json.loads((Paths.under(tmp_path).sandbox(stage.uid) / "0/state.json").read_text())
            os.kill(state["pid"], signal.SIGKILL)
            with pytest.raises(RuntimeServiceError):
                await stage.runtime.start_container(stage.uid, container_id)
            assert not layers.exists()

    with no_leaks():
        asyncio.run(story())


def test_a_cgroup_that_was_busy_is_removed_when_the_pod_is_removed_again(tmp_path):
    """What was killed may need longer for its end than anybody waits for it; then the worker comes back."""

    async def story():
        async with real_stage(tmp_path) as stage:
            stage.container(STAYS)
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            busy = Path(cgroup.find_mount(), "kubepods/besteffort", f"pod{stage.uid}", "busy")
            busy.mkdir()
            lingering = await asyncio.create_subprocess_exec("sleep", "infinity")
            try:
                (busy / "cgroup.procs").write_text(str(lingering.pid))
                with pytest.raises(OSError, match="processes in it do not end"):
                    await stage.runtime.remove_pod(stage.uid)
            finally:
                lingering.kill()
                await lingering.wait()
            await stage.runtime.remove_pod(stage.uid)
            assert not busy.parent.exists()

    with no_leaks():
        asyncio.run(story())
