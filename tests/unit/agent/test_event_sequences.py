"""Every Event of a pod's life, whole and in order: kubelet-behaviour 12.2, story by story.

Worker, prober, hooks and recorder are the real ones; only the node below is a fake. A line is what a watcher
of Events gets: an Event that happened again comes again, with its count.
"""

import asyncio
from dataclasses import dataclass, field

import pytest

from minikubelet.agent.events import EventRecorder
from minikubelet.agent.hooks import Hooks
from minikubelet.agent.prober import ProbeContext, ProbeManager
from minikubelet.errors import CreatePodCgroupError, CreatePodSandboxError, FailedMount
from minikubelet.runtime.cri import ExecResult
from tests.fakes import Script, SteadyRandom
from tests.unit.agent.pods import UID, make_pod, sidecar
from tests.unit.agent.story import Story
from tests.virtual_time import in_virtual_time

HOST = "localhost/host"
SICK = Script(exec=lambda command: ExecResult(1, b"sick\n", stderr=b"sick\n"))
CRASH = Script(runs=0, exit_code=1)
PROBE = {"exec": {"command": ["look"]}, "periodSeconds": 1, "failureThreshold": 2}
HOOK = {"exec": {"command": ["hook"]}}
WHO = "web_default(7d1f)"


class EventStory(Story):
    """With the real neighbours, and what they said."""

    def __init__(self, pod):
        super().__init__(pod)
        self.lines = []
        self.recorder = EventRecorder(self._store, self.clock, "node")
        self.hooks = Hooks(self.runtime, self.recorder)
        self.prober = ProbeManager(
            ProbeContext(
                self.runtime,
                self.recorder,
                self.clock,
                SteadyRandom(),
                lambda uid: self.worker.probe_changed(),
            )
        )

    def _store(self, event):
        count = f" x{event.count}" if event.count > 1 else ""
        where = (event.involved_object.field_path or "").removeprefix("spec.")
        self.lines.append(f"{event.type[0]} {event.reason}{count} {where}: {event.message}")
        assert (event.source.component, event.source.host) == ("kubelet", "node")


def pulled(where, image=HOST, again=""):
    text = f'Container image "{image}" already present on machine and can be accessed by the pod'
    return f"N Pulled{again} {where}: {text}"


def created(where, again=""):
    return [pulled(where, again=again), f"N Created{again} {where}: Container created"]


def started(where, again=""):
    return [*created(where, again), f"N Started{again} {where}: Container started"]


WEB = "containers{web}"
BACK_OFF = f"W BackOff {WEB}: Back-off restarting failed container web in pod {WHO}"
STOPPING = f"N Killing {WEB}: Stopping container web"


@dataclass
class Case:
    expected: list
    pod: object = field(default_factory=lambda: make_pod("web"))
    scripts: dict = field(default_factory=dict)  # container → its instances
    missing: dict = field(default_factory=dict)  # image → why it cannot be pulled
    broken: dict = field(default_factory=dict)  # image → (reason, message)
    seconds: float = 5
    delete_at: float | None = None


def web(**fields):
    return make_pod({"name": "web", **fields})


