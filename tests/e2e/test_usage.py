"""`top` on real containers: who works, who waits, who holds memory."""

from __future__ import annotations

import json

from .conftest import Agent, simple_pod, until

HOLD = 'import time; held = bytearray(b"x" * (48 << 20)); print("holding", flush=True); time.sleep(3600)'


def usage_of(agent: Agent, path: str) -> dict[str, dict[str, str]]:
    """Usage by name of the container, as the API says it."""
    answer = json.loads(agent.run("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/{path}"))
    return {container["name"]: container["usage"] for container in answer["containers"]}


def test_top_shows_who_works_and_who_holds_memory(agent: Agent) -> None:
    containers = [
        {"name": "busy", "image": "localhost/host", "command": ["sh", "-c", "while :; do :; done"]},
        {"name": "idle", "image": "localhost/host", "command": ["sleep", "3600"]},
        {"name": "full", "image": "localhost/host", "command": ["python3", "-c", HOLD]},
    ]
    pod = simple_pod("use", "sleep", "1")
    pod["spec"]["containers"] = containers
    agent.apply(pod)
    agent.wait_running("use")
    until(lambda: "holding" in agent.run("logs", "use", "-c", "full"), what="the memory is held")

    used = usage_of(agent, "namespaces/default/pods/use")
    nanos = {name: int(usage["cpu"].removesuffix("n")) for name, usage in used.items()}
    kibis = {name: int(usage["memory"].removesuffix("Ki")) for name, usage in used.items()}
    assert nanos["busy"] > 10 * nanos["idle"] + 10_000_000, used
    assert kibis["full"] > 40 << 10, used
    assert kibis["idle"] < 10 << 10, used

    head, *lines = agent.run("top", "pod", "use", "--containers").splitlines()
    assert head.split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert [line.split()[1] for line in lines] == ["busy", "full", "idle"]
    (node,) = agent.run("top", "node", "--no-headers").splitlines()
    name, cpu, share, memory, _ = node.split()
    assert (name, cpu[-1], share[-1], memory[-2:]) == ("node1", "m", "%", "Mi")
    assert int(cpu.removesuffix("m")) > 0
    agent.run("delete", "pod", "use", "--now")
    assert "podmetrics.metrics.k8s.io" in agent.call("top", "pod", "use").stderr
