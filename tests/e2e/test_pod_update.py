"""What may be changed in a pod that runs, and what comes of it (kubelet-behaviour 7.8)."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Agent, simple_pod, until


def replaced(agent: Agent, name: str, **spec: Any) -> str:
    """`replace` with a changed spec; what is said about it."""
    pod = agent.pod(name)
    pod["spec"] |= spec
    pod["metadata"].pop("resourceVersion")
    done = agent.call("apply", "-f", "-", stdin=json.dumps(pod))
    return done.stdout + done.stderr


def test_allowed_changes_work_and_all_others_are_forbidden(agent: Agent) -> None:
    agent.apply(simple_pod("shop", "sleep", "infinity", activeDeadlineSeconds=1000))
    agent.wait_running("shop")
    first = agent.container("shop")["containerID"]

    forbidden = replaced(agent, "shop", hostname="other")
    assert "spec: Forbidden: pod updates may not change fields other than" in forbidden
    assert '+ spec.hostname: "other"' in forbidden
    assert "must be less than or equal to previous value" in replaced(
        agent, "shop", activeDeadlineSeconds=2000
    )

    replaced(agent, "shop", activeDeadlineSeconds=900)
    toleration = {"key": "k", "operator": "Exists", "effect": "NoSchedule"}
    replaced(agent, "shop", tolerations=[*agent.pod("shop")["spec"]["tolerations"], toleration])
    agent.run("label", "pod", "shop", "tier=front")
    agent.run("annotate", "pod", "shop", "note=x")
    pod = agent.pod("shop")
    assert pod["spec"]["activeDeadlineSeconds"] == 900
    assert toleration in pod["spec"]["tolerations"]
    assert pod["metadata"]["labels"] == {"tier": "front"}
    assert agent.container("shop")["containerID"] == first, "none of these restarts a container"

    containers = pod["spec"]["containers"]
    containers[0]["image"] = "localhost/host:latest"
    replaced(agent, "shop", containers=containers)
    until(
        lambda: (
            agent.container("shop").get("restartCount") == 1
            and agent.container("shop")["state"].get("running")
        ),
        what="the new image runs",
    )
    assert agent.container("shop")["containerID"] != first
    killed = [event["message"] for event in agent.events("shop") if event["reason"] == "Killing"]
    assert killed == ["Container main definition changed, will be restarted"]
    assert agent.pod("shop")["status"]["observedGeneration"] == agent.pod("shop")["metadata"]["generation"]
    agent.run("delete", "pod", "shop")