CASES = {
    "normal, with a pull": Case(
        pod=web(image="app:1"),
        missing={"app:1": ""},
        expected=[
            f'N Pulling {WEB}: Pulling image "app:1"',
            f'N Pulled {WEB}: Successfully pulled image "app:1" in 1.2s (1.2s including waiting). '
            "Image size: 1234 bytes.",
            f"N Created {WEB}: Container created",
            f"N Started {WEB}: Container started",
        ],
    ),
    "image present": Case(expected=started(WEB)),
    "init containers, a sidecar among them": Case(
        pod=make_pod("web", init=["one", sidecar("proxy"), "two"]),
        scripts={"one": [Script(runs=1)], "two": [Script(runs=1)]},
        expected=[
            *started("initContainers{one}"),
            *started("initContainers{proxy}"),
            *started("initContainers{two}"),
            *started(WEB),
        ],
    ),
    "failing pull": Case(
        pod=web(image="app:1"),
        missing={"app:1": "no such host"},
        seconds=15,
        expected=[
            f'N Pulling {WEB}: Pulling image "app:1"',
            f'W Failed {WEB}: Failed to pull image "app:1": no such host',
            f"W Failed {WEB}: Error: ErrImagePull",
            f'N BackOff {WEB}: Back-off pulling image "app:1"',
            f"W Failed {WEB}: Error: ImagePullBackOff",
            f'N Pulling x2 {WEB}: Pulling image "app:1"',
            f'W Failed x2 {WEB}: Failed to pull image "app:1": no such host',
            f"W Failed x2 {WEB}: Error: ErrImagePull",
        ],
    ),
    "policy Never, absent": Case(
        pod=web(image="app:1", imagePullPolicy="Never"),
        missing={"app:1": "unused"},
        seconds=0.5,
        expected=[
            f'W ErrImageNeverPull {WEB}: Container image "app:1" is not present with pull policy of Never',
            f"W Failed {WEB}: Error: ErrImageNeverPull",
        ],
    ),
    "bad image name": Case(
        pod=web(image="a:b:c"),
        broken={"a:b:c": ("InvalidImageName", 'Failed to apply default image tag "a:b:c": E')},
        seconds=0.5,
        expected=[
            f'W InspectFailed {WEB}: Failed to apply default image tag "a:b:c": E',
            f"W Failed {WEB}: Error: InvalidImageName",
        ],
    ),
    "bad config": Case(
        scripts={"web": [Script(config_error='configmap "x" not found')]},
        seconds=0.5,
        expected=[pulled(WEB), f'W Failed {WEB}: Error: configmap "x" not found'],
    ),
    "start failure": Case(
        scripts={"web": [Script(start_error='exec: "x": not found')]},
        expected=[
            *created(WEB),
            f'W Failed {WEB}: Error: exec: "x": not found',
            *created(WEB, again=" x2"),
            f'W Failed x2 {WEB}: Error: exec: "x": not found',
            BACK_OFF,
        ],
    ),
    "crash loop": Case(
        scripts={"web": [CRASH]},
        seconds=11,
        expected=[
            *started(WEB),
            *started(WEB, again=" x2"),
            BACK_OFF,
            *started(WEB, again=" x3"),
            BACK_OFF.replace("BackOff", "BackOff x2", 1),
        ],
    ),
    "liveness failing": Case(
        pod=web(livenessProbe=PROBE),
        scripts={"web": [SICK, Script()]},
        expected=[
            *started(WEB),
            f"W Unhealthy {WEB}: Liveness probe failed: sick\n",
            f"W Unhealthy x2 {WEB}: Liveness probe failed: sick\n",
            f"N Killing {WEB}: Container web failed liveness probe, will be restarted",
            *started(WEB, again=" x2"),
        ],
    ),
    "liveness of a sidecar failing": Case(
        pod=make_pod("web", init=[sidecar("proxy", livenessProbe=PROBE | {"initialDelaySeconds": 1})]),
        scripts={"proxy": [SICK, Script()]},
        expected=[
            *started("initContainers{proxy}"),
            *started(WEB),
            "W Unhealthy initContainers{proxy}: Liveness probe failed: sick\n",
            "W Unhealthy x2 initContainers{proxy}: Liveness probe failed: sick\n",
            "N Killing initContainers{proxy}: Init container proxy failed liveness probe",
            *started("initContainers{proxy}", again=" x2"),
        ],
    ),
    "readiness failing": Case(
        pod=web(readinessProbe=PROBE | {"periodSeconds": 10}),
        scripts={"web": [SICK]},
        seconds=15,
        expected=[
            *started(WEB),
            f"W Unhealthy {WEB}: Readiness probe failed: sick\n",
            f"W Unhealthy x2 {WEB}: Readiness probe failed: sick\n",
            f"W Unhealthy x3 {WEB}: Readiness probe failed: sick\n",
        ],
    ),
    "startup failing": Case(
        pod=web(startupProbe=PROBE),
        scripts={"web": [SICK, Script()]},
        expected=[
            *started(WEB),
            f"W Unhealthy {WEB}: Startup probe failed: sick\n",
            f"W Unhealthy x2 {WEB}: Startup probe failed: sick\n",
            f"N Killing {WEB}: Container web failed startup probe, will be restarted",
            *started(WEB, again=" x2"),
        ],
    ),
    "postStart failing": Case(
        pod=web(lifecycle={"postStart": HOOK}),
        scripts={"web": [SICK]},
        expected=[
            *started(WEB),
            f"W FailedPostStartHook {WEB}: PostStartHook failed",
            f"N Killing {WEB}: FailedPostStartHook",
            *started(WEB, again=" x2"),
            f"W FailedPostStartHook x2 {WEB}: PostStartHook failed",
            f"N Killing x2 {WEB}: FailedPostStartHook",
            BACK_OFF,
        ],
    ),
    "preStop failing": Case(
        pod=web(lifecycle={"preStop": HOOK}),
        scripts={"web": [SICK]},
        delete_at=1,
        expected=[*started(WEB), STOPPING, f"W FailedPreStopHook {WEB}: PreStopHook failed"],
    ),
    "OOM of a container": Case(
        scripts={"web": [Script(runs=1, exit_code=137, reason="OOMKilled")] * 2},
        seconds=2.5,
        expected=[*started(WEB), *started(WEB, again=" x2"), BACK_OFF],
    ),
    "deletion": Case(
        pod=make_pod("web", "b"),
        delete_at=1,
        expected=[
            *started(WEB),
            *started("containers{b}"),
            "N Killing containers{b}: Stopping container b",  # all at once, the newest is named first
            STOPPING,
        ],
    ),
    "natural completion": Case(
        pod=make_pod("web", policy="Never"), scripts={"web": [Script(runs=1)]}, expected=started(WEB)
    ),
    "natural completion with sidecars": Case(
        pod=make_pod("web", init=[sidecar("one"), sidecar("two")], policy="Never"),
        scripts={"web": [Script(runs=1)]},
        expected=[
            *started("initContainers{one}"),
            *started("initContainers{two}"),
            *started(WEB),
            "N Killing initContainers{two}: Stopping container two",
            "N Killing initContainers{one}: Stopping container one",
        ],
    ),
    "deadline": Case(
        pod=make_pod("web", activeDeadlineSeconds=2),
        expected=[
            *started(WEB),
            "N DeadlineExceeded : Pod was active on the node longer than the specified deadline",
            STOPPING,
        ],
    ),
    "a rule restarts all containers": Case(
        pod=make_pod(
            {
                "name": "web",
                "restartPolicy": "Never",
                "restartPolicyRules": [
                    {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
                ],
            },
            "b",
        ),
        scripts={"web": [Script(runs=1, exit_code=42), Script()]},
        expected=[
            *started(WEB),
            *started("containers{b}"),
            "N Killing containers{b}: killing",
            *started(WEB, again=" x2"),
            *started("containers{b}", again=" x2"),
        ],
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
@in_virtual_time
async def test_the_whole_sequence_12_2(case):
    story = EventStory(case.pod)
    story.runtime.pull_seconds = 1.2
    story.runtime.missing_images.update(case.missing)
    story.runtime.image_errors.update(case.broken)
    for name, scripts in case.scripts.items():
        story.runtime.script(name, *scripts)
    await story.begin()
    if case.delete_at is not None:
        await asyncio.sleep(case.delete_at)
        story.delete()
    await asyncio.sleep(case.seconds)
    await story.end_agent()
    await story.prober.close()
    assert story.lines == case.expected


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(
            CreatePodSandboxError("no address left"),
            "W FailedCreatePodSandBox : Failed to create pod sandbox: no address left",
            id="sandbox",
        ),
        pytest.param(
            CreatePodCgroupError("no space left"),
            "W FailedCreatePodContainer : unable to ensure pod container exists: no space left",
            id="the cgroup of the pod",
        ),
        pytest.param(
            FailedMount('MountVolume.SetUp failed for volume "v" : no'),
            'W FailedMount : MountVolume.SetUp failed for volume "v" : no',
            id="a volume",
        ),
    ],
)
@in_virtual_time
async def test_a_pod_that_cannot_begin_says_why_and_begins_later_12_3(error, line):
    story = EventStory(make_pod("web"))
    story.runtime.sandbox_errors = [error]
    await story.begin()
    await asyncio.sleep(12)
    await story.end_agent()
    assert story.lines == [line, *started(WEB)]


@in_virtual_time
async def test_volumes_that_cannot_be_mounted_are_tried_again_ever_more_seldom_10_9():
    story = EventStory(make_pod("web"))
    story.runtime.sandbox_errors = [FailedMount("no")] * 4
    await story.begin()
    await asyncio.sleep(7)  # the tries: now, and after 0.5, 1, 2, 4 seconds more
    assert not any("Started" in line for line in story.lines)
    await asyncio.sleep(1)
    await story.end_agent()
    assert story.lines[-3:] == started(WEB)


@in_virtual_time
async def test_a_lost_sandbox_and_a_failed_kill_12_3():
    story = EventStory(make_pod("web"))
    await story.begin()
    story.runtime.lose_sandbox(UID)
    await asyncio.sleep(1)
    story.runtime.stop_errors = ["shim does not answer"]
    story.delete()
    await asyncio.sleep(12)
    await story.end_agent()
    assert story.lines == [
        *started(WEB),
        "N SandboxChanged : Pod sandbox changed, it will be killed and re-created.",
        *started(WEB, again=" x2"),
        STOPPING,
        "W FailedKillPod : error killing pod: shim does not answer",
        STOPPING.replace("Killing", "Killing x2"),
    ]
