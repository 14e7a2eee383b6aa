"""Exec probes on a runtime that answers as told."""

from __future__ import annotations

import pytest

from minikubelet.agent.probes import exec as exec_probe
from minikubelet.agent.probes.outcome import error, failure, success
from minikubelet.errors import RunContainerError
from minikubelet.runtime.cri import ExecResult
from minikubelet.v1 import Container, EnvVar, ExecAction
from tests.virtual_time import in_virtual_time


class Runtime:
    def __init__(self, answer: ExecResult | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple] = []

    async def exec_sync(self, *question):
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def probe(answer, command=("test", "-f", "/x"), timeout=1):
    runtime = Runtime(answer)
    container = Container(name="c", env=[EnvVar(name="FILE", value="/x")])
    action = ExecAction(command=list(command))
    outcome = await exec_probe.probe(action, container, runtime, ("u1", "c1"), timeout)
    return outcome, runtime.asked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(ExecResult(0, b"fine\n"), success("fine\n"), id="exit 0"),
        pytest.param(ExecResult(1, b"outerr"), failure("outerr"), id="exit 1 shows the output"),
        pytest.param(ExecResult(137, b""), failure(""), id="killed"),
        pytest.param(ExecResult(1, b"\xff"), failure("\ufffd"), id="output that is no text"),
        pytest.param(ExecResult(1, b"x" * 20000), failure("x" * 10240), id="output is cut"),
        pytest.param(
            ExecResult(137, b"so far", timed_out=True),
            failure('command timed out: "test -f /x" timed out after 1s'),
            id="out of time",
        ),
        pytest.param(
            RunContainerError('exec: "x": executable file not found in $PATH'),
            error('exec: "x": executable file not found in $PATH'),
            id="cannot start: errored, not failed",
        ),
    ],
)
@in_virtual_time
async def test_3_6_exec_outcomes(answer, expected):
    assert (await probe(answer))[0] == expected


@in_virtual_time
async def test_3_6_exec_the_command_is_expanded_and_bounded():
    _, asked = await probe(ExecResult(0, b""), command=["test", "-f", "$(FILE)"], timeout=90)
    assert asked == [("u1", "c1", ["test", "-f", "/x"], 90, 10240)]


@in_virtual_time
async def test_3_6_exec_long_timeouts_are_shown_as_go_shows_them():
    outcome, _ = await probe(ExecResult(137, b"", timed_out=True), timeout=90)
    assert outcome == failure('command timed out: "test -f /x" timed out after 1m30s')
