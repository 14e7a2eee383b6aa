"""Pods live, fail, are restarted, end and go: states, reasons, Events, exit codes."""

from __future__ import annotations

import time

import pytest

from .conftest import Agent, simple_pod, until


def messages(agent: Agent, name: str, reason: str) -> list[str]:
    return [event["message"] for event in agent.events(name) if event["reason"] == reason]


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        pytest.param("Never", 0, "Succeeded", id="Never and 0"),
        pytest.param("Never", 3, "Failed", id="Never and 3"),
        pytest.param("OnFailure", 0, "Succeeded", id="OnFailure and 0"),
    ],
)
def test_an_ended_container_that_is_not_restarted_decides_the_phase(
    agent: Agent, policy: str, code: int, phase: str
) -> None:
    name = f"ends-{policy.lower()}-{code}"
    agent.apply(simple_pod(name, "sh", "-c", f"exit {code}", restartPolicy=policy))
    until(lambda: agent.phase(name) == phase, what=f"{name} {phase}")
    status = agent.container(name)
    assert status["restartCount"] == 0
    assert status["state"]["terminated"]["exitCode"] == code
    assert status["state"]["terminated"]["reason"] == ("Error" if code else "Completed")
    agent.run("delete", "pod", name)


def test_a_crash_restarts_at_once_and_then_backs_off(agent: Agent) -> None:
    agent.apply(simple_pod("crash", "sh", "-c", "exit 7"))
    until(lambda: agent.container("crash").get("restartCount") == 1, what="first restart")
    waiting = until(lambda: agent.container("crash")["state"].get("waiting"), what="waiting")
    assert waiting["reason"] == "CrashLoopBackOff"
    uid = agent.pod("crash")["metadata"]["uid"]
    text = f"back-off 10s restarting failed container=main pod=crash_default({uid})"
    assert waiting["message"] == text
    assert agent.container("crash")["lastState"]["terminated"]["exitCode"] == 7
    assert agent.phase("crash") == "Running"
    assert f"Back-off restarting failed container main in pod crash_default({uid})" in messages(
        agent, "crash", "BackOff"
    )
    agent.run("delete", "pod", "crash")


def test_the_events_of_a_normal_start_are_the_kubelets(agent: Agent) -> None:
    agent.apply(simple_pod("normal", "sleep", "infinity"))
    agent.wait_running("normal")
    seen = [(e["type"], e["reason"], e["message"]) for e in agent.events("normal")]
    image = 'Container image "localhost/host" already present on machine and can be accessed by the pod'
    assert seen == [
        ("Normal", "Scheduled", "Successfully assigned default/normal to node1"),
        ("Normal", "Pulled", image),
        ("Normal", "Created", "Container created"),
        ("Normal", "Started", "Container started"),
    ]
    agent.run("delete", "pod", "normal")


def test_deletion_gives_the_grace_period_and_then_kills(agent: Agent) -> None:
    stubborn = simple_pod("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    stubborn["spec"]["terminationGracePeriodSeconds"] = 3
    agent.apply(stubborn)
    agent.wait_running("stubborn")
    begin = time.monotonic()
    agent.run("delete", "pod", "stubborn")
    assert time.monotonic() - begin >= 3
    assert agent.pod("stubborn") == {}
    assert messages(agent, "stubborn", "Killing") == ["Stopping container main"]


def test_a_container_that_heeds_term_goes_at_once(agent: Agent) -> None:
    heeds = simple_pod("heeds", "sh", "-c", "trap 'exit 0' TERM; echo set; while :; do sleep 0.1; done")
    heeds["spec"]["terminationGracePeriodSeconds"] = 300
    agent.apply(heeds)
    agent.wait_running("heeds")
    # Process 1 hears nothing of a signal that it has no handler for, and nobody sends it twice.
    until(lambda: agent.run("logs", "heeds") == "set\n", what="its handler")
    agent.run("delete", "pod", "heeds", limit=60)
    assert agent.pod("heeds") == {}


def test_force_deletion_removes_the_object_at_once(agent: Agent) -> None:
    stubborn = simple_pod("forced", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    stubborn["spec"]["terminationGracePeriodSeconds"] = 300
    agent.apply(stubborn)
    agent.wait_running("forced")
    done = agent.call("delete", "pod", "forced", "--force", "--grace-period=0")
    assert 'pod "forced" force deleted' in done.stdout
    assert "Immediate deletion does not wait for confirmation" in done.stderr
    assert agent.pod("forced") == {}


def test_exec_passes_the_exit_code_and_the_streams(agent: Agent) -> None:
    agent.apply(simple_pod("doer", "sleep", "infinity"))
    agent.wait_running("doer")
    done = agent.call("exec", "doer", "--", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.stdout, done.returncode) == ("out\n", 5)
    assert done.stderr.splitlines() == ["err", "command terminated with exit code 5"]
    done = agent.call("exec", "-i", "doer", "--", "tr", "a-z", "A-Z", stdin="shout\n")
    assert (done.stdout, done.returncode) == ("SHOUT\n", 0)
    agent.run("delete", "pod", "doer")


def test_a_command_that_is_not_there_is_a_start_error(agent: Agent) -> None:
    agent.apply(simple_pod("missing", "no-such-program", restartPolicy="Never"))
    until(lambda: agent.phase("missing") == "Failed", what="missing Failed")
    ended = agent.container("missing")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]
    agent.run("delete", "pod", "missing")


def test_logs_and_their_options(agent: Agent) -> None:
    lines = "for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2"
    agent.apply(simple_pod("talker", "sh", "-c", f"{lines}; sleep infinity"))
    until(lambda: "oops" in agent.call("logs", "talker").stdout, what="all lines")
    assert agent.run("logs", "talker").count("\n") == 6
    assert "line 5" in agent.run("logs", "talker", "--tail", "2")
    assert "line 4" not in agent.run("logs", "talker", "--tail", "2")
    stamped = agent.run("logs", "talker", "--timestamps", "--tail=1").split(" ")[0]
    assert len(stamped.split(".")[1].rstrip("Z")) >= 9
    agent.run("delete", "pod", "talker")


def test_logs_follow_until_the_container_ends(agent: Agent) -> None:
    agent.apply(
        simple_pod(
            "counter", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done", restartPolicy="Never"
        )
    )
    until(lambda: agent.phase("counter") in ("Running", "Succeeded"), what="it runs")
    assert agent.run("logs", "-f", "counter") == "1\n2\n3\n"
    agent.run("delete", "pod", "counter")


def test_a_missing_image_says_so_and_backs_off(agent: Agent) -> None:
    agent.apply(simple_pod("absent", "true", container={"image": "localhost/absent:1"}))
    waiting = until(
        lambda: agent.container("absent").get("state", {}).get("waiting", {}).get("message"), what="a message"
    )
    assert "localhost/absent:1" in waiting
    assert agent.phase("absent") == "Pending"
    agent.run("delete", "pod", "absent")
