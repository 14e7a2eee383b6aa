"""Every example runs, and what its last lines promise is what is seen.

The end of an example is its own test: a line `#   $ command`, then lines `#   > text` that the command's
output must contain, sooner or later.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Agent, until

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def promises(example: Path) -> list[tuple[list[str], list[str]]]:
    """[(command, texts that must appear)]"""
    checks: list[tuple[list[str], list[str]]] = []
    for line in example.read_text().splitlines():
        if match := re.match(r"#   \$ minikubelet (.*)", line):
            checks.append((shlex.split(match[1]), []))
        elif match := re.match(r"#   > (.*)", line):
            checks[-1][1].append(match[1])
    return checks


def squeezed(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text)


def marked(example: Path) -> object:
    """An example with limits needs a kernel that keeps them."""
    marks = [pytest.mark.limits] if "limits:" in example.read_text() else []
    return pytest.param(example, marks=marks, id=example.stem)


@pytest.mark.parametrize("example", [marked(example) for example in EXAMPLES])
def test_example_keeps_its_promises(agent: Agent, example: Path) -> None:
    agent.run("apply", "-f", str(example))
    checks = promises(example)
    assert checks, f"{example.name} does not say how to check it"
    for command, texts in checks:
        seen = ""

        def everything_seen(command: list[str] = command, texts: list[str] = texts) -> bool:
            nonlocal seen
            done = agent.call(*command)
            seen = squeezed(done.stdout + done.stderr)
            return all(squeezed(text) in seen for text in texts)

        until(everything_seen, limit=60, what=f"{shlex.join(command)} shows {texts}")
    agent.run("delete", "-f", str(example))


def test_the_examples_are_levels_without_a_gap() -> None:
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


def test_play_runs_an_example_to_its_end() -> None:
    once = next(path for path in EXAMPLES if "never" in path.name)
    done = subprocess.run(
        [sys.executable, "-m", "minikubelet", "play", str(once)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Succeeded" in done.stdout
