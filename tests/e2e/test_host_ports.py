"""hostPort with real pods: reached from the node, waited for, kept through restarts and firewall reloads."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from typing import Any

from .conftest import Agent, simple_pod, until

PORT = 18085
SERVE = "cd /srv && echo served by $(hostname) > index.html && exec python3 -m http.server 8080"
WAITING = (
    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. "
    "no new claims to deallocate, preemption: 0/1 nodes are available: "
    "1 No preemption victims found for incoming pod."
)


def web(name: str, **port: Any) -> dict[str, Any]:
    ports = [{"containerPort": 8080, "hostPort": PORT, **port}]
    return simple_pod(name, "sh", "-c", SERVE, container={"ports": ports})


def fetched(address: str = "127.0.0.1") -> str:
    """What the node gets at the port; empty: nothing yet."""
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=5) as page:
            return str(page.read().decode().strip())
    except (urllib.error.URLError, OSError):
        return ""


def test_a_port_has_one_pod_and_the_next_one_waits_for_it(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(web("first"))
    until(lambda: fetched() == "served by first", what="the port leads to the pod")
    gateway = agent.cidr.replace("0/24", "1")
    assert fetched(gateway) == "served by first"

    agent.apply(web("second", hostIP="127.0.0.1"))

    def scheduled() -> dict[str, Any]:
        conditions = agent.pod("second").get("status", {}).get("conditions", ())
        return next((c for c in conditions if c["type"] == "PodScheduled"), {})

    until(lambda: scheduled().get("message") == WAITING, what="FailedScheduling is in the status")
    assert agent.phase("second") == "Pending"
    told = [event["message"] for event in agent.events("second") if event["reason"] == "FailedScheduling"]
    assert told
    assert set(told) == {WAITING}

    agent.stop()
    subprocess.run(["nft", "flush", "table", "ip", f"minikubelet-{agent.bridge}"], check=True)
    agent.start()
    until(lambda: fetched() == "served by first", what="the next agent knows the ports of the pods it finds")
    for family in ("ip", "bridge"):
        subprocess.run(["nft", "delete", "table", family, f"minikubelet-{agent.bridge}"], check=True)
    until(lambda: fetched() == "served by first", what="tables that were taken away come back")

    agent.run("delete", "pod", "first")
    until(lambda: fetched() == "served by second", what="the second pod starts when the port is free")
    assert fetched(gateway) == "", "its hostIP is the loopback address only"
    agent.run("delete", "pod", "second")
    assert fetched() == ""


def test_a_pod_that_was_bound_by_hand_is_rejected_in_the_kubelet_s_words(agent: Agent) -> None:
    agent.apply(web("holder"))
    agent.wait_running("holder")
    bound = web("late")
    bound["spec"]["nodeName"] = "node1"
    agent.apply(bound)
    until(lambda: agent.phase("late") == "Failed", what="rejected")
    status = agent.pod("late")["status"]
    assert status["reason"] == "NodePorts"
    assert status["message"] == (
        "Pod was rejected: Predicate NodePorts failed: "
        "node(s) didn't have free ports for the requested pod ports"
    )
    agent.run("delete", "pods", "holder", "late")
