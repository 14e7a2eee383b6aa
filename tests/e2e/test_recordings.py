"""The manifests of tests/recordings, played here, beside what a real kubelet 1.20 did with them.

The recordings name busybox, so an image of that name is made on the spot from the node's static busybox and
loaded: the containers then run the very commands that were recorded, with the same tools. Only the hostPath,
where they note what happens to them, is one of ours, and there is more patience with them. They are played as
pods of the API: the recorded static pods had no API server, but nothing that is compared depends on where a
manifest came from.

What is compared: the states that lasted, in their order, with reasons, exit codes, restart counts and
messages; the condition Ready; and what the containers say themselves. A watch shows states that a poll of
100 ms and a relist of a second never see. So all that was recorded must be seen here, in order; and here
nothing may *last* that was not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .busybox_image import save_busybox
from .conftest import FACTOR, Agent, until
from .recorder import Line, Record, Recorder, changes, state, told

RECORDINGS = Path(__file__).parents[1] / "recordings"

LASTED = 0.75 * FACTOR  # seconds; shorter is on the way from one state to the next

Object = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """A recording, and how far it is followed."""

    name: str
    last: str  # the state it is left in: its last, or where it only repeats itself with longer waits
    newer: tuple[tuple[str, str], ...] = ()  # where 1.36 differs: what was recorded, what is expected
    notes: int = 100  # how many of the containers' own notes belong to the part that is followed
    after: tuple[str, ...] = ()  # states between the deletion and the end that 1.20 did not show
    marks: tuple[pytest.MarkDecorator, ...] = ()


UNREADY = "Ready=F:ContainersNotReady ContainersReady=F:ContainersNotReady"
FAILED = "Ready=F:PodFailed ContainersReady=F:PodFailed"

STORIES = [
    Story(
        "succeeded",
        last="Succeeded main=Completed/0",
    ),
    Story(
        "failed-never",
        last="Failed main=Error/1",
        # 1.36 gives the phase as the reason of a failed pod's conditions (1.7).
        newer=((f"main=Error/1 Initialized=T {UNREADY}", f"main=Error/1 Initialized=T {FAILED}"),),
    ),
    Story(
        "oomkilled",
        last="Failed main=OOMKilled/137",
        # As above. That 1.36 kills the whole cgroup cannot be seen: there is one process.
        newer=(
            (f"main=OOMKilled/137 Initialized=T {UNREADY}", f"main=OOMKilled/137 Initialized=T {FAILED}"),
        ),
        marks=(pytest.mark.limits,),
    ),
    Story(
        "prestop",
        last="Running main=ready",
        # From 1.22 on a pod in termination stays to be seen, with how its containers ended.
        after=("deleting Running main=ready", "deleting Failed main=Error/143", "gone"),
    ),
    Story(
        "init-retry",
        last="Running i1=Completed/0 ×2 i2=Completed/0 main=ready",
        # Init containers have no `started` in 1.20.
        newer=(("i1=running", "i1=started"), ("i2=running", "i2=started")),
    ),
    Story(
        "liveness-ft1",
        last="Running main=CrashLoopBackOff ×2 last=Error/143",
        notes=9,
    ),
    Story(
        "readiness",
        last="Running main=started #3",
        notes=5,
    ),
    Story(
        "crashloop",
        # After it come 40 s of waiting and the same once more.
        last="Running main=CrashLoopBackOff ×3 last=Error/1",
        notes=8,
    ),
]


@dataclass(frozen=True)
class Played:
    """The pods of all chosen stories, running side by side; `notes` is where their containers write."""

    recorder: Recorder
    notes: Path


@pytest.fixture(scope="module")
def played(
    agent: Agent, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    archive = tmp_path_factory.mktemp("image") / "busybox.tar"
    save_busybox(archive)
    agent.run("image", "load", str(archive))
    notes = tmp_path_factory.mktemp("notes")
    chosen = [
        item.callspec.params["story"].name
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec") and not item.get_closest_marker("skip")
    ]
    with Recorder(agent.root / "run/minikubelet.sock") as recorder:
        for name in chosen:
            recorder.api.create(manifest(name, notes))
        yield Played(recorder, notes)


@pytest.mark.parametrize("story", [pytest.param(one, id=one.name, marks=one.marks) for one in STORIES])
def test_a_recorded_pod_does_here_what_it_did_there(played: Played, story: Story) -> None:
    recording = json.loads((RECORDINGS / f"{story.name}.json").read_text())
    record = played.recorder.until(story.name, lambda record: has_come_to(story, played_states(record)))
    compare_states(recorded_states(recording, story), up_to_last(story, played_states(record)), told(record))

    expected = [note["says"] for note in recording["inside_the_container"]][: story.notes]
    until(
        lambda: starts(notes_of(played, story)) == starts(expected), what="containers that note their start"
    )
    played.recorder.api.delete(story.name)
    record = played.recorder.until(story.name, lambda record: record.states()[-1:] == ["gone"])
    assert notes_of(played, story)[: story.notes] == expected
    if story.after:
        assert tuple(record.states()[-len(story.after) :]) == story.after


def compare_states(recorded: Sequence[str], seen: Sequence[Line], record: str) -> None:
    """All that was recorded is seen, in order; nothing lasts that was not recorded."""
    every = [line.text for line in seen]
    missing = first_not_in(recorded, every)
    assert missing is None, f"recorded, but not seen here (in this order): {missing}\n{record}"
    foreign = first_not_in(lasting(seen), recorded)
    assert foreign is None, f"lasted here, but was not recorded (in this order): {foreign}\n{record}"


def first_not_in(wanted: Sequence[str], there: Sequence[str]) -> str | None:
    """The first of `wanted` that `there` does not have, or not in this order."""
    rest = iter(there)
    return next((one for one in wanted if one not in rest), None)


def lasting(lines: Sequence[Line]) -> list[str]:
    """The states that others followed only after a while, and the last one."""
    nexts = [*(line.at for line in lines[1:]), float("inf")]
    return [line.text for line, end in zip(lines, nexts, strict=True) if end - line.at >= LASTED]


def recorded_states(recording: Object, story: Story) -> list[str]:
    """From the first that has containers to the one the story is left in, as 1.36 would have it."""
    lines = []
    for moment in recording["status_timeline"]:
        status = moment["status"]
        if status is None or "containerStatuses" not in status:
            continue
        text = described({"metadata": {}, "status": status}).replace(f"{story.name}-node1_", f"{story.name}_")
        for then, now in story.newer:
            text = text.replace(then, now)
        lines.append(Line(moment["t"], text))
    return [line.text for line in up_to_last(story, changes(lines))]


def has_come_to(story: Story, lines: Sequence[Line]) -> bool:
    beginning, _, number = story.last.partition(" #")
    return len([line for line in lines if is_state(line, beginning)]) >= int(number or 1)


def up_to_last(story: Story, lines: Sequence[Line]) -> list[Line]:
    """Without what came after the state the story is left in."""
    beginning, _, number = story.last.partition(" #")
    ends = [index for index, line in enumerate(lines) if is_state(line, beginning)]
    return list(lines[: ends[int(number or 1) - 1] + 1])


def is_state(line: Line, words: str) -> bool:
    return line.text.startswith(f"{words} Initialized=")


def played_states(record: Record) -> list[Line]:
    return changes(
        [Line(at, described(pod)) for at, pod in record.pods if "containerStatuses" in pod.get("status", {})]
    )


def described(pod: Object) -> str:
    """The state, three conditions, and the messages of what is waiting or has ended."""
    status = pod["status"]
    conditions = status["conditions"]
    if isinstance(conditions, list):
        conditions = {condition["type"]: condition for condition in conditions}
    words = [state(pod)]
    for kind in ("Initialized", "Ready", "ContainersReady"):
        reason = conditions[kind].get("reason")
        words.append(f"{kind}={conditions[kind]['status'][0]}" + (f":{reason}" if reason else ""))
    for one in [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]:
        ((_, detail),) = one["state"].items()
        words += [detail["message"]] if detail.get("message") else []
    return " ".join(words).replace(pod["metadata"].get("uid", "<uid>"), "<uid>")


def notes_of(played: Played, story: Story) -> list[str]:
    """What the containers say themselves, without the times."""
    lines = (played.notes / f"{story.name}.log").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines]


def starts(notes: Sequence[str]) -> int:
    return len([note for note in notes if note.endswith("start")])


# What is played


def manifest(name: str, notes: Path) -> Object:
    pod: Object = yaml.safe_load((RECORDINGS / f"{name}.yaml").read_text())
    pod["spec"]["volumes"][0]["hostPath"]["path"] = str(notes)
    # None of these three was reached in a recording; on a slow machine they could be.
    pod["spec"]["terminationGracePeriodSeconds"] = 30
    for container in pod["spec"]["containers"]:
        for kind in {"startupProbe", "readinessProbe", "livenessProbe"} & set(container):
            container[kind]["timeoutSeconds"] = 30
        if "livenessProbe" in container:
            container["livenessProbe"]["initialDelaySeconds"] = 2  # it has made its file by then
    return pod
