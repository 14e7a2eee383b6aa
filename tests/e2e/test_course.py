"""The course text "Working with Pods" (`course.md`): run as it stands, by kubectl and by minikubelet."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests import transcript
from tests.e2e.conftest import FACTOR, Agent
from tests.stock_kubectl import NEWEST
from tests.stock_words import Story, settled

pytestmark = pytest.mark.kubectl

TODAYS_WORDS = 36  # those of our own command line

SECTIONS = [
    pytest.param(section, id=str(section), marks=[pytest.mark.limits] if str(section) == "Limits" else [])
    for section in transcript.read(Path(__file__).with_name("course.md"))
]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_course_runs_as_it_stands(agent: Agent, tmp_path: Path, section: transcript.Section) -> None:
    """Word for word, and both print the same."""
    kubeconfig = agent.run("kubeconfig").strip()
    ours = f"{sys.executable} -m minikubelet --root {agent.root}"
    stories = []
    for program, minor in ((NEWEST.path, NEWEST.minor), (ours, TODAYS_WORDS)):
        folder = tmp_path / str(len(stories))
        shell = transcript.Shell(folder, {"kubectl": program}, KUBECONFIG=kubeconfig)
        outcomes = transcript.play(section, shell, minor, limit=60 * FACTOR)
        stories.append([settled((each.code, each.stdout, each.stderr)) for each in outcomes])
    if NEWEST.minor >= 33:
        assert without_news(stories[0]) == without_news(stories[1])


def without_news(story: list[Story]) -> list[Story]:
    """What 1.34 and 1.36 say more is ours, too; and every pod has an address and names of its own."""
    more = r" from \w+ namespace$| out of: \w+$|spec\.containers\{\w+\}: "
    news = rf"{more}|10\.244\.[\d.]+|[0-9a-f]{{64}}|(?<=kube-api-access-)\w{{5}}"
    return [
        (code, re.sub(news, "", out, flags=re.M), re.sub(news, "", err, flags=re.M))
        for code, out, err in story
    ]
