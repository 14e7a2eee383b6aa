"""The stories of kubelet-behaviour 12.2 as data: a pod each, and what must be seen of it.

Lines are written as `recorder` writes them. `…` in an expected line stands for any text; a `*` at its
beginning for once or more, where the kubelet repeats something until it changes. A gap is between the first
(`#n`: the n-th) lines that begin with the given words, in seconds: only such as the agent answers for, not
how long a container takes to do its own work. What is listed is what the table says, not
what was once seen here; where a section says why, it is named beside the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import FACTOR, simple_pod


@dataclass(frozen=True)
class Gap:
    """From one line to another: not before `least` and not after `most` seconds."""

    first: str
    then: str
    least: float
    most: float


@dataclass(frozen=True)
class Story:
    """A pod and what must be seen of it.

    `deleted_at`: the state in which the test deletes it. `ends`: nothing else may be seen afterwards.
    """

    name: str
    pod: dict[str, Any]
    states: Sequence[str]
    events: Sequence[str]
    gaps: Sequence[Gap] = ()
    deleted_at: str = ""
    ends: bool = False
    marks: Sequence[pytest.MarkDecorator] = ()


# The words the stories are written in


def begin(name: str, container: str = "main") -> list[str]:
    """A pod is bound to the node, and its first container starts from an image that is there."""
    return [f"Normal Scheduled Successfully assigned default/{name} to node1", *start(container)]


def start(container: str = "main") -> list[str]:
    image = 'Container image "localhost/host" already present on machine and can be accessed by the pod'
    return [
        f"Normal Pulled {container}: {image}",
        f"Normal Created {container}: Container created",
        f"Normal Started {container}: Container started",
    ]


def back_off(name: str, container: str = "main") -> str:
    text = f"Back-off restarting failed container {container} in pod {name}_default(…)"
    return f"*Warning BackOff {container}: {text}"


def pod(name: str, text: str, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return simple_pod(name, "sh", "-c", text, container=container or {}, **spec)


def init(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "localhost/host", "command": ["sh", "-c", text], **more}


def failing_probe(failures: int, path: str = "/run/never-there") -> dict[str, Any]:
    """Is the file there? Asked once a second, with all the time it wants."""
    every_second = {"periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": failures}
    return {"exec": {"command": ["test", "-e", path]}, **every_second}


# Long enough that the agent has told that it runs, however slow it is.
LIFE = f"sleep {FACTOR:g}"
IDLE = "touch /run/trapped; sleep infinity & wait"
OBEDIENT = f"trap 'exit 0' TERM; {IDLE}"
STUBBORN = f"trap '' TERM; {IDLE}"
# Nobody sees a container running before its postStart has ended: so not before its trap is set.
TRAPPED = "until test -e /run/trapped; do sleep 0.1; done"
WAIT = {"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", TRAPPED]}}}}
MISSING = "localhost/absent:1"
NO_PULL = f'Container image "{MISSING}" is not present with pull policy of Never'
BAD_NAME = (
    'Failed to apply default image tag "library/Foo": couldn\'t parse image name "library/Foo": '
    "invalid reference format: repository name (library/Foo) must be lowercase"
)
NEW = ["Pending", "Pending main=ContainerCreating"]
NEW_WITH_INIT = "Pending i1=PodInitializing main=PodInitializing"
PULL_FAILS = [
    f'Normal Pulling main: Pulling image "{MISSING}"',
    f'Warning Failed main: Failed to pull image "{MISSING}": …',
    "Warning Failed main: Error: ErrImagePull",
]
PULL_WAITS = [
    f'Normal BackOff main: Back-off pulling image "{MISSING}"',
    "Warning Failed main: Error: ImagePullBackOff",
]
POST_START_FAILS = [
    "Warning FailedPostStartHook main: PostStartHook failed",
    "Normal Killing main: FailedPostStartHook",
]
UNHEALTHY = "Warning Unhealthy main: {} probe failed: "
PROBE_KILLS = "Normal Killing main: Container main failed {} probe, will be restarted"
STOPPING = "Normal Killing main: Stopping container main"

# A pause of N seconds is drawn out by a random part of up to a half, and the queue is read once a second
# (14.2).
JITTER = 1.5
QUEUE = 1.0

STORIES = [
    Story(
        "deleted",
        pod("deleted", OBEDIENT, WAIT),
        deleted_at="Running main=ready",
        # Always, and all exits are 0: Succeeded, seen by watchers only (1.2 row 6).
        states=[
            *NEW,
            "Running main=ready",
            "deleting Running main=ready",
            "deleting Succeeded main=Completed/0",
            "gone",
        ],
        events=[*begin("deleted"), STOPPING],
        gaps=[Gap(STOPPING, "gone", 0, 3)],
        ends=True,
    ),
    Story(
        "stubborn",
        pod("stubborn", STUBBORN, WAIT, terminationGracePeriodSeconds=3),
        deleted_at="Running main=ready",
        states=[
            *NEW,
            "Running main=ready",
            "deleting Running main=ready",
            "deleting Failed main=Error/137",
            "gone",
        ],
        events=[*begin("stubborn"), STOPPING],
        gaps=[Gap(STOPPING, "deleting Failed", 3, 5)],
        ends=True,
    ),
    Story(
        "pre-stop-fails",
        pod(
            "pre-stop-fails",
            OBEDIENT,
            {"lifecycle": WAIT["lifecycle"] | {"preStop": {"exec": {"command": ["sh", "-c", "exit 1"]}}}},
            terminationGracePeriodSeconds=60,
        ),
        deleted_at="Running main=ready",
        states=[
            *NEW,
            "Running main=ready",
            "deleting Running main=ready",
            "deleting Succeeded main=Completed/0",
            "gone",
        ],
        events=[
            *begin("pre-stop-fails"),
            STOPPING,
            "Warning FailedPreStopHook main: PreStopHook failed",
        ],
        gaps=[Gap(STOPPING, "gone", 0, 3)],
        ends=True,
    ),
    Story(
        "pre-stop-counts",  # 4.5: the hook's time is taken from the grace period
        pod(
            "pre-stop-counts",
            STUBBORN,
            {"lifecycle": WAIT["lifecycle"] | {"preStop": {"sleep": {"seconds": 2}}}},
            terminationGracePeriodSeconds=5,
        ),
        deleted_at="Running main=ready",
        states=[
            *NEW,
            "Running main=ready",
            "deleting Running main=ready",
            "deleting Failed main=Error/137",
            "gone",
        ],
        events=[*begin("pre-stop-counts"), STOPPING],
        gaps=[Gap(STOPPING, "deleting Failed", 5, 7)],
        ends=True,
    ),
    Story(
        "natural-end",
        pod("natural-end", LIFE, restartPolicy="Never"),
        states=[*NEW, "Running main=ready", "Running main=Completed/0", "Succeeded main=Completed/0"],
        events=begin("natural-end"),  # and no Killing
        ends=True,
    ),
    Story(
        "init-containers",
        pod("init-containers", OBEDIENT, initContainers=[init("i1", LIFE), init("i2", LIFE)]),
        states=[
            "Pending",
            "Pending i1=PodInitializing i2=PodInitializing main=PodInitializing",
            "Pending i1=started i2=PodInitializing main=PodInitializing",
            "Pending i1=Completed/0 i2=PodInitializing main=PodInitializing",
            "Pending i1=Completed/0 i2=started main=PodInitializing",
            "Pending i1=Completed/0 i2=Completed/0 main=PodInitializing",
            "Running i1=Completed/0 i2=Completed/0 main=ready",
        ],
        events=[*begin("init-containers", "i1"), *start("i2"), *start("main")],
        gaps=[Gap("Pending i1=Completed/0 i2=PodInit", "Pending i1=Completed/0 i2=started", 0, 2)],
    ),
    Story(
        "init-fails",
        pod("init-fails", OBEDIENT, initContainers=[init("i1", f"{LIFE}; exit 3")], restartPolicy="Never"),
        states=[
            "Pending",
            NEW_WITH_INIT,
            "Pending i1=started main=PodInitializing",
            "Pending i1=Error/3 main=PodInitializing",
            "Failed i1=Error/3 main=PodInitializing",
        ],
        events=begin("init-fails", "i1"),
        ends=True,
    ),
    Story(
        "init-retried",
        pod("init-retried", OBEDIENT, initContainers=[init("i1", f"{LIFE}; exit 3")]),
        states=[
            "Pending",
            NEW_WITH_INIT,
            "Pending i1=started main=PodInitializing",
            "Pending i1=Error/3 main=PodInitializing",
            "Pending i1=started ×1 last=Error/3 main=PodInitializing",
            "Pending i1=Error/3 ×1 last=Error/3 main=PodInitializing",
            "Pending i1=CrashLoopBackOff ×1 last=Error/3 main=PodInitializing",
            "Pending i1=started ×2 last=Error/3 main=PodInitializing",
        ],
        events=[
            *begin("init-retried", "i1"),
            *start("i1"),
            back_off("init-retried", "i1"),
            *start("i1"),
        ],
        gaps=[
            Gap("Pending i1=Error/3 main", "Pending i1=started ×1", 0, 2),
            Gap("Pending i1=Error/3 ×1", "Pending i1=started ×2", 10, 10 * JITTER + QUEUE),
        ],
    ),
    Story(
        "sidecar",
        pod(
            "sidecar",
            LIFE,
            restartPolicy="Never",
            initContainers=[
                init(
                    "proxy",
                    OBEDIENT,
                    restartPolicy="Always",
                    startupProbe=failing_probe(30, "/proc/self"),
                    **WAIT,
                )
            ],
        ),
        states=[
            "Pending",
            "Pending proxy=PodInitializing main=PodInitializing",
            "Pending proxy=running main=PodInitializing",
            "Pending proxy=ready main=PodInitializing",
            "Running proxy=ready main=ready",
            "Running proxy=ready main=Completed/0",
            "Running proxy=Completed/0 main=Completed/0",
            "Succeeded proxy=Completed/0 main=Completed/0",
        ],
        events=[
            *begin("sidecar", "proxy"),
            *start("main"),
            "Normal Killing proxy: Stopping container proxy",
        ],
        ends=True,
    ),
    Story(
        "deadline",
        pod("deadline", OBEDIENT, WAIT, activeDeadlineSeconds=30),
        states=[*NEW, "Running main=ready", "Failed DeadlineExceeded main=Completed/0"],
        events=[
            *begin("deadline"),
            "*Normal DeadlineExceeded Pod was active on the node longer than the specified deadline",
            STOPPING,
        ],
        # startTime has whole seconds, so up to one is lost; the deadline is looked at once a second (4.7).
        gaps=[Gap("Pending main=ContainerCreating", "Normal DeadlineExceeded", 29, 31)],
        ends=True,
    ),
    Story(
        "oom",
        pod(
            "oom",
            f"{LIFE}; exec tail /dev/zero",
            {"resources": {"limits": {"memory": "32Mi"}}},
        ),
        states=[
            *NEW,
            "Running main=ready",
            "Running main=OOMKilled/137",
            "Running main=ready ×1 last=OOMKilled/137",
            "Running main=OOMKilled/137 ×1 last=OOMKilled/137",
            "Running main=CrashLoopBackOff ×1 last=OOMKilled/137",
        ],
        events=[*begin("oom"), *start(), back_off("oom")],  # no Event of the kill itself
        marks=[pytest.mark.limits],
    ),
    Story(
        "liveness",
        pod(
            "liveness",
            f"trap 'exit 143' TERM; touch /run/alive /run/trapped; sleep 3; rm /run/alive; {IDLE}",
            {"livenessProbe": failing_probe(2, "/run/alive"), **WAIT},
        ),
        states=[
            *NEW,
            "Running main=ready",
            "Running main=ready ×1 last=Error/143",
            "Running main=ready ×2 last=Error/143",
            "Running main=CrashLoopBackOff ×2 last=Error/143",
        ],
        # Killed and started in one sync; the first two restarts come without a back-off (2.2).
        events=[
            *begin("liveness"),
            *2 * [UNHEALTHY.format("Liveness")],
            PROBE_KILLS.format("liveness"),
            *start(),
            *2 * [UNHEALTHY.format("Liveness")],
            PROBE_KILLS.format("liveness"),
            *start(),
            *2 * [UNHEALTHY.format("Liveness")],
            PROBE_KILLS.format("liveness"),
            back_off("liveness"),
        ],
        gaps=[
            Gap("Warning Unhealthy", "Warning Unhealthy #2", 1, 1),
            Gap("Warning Unhealthy #2", "Normal Killing", 0, 0),
            Gap("Normal Killing", "Normal Started #2", 0, 2),
            Gap("Normal Killing #2", "Normal Started #3", 0, 2),
        ],
    ),
    Story(
        "startup",
        pod("startup", f"trap 'exit 143' TERM; {IDLE}", {"startupProbe": failing_probe(3), **WAIT}),
        states=[
            *NEW,
            "Running main=running",
            "Running main=running ×1 last=Error/143",
        ],
        events=[
            *begin("startup"),
            *3 * [UNHEALTHY.format("Startup")],
            PROBE_KILLS.format("startup"),
            *start(),
        ],
        gaps=[
            Gap("Warning Unhealthy", "Normal Killing", 2, 2),
            Gap("Normal Killing", "Normal Started #2", 0, 2),
        ],
    ),
    Story(
        "readiness",
        pod(
            "readiness",
            f"sleep 2; touch /run/ready; sleep 4; rm /run/ready; {OBEDIENT}",
            {"readinessProbe": failing_probe(2, "/run/ready")},
        ),
        states=[*NEW, "Running main=started", "Running main=ready", "Running main=started"],
        events=[*begin("readiness"), "*" + UNHEALTHY.format("Readiness")],  # and nothing else
        ends=True,
    ),
    Story(
        "crash-loop",
        pod("crash-loop", f"{LIFE}; exit 1"),
        states=[
            *NEW,
            "Running main=ready",
            "Running main=Error/1",
            "Running main=ready ×1 last=Error/1",
            "Running main=Error/1 ×1 last=Error/1",
            "Running main=CrashLoopBackOff ×1 last=Error/1",
            "Running main=ready ×2 last=Error/1",
            "Running main=Error/1 ×2 last=Error/1",
            "Running main=CrashLoopBackOff ×2 last=Error/1",
            "Running main=ready ×3 last=Error/1",
        ],
        events=[
            *begin("crash-loop"),
            *start(),
            back_off("crash-loop"),
            *start(),
            back_off("crash-loop"),
            *start(),
        ],
        gaps=[
            Gap("Running main=Error/1", "Running main=ready ×1", 0, 2),
            Gap("Running main=Error/1 ×1", "Running main=CrashLoopBackOff ×1", 0, 2),
            Gap("Running main=Error/1 ×1", "Running main=ready ×2", 10, 10 * JITTER + QUEUE),
            Gap("Running main=Error/1 ×2", "Running main=ready ×3", 20, 20 * JITTER + QUEUE),
        ],
    ),
    Story(
        "no-start",
        simple_pod("no-start", "no-such-program"),
        states=[
            *NEW,
            "Running main=RunContainerError last=StartError/128",
            "Running main=RunContainerError ×1 last=StartError/128",
            "Running main=CrashLoopBackOff ×1 last=StartError/128",
        ],
        # Pulled, Created, Failed, in this order and without Started (2.10); the first restart is at once.
        events=[
            *begin("no-start")[:-1],
            'Warning Failed main: Error: …exec: "no-such-program": executable file not found in $PATH',
            *start()[:-1],
            'Warning Failed main: Error: …exec: "no-such-program": executable file not found in $PATH',
            back_off("no-start"),
        ],
    ),
    Story(
        "post-start-fails",
        pod(
            "post-start-fails",
            f"trap 'exit 143' TERM; {IDLE}",
            {"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", f"{TRAPPED}; exit 9"]}}}},
        ),
        # Never seen running (5.2).
        states=[
            *NEW,
            "Running main=PostStartHookError last=Error/143",
            "Running main=PostStartHookError ×1 last=Error/143",
            "Running main=CrashLoopBackOff ×1 last=Error/143",
        ],
        events=[
            *begin("post-start-fails"),
            *POST_START_FAILS,
            *start(),
            *POST_START_FAILS,
            back_off("post-start-fails"),
        ],
    ),
    Story(
        "failing-pull",
        pod("failing-pull", "true", {"image": MISSING}),
        states=[
            *NEW,
            "Pending main=ErrImagePull",
            "Pending main=ImagePullBackOff",
            "Pending main=ErrImagePull",
            "Pending main=ImagePullBackOff",
        ],
        events=[
            f"{begin('failing-pull')[0]}",
            *PULL_FAILS,
            *PULL_WAITS,
            *PULL_FAILS,
            *PULL_WAITS,
        ],
        gaps=[
            Gap("Pending main=ErrImagePull", "Pending main=ImagePullBackOff", 0, 1),
            Gap("Pending main=ImagePullBackOff", "Pending main=ErrImagePull #2", 10, 10 * JITTER + QUEUE),
        ],
    ),
    Story(
        "never-pulled",
        pod("never-pulled", "true", {"image": MISSING, "imagePullPolicy": "Never"}),
        states=[*NEW, "Pending main=ErrImageNeverPull"],
        events=[
            begin("never-pulled")[0],
            *2
            * [f"Warning ErrImageNeverPull main: {NO_PULL}", "Warning Failed main: Error: ErrImageNeverPull"],
        ],
    ),
    Story(
        "bad-image-name",
        pod("bad-image-name", "true", {"image": "library/Foo"}),
        states=[*NEW, "Pending main=InvalidImageName"],
        events=[
            begin("bad-image-name")[0],
            *2 * [f"Warning InspectFailed main: {BAD_NAME}", "Warning Failed main: Error: InvalidImageName"],
        ],
    ),
    Story(
        "bad-config",
        pod("bad-config", "true", {"envFrom": [{"configMapRef": {"name": "x"}}]}),
        states=[*NEW, "Pending main=CreateContainerConfigError"],
        events=[
            *begin("bad-config")[:2],
            'Warning Failed main: Error: configmap "x" not found',
        ],
    ),
]
