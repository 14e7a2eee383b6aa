"""The agent's copy of a shim's record."""

from dataclasses import replace
from pathlib import Path

from minikubelet.runtime.sandbox import Sandbox
from minikubelet.shim.protocol import ContainerRecord, SandboxRecord, SandboxSpec

RUNNING = ContainerRecord(id="c", name="web", attempt=0, state="running", started_at=1.0)
STOPPED = replace(RUNNING, state="stopped", finished_at=1.001, exit_code=3)


def sandbox() -> Sandbox:
    spec = SandboxSpec("u", "web", "default", 0, "s", "/nowhere", "web")
    return Sandbox(SandboxRecord(1, spec, 1, "boot", 0.0), Path("/nowhere"))


def test_the_newest_record_takes_the_place_of_the_old():
    one = sandbox()
    one.remember(RUNNING)
    one.remember(STOPPED)
    assert one.record.containers == [STOPPED]


def test_an_answer_that_comes_after_the_event_of_death_does_not_bring_a_container_back():
    one = sandbox()
    one.remember(STOPPED)
    one.remember(RUNNING)
    assert one.record.containers == [STOPPED]
