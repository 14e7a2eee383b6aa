"""Probes of real containers by a real agent: what the unit tests cannot see."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from pathlib import Path
from typing import Any

from .conftest import Agent, simple_pod, until


def connect(agent: Agent) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    (path,) = [word for word in agent.ready_line.split() if word.startswith("unix=")]
    connection.sock.connect(path.removeprefix("unix="))
    return connection


def ask(agent: Agent, path: str) -> str:
    connection = connect(agent)
    connection.request("GET", path)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def ready_states(agent: Agent, name: str, since: str) -> list[str]:
    """Condition Ready in every revision of a pod after that one, the present one last."""
    end = agent.pod(name)["metadata"]["resourceVersion"]
    connection = connect(agent)
    connection.request("GET", f"/api/v1/namespaces/default/pods?watch=true&resourceVersion={since}")
    response = connection.getresponse()
    found = []
    while int(since) < int(end):
        pod = json.loads(response.readline())["object"]
        since = pod["metadata"]["resourceVersion"]
        if pod["metadata"]["name"] == name:
            found += [c["status"] for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    connection.close()
    return found


def ready(agent: Agent, name: str) -> bool:
    return bool(agent.container(name).get("ready"))


def probed(
    name: str, *command: str, annotations: dict[str, str] | None = None, **probes: Any
) -> dict[str, Any]:
    pod = simple_pod(name, *command, container=probes)
    pod["metadata"]["annotations"] = annotations or {}
    return pod


def test_14_1_a_ready_pod_never_shows_not_ready_because_the_agent_restarted(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    often = {"periodSeconds": 1, "timeoutSeconds": 30}  # how long a probe takes is not what is tried here
    file = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "failureThreshold": 1, **often}
    started = {"exec": {"command": ["true"]}, **often}
    agent.apply(
        probed(
            "steady",
            "sh",
            "-c",
            "touch /tmp/ready; exec sleep infinity",
            readinessProbe=file,
            startupProbe=started,
        )
    )
    until(lambda: ready(agent, "steady"), what="Ready")
    before = agent.pod("steady")["metadata"]["resourceVersion"]
    for how in (signal.SIGKILL, signal.SIGTERM):  # at once, so the container is younger than ten seconds
        agent.stop(how)
        agent.start()
        until(lambda: "successful" in ask(agent, "/metrics/probes"), what="a probe after the restart")
    assert agent.container("steady")["started"] is True
    assert set(ready_states(agent, "steady", before)) <= {"True"}
    assert ready(agent, "steady")
    agent.run("exec", "steady", "--", "rm", "/tmp/ready")
    until(lambda: not ready(agent, "steady"), what="not ready: the probe works on")


def test_a_period_below_a_second_and_figures_in_the_event(agent: Agent) -> None:
    agent.apply(
        probed(
            "hurried",
            "sleep",
            "infinity",
            annotations={
                "period-seconds.readiness.probes.minikubelet.io/main": "0.1",
                "probes.minikubelet.io/pressure-in-events": "true",
            },
            readinessProbe={"exec": {"command": ["false"]}},
        )
    )
    series = 'pod="hurried"'

    def failures() -> int:
        lines = [
            line for line in ask(agent, "/metrics/probes").splitlines() if series in line and "failed" in line
        ]
        return int(lines[0].rpartition(" ")[2]) if lines else 0

    until(
        lambda: failures() >= 10,
        limit=20,
        what="ten checks, which would take ninety seconds by periodSeconds",
    )
    events = [event["message"] for event in agent.events("hurried") if event["reason"] == "Unhealthy"]
    assert events
    assert all("Readiness probe failed: " in message for message in events)
    if Path("/proc/pressure/cpu").exists():  # a kernel without PSI has no figures to show
        assert all("[cpu some " in message for message in events)


def test_3_6_grpc_reaches_the_pod_and_says_when_nobody_is_there(agent: Agent) -> None:
    probe = {"grpc": {"port": 9000}, "periodSeconds": 1}
    agent.apply(probed("mute", "sleep", "infinity", livenessProbe=probe))
    ip = agent.wait_running("mute")["status"]["podIP"]
    cause = f'timeout: failed to connect service "{ip}:9000" within 1s: context deadline exceeded'
    text = f"Liveness probe failed: {cause}"
    until(lambda: text in [event["message"] for event in agent.events("mute")], what=text)


def test_a36_the_client_is_warned_of_a_host_that_is_the_node(agent: Agent) -> None:
    probe = {"tcpSocket": {"port": 1, "host": "127.0.0.1"}}
    done = agent.call(
        "apply", "-f", "-", stdin=json.dumps(probed("nosy", "sleep", "infinity", readinessProbe=probe))
    )
    assert done.returncode == 0
    path = "spec.containers[0].readinessProbe.tcpSocket.host"
    assert f"Warning: {path}: 127.0.0.1 is loopback: the node itself is asked, not the pod" in done.stderr
