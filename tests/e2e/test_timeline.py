"""The stories of kubelet-behaviour 12.2 on a real kernel: states, Events, their order and their spacing.

Every story (`stories`) is one pod. All pods chosen for this run live side by side in one agent while the
watches of pods and Events are written down (`recorder`); each test then waits for the end of its own story
and compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import pytest

from .conftest import FACTOR, Agent
from .recorder import Line, Record, Recorder, told
from .stories import OBEDIENT, STORIES, WAIT, Story, pod

# How much later than the table says something may be seen: the one allowance for a slow guest in these
# stories. Both ends of a gap may be late, so a gap may also seem shorter than it is; by half of this.
TOLERANCE = 1.0 * FACTOR


@pytest.fixture(scope="module")
def playing(agent: Agent, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """The pods of all stories that were chosen for this run, each created when the one before has begun: a
    slow guest would need longer for all at once than their stories allow.
    """
    chosen = [
        item.callspec.params["story"].pod
        for item in request.session.items
        if item.path == request.path
        and "story" in getattr(getattr(item, "callspec", None), "params", ())
        and not item.get_closest_marker("skip")
    ]
    with Recorder(agent.root / "run/minikubelet.sock") as recorder:
        for manifest in chosen:
            recorder.api.create(manifest)
            recorder.until(manifest["metadata"]["name"], has_begun)
        yield recorder


@pytest.mark.parametrize("story", [pytest.param(one, id=one.name, marks=one.marks) for one in STORIES])
def test_a_pods_story_is_the_kubelets_12_2(playing: Recorder, story: Story) -> None:
    if story.deleted_at:
        playing.until(story.name, lambda record: story.deleted_at in record.states())
        playing.api.delete(story.name)
    record = playing.until(story.name, is_told(story), hint=lambda record: difference(story, record))
    for gap in story.gaps:
        seconds = moment(record, gap.then) - moment(record, gap.first)
        in_time = gap.least - TOLERANCE / 2 <= seconds <= gap.most + TOLERANCE
        assert in_time, f"{gap} was {seconds:.2f} s\n{told(record)}"


def test_conditions_of_a_normal_start_and_end_follow_one_another_1_7(playing: Recorder) -> None:
    playing.api.create(pod("conditions", OBEDIENT, WAIT))
    playing.until("conditions", lambda record: "Running main=ready" in record.states())
    playing.api.delete("conditions")
    record = playing.until("conditions", lambda record: record.states()[-1:] == ["gone"])
    unready = "Ready=F:ContainersNotReady ContainersReady=F:ContainersNotReady PodScheduled=T"
    completed = "Initialized=T:PodCompleted Ready=F:PodCompleted ContainersReady=F:PodCompleted"
    assert [line.text for line in record.condition_lines()] == [
        "",
        "PodScheduled=T",
        f"PodReadyToStartContainers=F Initialized=T {unready}",
        f"PodReadyToStartContainers=T Initialized=T {unready}",
        "PodReadyToStartContainers=T Initialized=T Ready=T ContainersReady=T PodScheduled=T",
        f"PodReadyToStartContainers=F {completed} PodScheduled=T",
    ]


def has_begun(record: Record) -> bool:
    """Its first container has started, or could not."""
    return any(line.split()[1] in ("Started", "Failed") for line in record.events())


# Comparing


def is_told(story: Story) -> Callable[[Record], bool]:
    return lambda record: (
        fits(record.states(), story.states, story.ends) and fits(record.events(), story.events, story.ends)
    )


def fits(seen: Sequence[str], expected: Sequence[str], whole: bool) -> bool:
    """Does `expected` describe the beginning (or all) of `seen`?"""
    found = re.match("".join(map(pattern, expected)), text(seen))
    return found is not None and (not whole or found.end() == len(text(seen)))


def text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def pattern(line: str) -> str:
    """`…` is any text; a `*` in front: once or more."""
    one = re.escape(line.removeprefix("*")).replace("…", "[^\n]*") + "\n"
    return f"(?:{one})+" if line.startswith("*") else one


def difference(story: Story, record: Record) -> str:
    """Where expectation and record part, for a failure's text."""
    parts = []
    for seen, expected in ((record.states(), story.states), (record.events(), story.events)):
        good = max(n for n in range(len(expected) + 1) if fits(seen, expected[:n], whole=False))
        if good < len(expected):
            parts.append(f"expected next: {expected[good]}")
        elif story.ends and not fits(seen, expected, whole=True):
            parts.append(f"expected nothing after: {expected[-1]}")
    return "\n".join(parts)


def moment(record: Record, words: str) -> float:
    """When the (n-th) line beginning with these words arrived."""
    beginning, _, number = words.partition(" #")
    found = [line for line in moments(record) if line.text.startswith(beginning)]
    return found[int(number or 1) - 1].at


def moments(record: Record) -> list[Line]:
    return sorted([*record.state_lines(), *record.event_lines()], key=lambda line: line.at)
