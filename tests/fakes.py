"""The node in memory: a RuntimeService in virtual time, and small neighbours of the pod worker.

`FakeRuntimeService` keeps sandboxes and containers as records and lets them live by scripts: how long a
container runs, its exit code, what it does on TERM. The contract suite (tests/contract) holds it to the
promises of the real one.

    runtime = FakeRuntimeService(VirtualClock())
    runtime.script("web", Script(runs=3, exit_code=1), Script())  # crashes after 3 s, then stays
    runtime.journal  # [(0.0, "start web#0"), (3.0, "exit web#0 1"), …]
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from typing import Any

from minikubelet.agent.clock import Clock
from minikubelet.agent.ports import ContainerProbeResults, HookTarget, ProbeResults
from minikubelet.errors import (
    CreateContainerConfigError,
    CreateContainerError,
    CreatePodSandboxError,
    FailedMount,
    ImageError,
    KillContainerError,
    PortForwardError,
    ResizeError,
    RunContainerError,
)
from minikubelet.runtime.cri import (
    ContainerStats,
    ContainerStatus,
    ExecResult,
    ExecSession,
    ImageRef,
    PodCgroup,
    PodDiskUsage,
    PodLifecycleEvent,
    PodRuntimeStatus,
    PodUsage,
    PortConnection,
    SandboxStatus,
    container_hash,
)
from minikubelet.runtime.resizing import merged
from minikubelet.runtime.resources import pod_cgroup
from minikubelet.v1 import (
    Container,
    LifecycleHandler,
    Pod,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    from_dict,
    to_dict,
)
from minikubelet.v1.qos import compute_of


@dataclass(frozen=True)
class Script:
    """How one instance behaves."""

    runs: float | None = None  # seconds until it ends by itself; None: until it is stopped
    exit_code: int = 0
    reason: str = ""  # OOMKilled; empty: Completed or Error
    message: str = ""  # its termination message
    on_term: float | None = 0.0  # seconds from TERM to its end; None: it ignores TERM
    term_exit_code: int = 143
    config_error: str = ""  # what create_container or start_container fails with
    create_error: str = ""
    start_error: str = ""
    exec: Callable[[list[str]], ExecResult] | None = None


@dataclass
class _Instance:
    id: str
    uid: str
    name: str
    attempt: int
    image: ImageRef
    hash: str
    sandbox_id: str
    script: Script
    created_at: float
    state: str = "created"
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    resources: ResourceRequirements | None = None
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def status(self) -> ContainerStatus:
        return ContainerStatus(
            id=self.id,
            name=self.name,
            attempt=self.attempt,
            state=self.state,
            image=self.image.image,
            image_id=self.image.image_id,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            exit_code=self.exit_code,
            reason=self.reason,
            message=self.message,
            hash=self.hash,
            sandbox_id=self.sandbox_id,
            resources=self.resources,
        )


class FakeRuntimeService:
    """`runtime.cri.RuntimeService` in memory."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.journal: list[tuple[float, str]] = []
        self.pull_seconds = 0.0
        self.missing_images: dict[str, str] = {}  # image → why it cannot be pulled
        self.image_errors: dict[str, tuple[str, str]] = {}  # image → (reason, message): what is wrong with it
        self.sandbox_errors: list[str | Exception] = []  # each fails one run_pod_sandbox
        self.stop_errors: list[str] = []  # each fails one stop_container
        self.cleanup_seconds = 0.0  # that remove_volumes takes
        self.without_volumes: set[str] = set()  # uids of pods whose volumes were removed
        self.du_seconds = 0.0  # that disk_usage takes
        self.usages: dict[str, PodUsage] = {}  # pod uid → what its cgroup says
        self.disk_usages: dict[str, PodDiskUsage] = {}
        self.refreshed = 0  # calls of refresh_volumes
        self.refresh_errors: list[FailedMount] = []  # of every refresh_volumes
        self._scripts: dict[str, list[Script]] = {}
        self._sandboxes: dict[str, list[SandboxStatus]] = defaultdict(list)  # uid → oldest first
        self._instances: dict[str, list[_Instance]] = defaultdict(list)  # uid → oldest first
        self._events: asyncio.Queue[PodLifecycleEvent] = asyncio.Queue()
        self.resize_errors: list[str] = []  # each fails one write of resources
        self.memory_usage: dict[str, int] = {}  # container id → bytes
        self._pod_files: dict[str, dict[str, str]] = {}  # uid → what its cgroup holds
        self._numbers = count(1)

    # What a test arranges and looks at

    def script(self, name: str, *scripts: Script) -> None:
        """The instances of containers of this name, one after the other; the last one for all that follow."""
        self._scripts[name] = list(scripts)

    def running(self, uid: str) -> list[str]:
        return [one.name for one in self._instances[uid] if one.state == "running"]

    def instance(self, uid: str, name: str) -> ContainerStatus:
        """The newest."""
        return next(one.status() for one in reversed(self._instances[uid]) if one.name == name)

    def exit(self, uid: str, name: str, exit_code: int = 0, reason: str = "") -> None:
        """The running instance ends now, by itself."""
        for one in self._instances[uid]:
            if one.name == name and one.state == "running":
                self._die(one, exit_code, reason)

    def lose_sandbox(self, uid: str) -> None:
        """The shim dies, and with it everything in the pod's cgroup."""
        self._sandboxes[uid] = [_not_ready(sandbox) for sandbox in self._sandboxes[uid]]
        for one in self._instances[uid]:
            if one.state == "running":
                self._die(one, 255, "Unknown")
        self._tell(uid, "SandboxDied")

    def forget(self, uid: str) -> None:
        """A reboot: every record is gone."""
        self._sandboxes.pop(uid, None)
        self._cancel_timers(self._instances.pop(uid, []))

    def times(self, text: str) -> list[float]:
        """When the journal says this."""
        return [at for at, entry in self.journal if entry == text]

    # Sandboxes

    async def run_pod_sandbox(self, pod: Pod, attempt: int) -> SandboxStatus:
        uid = _uid(pod)
        assert pod.spec is not None
        if self.sandbox_errors:
            error = self.sandbox_errors.pop(0)
            raise error if isinstance(error, Exception) else CreatePodSandboxError(error)
        number = next(self._numbers)
        host = bool(pod.spec.host_network)
        sandbox = SandboxStatus(
            id=_hex(f"sandbox {number}"),
            attempt=attempt,
            ready=True,
            created_at=self._now(),
            ip="" if host else f"10.244.0.{1 + number}",
            host_network=host,
        )
        self._sandboxes[uid].append(sandbox)
        self._pod_files[uid] = dict(pod_cgroup(pod).files)
        self._note(f"sandbox #{attempt}")
        return sandbox

    async def refresh_volumes(self, pod: Pod) -> list[FailedMount]:
        self.refreshed += 1
        return self.refresh_errors

    async def stop_pod_sandbox(self, uid: str) -> None:
        for one in self._instances[uid]:
            if one.state == "running":
                self._die(one, 137)
        if any(sandbox.ready for sandbox in self._sandboxes[uid]):
            self._note("sandbox stopped")
        self._sandboxes[uid] = [_not_ready(sandbox) for sandbox in self._sandboxes[uid]]

    async def remove_pod_sandbox(self, uid: str) -> None:
        await self.stop_pod_sandbox(uid)
        self.forget(uid)

    async def remove_volumes(self, uid: str) -> None:
        await asyncio.sleep(self.cleanup_seconds)
        self.without_volumes.add(uid)

    async def remove_pod(self, uid: str) -> None:
        await self.remove_pod_sandbox(uid)
        self._note("pod removed")

    # Containers

    async def ensure_image(
        self, pod: Pod, container: Container, about_to_pull: Callable[[], None] | None = None
    ) -> ImageRef:
        image = container.image or ""
        if image in self.image_errors:
            raise ImageError(*self.image_errors[image])
        if image not in self.missing_images:
            return ImageRef(image, f"sha256:{_hex(image)}", size=1234)
        if container.image_pull_policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            raise ImageError("ErrImageNeverPull", text)
        if about_to_pull is not None:
            about_to_pull()
        self._note(f"pull {image}")
        await asyncio.sleep(self.pull_seconds)
        if self.missing_images[image]:
            raise ImageError("ErrImagePull", self.missing_images[image])
        del self.missing_images[image]
        return ImageRef(image, f"sha256:{_hex(image)}", 1234, pulled=True, pull_seconds=self.pull_seconds)

    async def create_container(self, pod: Pod, container: Container, attempt: int, image: ImageRef) -> str:
        uid, name = _uid(pod), container.name or ""
        script = self._next_script(name)
        if script.config_error:
            raise CreateContainerConfigError(script.config_error)
        if script.create_error:
            raise CreateContainerError(script.create_error)
        instance = _Instance(
            id=_hex(f"container {next(self._numbers)}"),
            uid=uid,
            name=name,
            attempt=attempt,
            image=image,
            hash=container_hash(container),
            sandbox_id=self._ready_sandbox(uid).id,
            script=script,
            created_at=self._now(),
            resources=compute_of(pod.spec or PodSpec(), container),
        )
        self._instances[uid].append(instance)
        return instance.id

    async def start_container(self, uid: str, container_id: str) -> None:
        one = self._find(uid, container_id)
        if one is None:
            raise RunContainerError(f"cannot start container {container_id}: no such container")
        if one.script.start_error:
            one.state, one.exit_code, one.reason = "exited", 128, "StartError"
            one.message, one.finished_at = one.script.start_error, self._now()
            one.dead.set()
            raise RunContainerError(one.script.start_error)
        one.state, one.started_at = "running", self._now()
        self._note(f"start {one.name}#{one.attempt}")
        self._tell(uid, "ContainerStarted", container_id)
        if one.script.runs is not None:
            self._later(one, one.script.runs, one.script.exit_code, one.script.reason)

    async def stop_container(self, uid: str, container_id: str, grace: float) -> None:
        one = self._find(uid, container_id)
        if one is None or one.state != "running":
            return
        if self.stop_errors:
            raise KillContainerError(self.stop_errors.pop(0))
        self._note(f"stop {one.name}#{one.attempt} {grace:g}")
        if one.script.on_term is not None:
            self._later(one, one.script.on_term, one.script.term_exit_code)
        try:
            async with asyncio.timeout(grace):
                await one.dead.wait()
        except TimeoutError:
            self._die(one, 137)

    async def remove_container(self, uid: str, container_id: str, *, keep_log: bool = False) -> None:
        one = self._find(uid, container_id)
        if one is not None:
            assert one.state != "running", f"{one.name} was to be removed while it runs"
            self._instances[uid].remove(one)
            self._note(f"remove {one.name}#{one.attempt}{' but its log' if keep_log else ''}")

    # Resources of what runs

    async def pod_cgroup(self, pod: Pod) -> PodCgroup:
        uid = _uid(pod)
        wanted = pod_cgroup(pod).files
        running = {one.id for one in self._instances[uid] if one.state == "running"}
        usage = {id: used for id, used in self.memory_usage.items() if id in running}
        return PodCgroup(
            dict(self._pod_files.setdefault(uid, dict(wanted))), wanted, sum(usage.values()), usage
        )

    async def update_pod_cgroup(self, pod: Pod, files: Collection[str]) -> None:
        self._fail_resize()
        wanted = pod_cgroup(pod).files
        for name in files:
            self._pod_files[_uid(pod)][name] = wanted[name]
            self._note(f"pod {name} {wanted[name]}")

    async def update_container_resources(
        self, pod: Pod, container: Container, container_id: str, resource: str
    ) -> None:
        self._fail_resize()
        one = self._find(_uid(pod), container_id)
        if one is None or one.state != "running":
            raise RunContainerError(f"container {container_id} is not running")
        assert pod.spec is not None
        one.resources = merged(one.resources, compute_of(pod.spec, container), resource)
        self._note(f"resize {one.name} {resource}")

    def _fail_resize(self) -> None:
        if self.resize_errors:
            raise ResizeError(self.resize_errors.pop(0))

    # Reaching into containers

    async def exec_sync(
        self, uid: str, container_id: str, command: list[str], timeout: float | None, limit: int = 10240
    ) -> ExecResult:
        one = self._find(uid, container_id)
        if one is None or one.state != "running":
            raise RunContainerError(f"cannot exec in container {container_id}: it is not running")
        if one.script.exec is None:
            return ExecResult(0, b"")
        result = one.script.exec(command)
        return replace(result, output=result.output[:limit], stderr=result.stderr[:limit])

    async def exec(
        self, uid: str, container_id: str, command: list[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        raise RunContainerError("cannot exec: the fake has no streams")

    async def attach(self, uid: str, container_id: str, *, stdin: bool) -> ExecSession:
        raise RunContainerError("cannot attach: the fake has no streams")

    async def port_forward(self, uid: str, port: int) -> PortConnection:
        raise PortForwardError("cannot forward: the fake has no network")

    # Observing

    async def pod_status(self, uid: str) -> PodRuntimeStatus:
        return PodRuntimeStatus(
            uid,
            tuple(reversed(self._sandboxes.get(uid, ()))),
            tuple(one.status() for one in reversed(self._instances.get(uid, ()))),
        )

    async def list_pods(self) -> list[str]:
        return [uid for uid in {**self._sandboxes, **self._instances} if self._sandboxes[uid]]

    async def stats(self, uid: str) -> list[ContainerStats]:
        running = [one for one in self._instances[uid] if one.state == "running"]
        return [ContainerStats(one.id, one.name, 1_000_000, 1 << 20) for one in running]

    async def pod_usage(self, uid: str) -> PodUsage | None:
        return self.usages.get(uid)

    async def disk_usage(self, uid: str, *, inodes: bool = False, limit: float | None = None) -> PodDiskUsage:
        async with asyncio.timeout(limit):
            await asyncio.sleep(self.du_seconds)
        return self.disk_usages.get(uid, PodDiskUsage())

    async def rotate_logs(self, uid: str) -> None:
        return

    async def events(self) -> AsyncIterator[PodLifecycleEvent]:
        while True:
            yield await self._events.get()

    # Within

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _note(self, text: str) -> None:
        self.journal.append((round(self.clock.monotonic(), 6), text))

    def _tell(self, uid: str, type: str, container_id: str = "") -> None:
        self._events.put_nowait(PodLifecycleEvent(uid, type, container_id))

    def _later(self, one: _Instance, delay: float, exit_code: int, reason: str = "") -> None:
        loop = asyncio.get_running_loop()
        one.timers.append(loop.call_later(delay, self._die, one, exit_code, reason))

    def _die(self, one: _Instance, exit_code: int, reason: str = "") -> None:
        if one.state != "running":
            return
        self._cancel_timers([one])
        one.state, one.exit_code, one.finished_at = "exited", exit_code, self._now()
        one.reason = reason or ("Error" if exit_code else "Completed")
        one.message = one.script.message
        one.dead.set()
        self._note(f"exit {one.name}#{one.attempt} {exit_code}")
        self._tell(one.uid, "ContainerDied", one.id)

    def _cancel_timers(self, instances: list[_Instance]) -> None:
        for one in instances:
            for timer in one.timers:
                timer.cancel()

    def _find(self, uid: str, container_id: str) -> _Instance | None:
        return next((one for one in self._instances[uid] if one.id == container_id), None)

    def _ready_sandbox(self, uid: str) -> SandboxStatus:
        for sandbox in reversed(self._sandboxes[uid]):
            if sandbox.ready:
                return sandbox
        raise CreateContainerError(f"cannot create container: pod {uid} has no sandbox")

    def _next_script(self, name: str) -> Script:
        scripts = self._scripts.get(name, [Script()])
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]


def _not_ready(sandbox: SandboxStatus) -> SandboxStatus:
    return SandboxStatus(sandbox.id, sandbox.attempt, False, sandbox.created_at, "", sandbox.host_network)


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _uid(pod: Pod) -> str:
    assert pod.metadata is not None
    return pod.metadata.uid or ""


# The worker's neighbours (minikubelet.agent.ports)


class FakeProber:
    """Stores the results a test sets, as probe workers would."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.changed: Callable[[str], None] = lambda uid: None
        self._results: dict[str, dict[str, ContainerProbeResults]] = defaultdict(dict)

    def set(self, uid: str, container_id: str, **results: Any) -> None:
        former = self._results[uid].get(container_id, ContainerProbeResults())
        kept = {kind: getattr(former, kind) for kind in ("liveness", "readiness", "startup")}
        self._results[uid][container_id] = ContainerProbeResults(**(kept | results))
        self.changed(uid)

    def add_pod(self, pod: Pod) -> None:
        if "add" not in self.calls:
            self.calls.append("add")

    def remove_pod(self, uid: str) -> None:
        self.calls.append("remove")
        self._results.pop(uid, None)

    def stop_liveness_and_startup(self, uid: str) -> None:
        self.calls.append("stop liveness and startup")

    def results(self, uid: str) -> ProbeResults:
        return dict(self._results[uid])

    def status_published(self, pod: Pod, status: PodStatus) -> None:
        return

    def probe_readiness_now(self, uid: str, container_name: str) -> None:
        self.calls.append(f"readiness of {container_name} now")


@dataclass(frozen=True)
class RecordedEvent:
    at: float
    type: str
    reason: str
    message: str
    field_path: str


class FakeRecorder:
    """Keeps Events as they come, uncounted."""

    def __init__(self, clock: Clock) -> None:
        self.events: list[RecordedEvent] = []
        self._clock = clock

    def event(self, pod: Pod, type: str, reason: str, message: str, field_path: str = "") -> None:
        at = round(self._clock.monotonic(), 6)
        self.events.append(RecordedEvent(at, type, reason, message, field_path))

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    def messages(self, reason: str) -> list[str]:
        return [event.message for event in self.events if event.reason == reason]


class FakeHooks:
    """A hook sleeps as long as its `sleep` says; `errors` maps its container to a HookError."""

    def __init__(self, clock: Clock) -> None:
        self.errors: dict[str, Exception] = {}
        self.journal: list[tuple[float, str]] = []
        self._clock = clock

    async def run(self, target: HookTarget, hook: LifecycleHandler) -> None:
        name = target.container.name or ""
        self.journal.append((round(self._clock.monotonic(), 6), name))
        if hook.sleep is not None:
            await asyncio.sleep(hook.sleep.seconds or 0)
        if name in self.errors:
            raise self.errors[name]


class FakePublisher:
    """Keeps every published status: what a watcher would have seen."""

    def __init__(self, clock: Clock) -> None:
        self.history: list[tuple[float, PodStatus]] = []
        self.is_finished = False
        self._clock = clock

    def publish(self, pod: Pod, status: PodStatus) -> None:
        copy = from_dict(PodStatus, to_dict(status))
        self.history.append((round(self._clock.monotonic(), 6), copy))

    def finished(self, pod: Pod) -> None:
        self.is_finished = True

    @property
    def last(self) -> PodStatus:
        return self.history[-1][1]


class SteadyRandom:
    """No chance: `spread` 0 takes the lower bound, 1 the upper."""

    def __init__(self, spread: float = 0.0) -> None:
        self.spread = spread

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.spread
