"""Ephemeral containers in a pod that runs: they see its processes, are started once, and go with it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from typing import Any

import pytest

from tests.stock_kubectl import KUBECTL

from .conftest import FACTOR, Agent, simple_pod, until

STRATEGIC = "application/strategic-merge-patch+json"


def debug(agent: Agent, pod: str, **container: Any) -> dict[str, Any]:
    """What `kubectl debug` sends; the pod, or the Status that refuses it."""
    connection = http.client.HTTPConnection("localhost", timeout=30 * FACTOR)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(agent.root / "run/minikubelet.sock"))
    body = {"spec": {"ephemeralContainers": [{"image": "localhost/host", **container}]}}
    path = f"/api/v1/namespaces/default/pods/{pod}/ephemeralcontainers"
    connection.request("PATCH", path, json.dumps(body), {"Content-Type": STRATEGIC})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def ephemeral(agent: Agent, pod: str, name: str) -> dict[str, Any]:
    statuses = agent.pod(pod)["status"].get("ephemeralContainerStatuses", ())
    return next((one for one in statuses if one["name"] == name), {"state": {}})


def whole_report(log: str) -> list[str]:
    """Both lines, or nothing yet."""
    lines = [line.strip() for line in log.splitlines()]
    return lines if len(lines) == 2 and log.endswith("\n") else []


@pytest.fixture
def web(agent: Agent) -> str:
    if not agent.pod("web"):
        agent.apply(simple_pod("web", "sleep", "infinity"))
        agent.wait_running("web")
    return "web"


def test_one_with_a_target_sees_the_targets_processes(agent: Agent, web: str) -> None:
    command = ["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; echo; hostname; sleep infinity"]
    debug(agent, web, name="look", command=command, targetContainerName="main")
    until(lambda: ephemeral(agent, web, "look")["state"].get("running"), what="the debugger runs")
    report = until(lambda: whole_report(agent.run("logs", web, "-c", "look")), what="its report")
    assert report == ["sleep infinity", "web"]
    inside = agent.run("exec", web, "-c", "look", "--", "cat", "/proc/1/comm")
    assert inside == "sleep\n", "an exec into it joins the same processes"
    assert agent.container(web)["restartCount"] == 0
    assert "started" not in ephemeral(agent, web, "look")
    assert not ephemeral(agent, web, "look")["ready"]
    paths = {event["involvedObject"].get("fieldPath") for event in agent.events(web)}
    assert "spec.ephemeralContainers{look}" in paths


def test_one_without_a_target_has_processes_of_its_own(agent: Agent, web: str) -> None:
    debug(agent, web, name="alone", command=["sh", "-c", "echo I am $$$$"])
    until(lambda: ephemeral(agent, web, "alone")["state"].get("terminated"), what="it ended")
    assert agent.run("logs", web, "-c", "alone") == "I am 1\n"


def test_one_that_ended_is_never_restarted_and_the_pod_does_not_mind(agent: Agent, web: str) -> None:
    debug(agent, web, name="fails", command=["sh", "-c", "exit 7"])
    ended = until(lambda: ephemeral(agent, web, "fails")["state"].get("terminated"), what="it ended")
    assert ended["exitCode"] == 7
    agent.run("label", "pod", web, "look=again")  # another round of the worker
    debug(agent, web, name="next", command=["true"])
    until(lambda: ephemeral(agent, web, "next")["state"].get("terminated"), what="the next one ended")
    assert ephemeral(agent, web, "fails")["restartCount"] == 0
    assert ephemeral(agent, web, "fails")["state"] == {"terminated": ended}
    assert agent.phase(web) == "Running"
    assert agent.container(web)["ready"]


def test_it_is_known_to_the_next_agent_and_goes_with_the_pod(agent: Agent, web: str) -> None:
    debug(agent, web, name="stays", command=["sleep", "infinity"], targetContainerName="main")
    until(lambda: ephemeral(agent, web, "stays")["state"].get("running"), what="it runs")
    before = ephemeral(agent, web, "stays")["containerID"]
    agent.stop()
    agent.start()
    agent.run("label", "pod", web, "agent=new")
    assert ephemeral(agent, web, "stays")["containerID"] == before
    assert ephemeral(agent, web, "stays")["state"].get("running")
    agent.run("delete", "pod", web)
    assert not agent.pod(web)


def test_a_missing_image_is_waited_for_and_stops_nothing(agent: Agent, web: str) -> None:
    debug(agent, web, name="absent", image="localhost/no-such-image:1", imagePullPolicy="Never")
    waiting = until(lambda: ephemeral(agent, web, "absent")["state"].get("waiting"), what="it waits")
    until(
        lambda: ephemeral(agent, web, "absent")["state"]["waiting"]["reason"] == "ErrImageNeverPull",
        what=f"the reason, after {waiting}",
    )
    assert agent.phase(web) == "Running"


@pytest.mark.kubectl
def test_stock_kubectl_debug_attaches_to_it(agent: Agent, web: str) -> None:
    done = subprocess.run(
        [
            KUBECTL, "debug", web, "--image=localhost/host", "--target=main", "-c", "dbg",
            "--attach", "--stdin", "--", "sh", "-c", "read line; echo got $line; ls /proc/1/root >&2",
        ],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=60 * FACTOR,
        env={**os.environ, "KUBECONFIG": str(agent.root / "etc/kubeconfig"), "HOME": str(agent.root)},
    )  # fmt: skip
    assert "got hello" in done.stdout, done
    ended = until(lambda: ephemeral(agent, web, "dbg")["state"].get("terminated"), what="it ended")
    assert ended["exitCode"] in (0, 2), "root of the target may be closed to it: no ptrace capability"
