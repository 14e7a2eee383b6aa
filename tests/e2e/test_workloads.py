"""Deployments and Jobs with real pods: rolling, failing, killed in the middle, and gone with all they own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from .conftest import Agent, until

Object = dict[str, Any]

LASTING = "trap 'exit 0' TERM; sleep 1; touch /tmp/ready; while :; do sleep 1000 & wait; done"


@pytest.fixture(autouse=True)
def no_workloads_left(request: pytest.FixtureRequest) -> Iterator[None]:
    name = "fresh_agent" if "fresh_agent" in request.fixturenames else "agent"
    agent: Agent = request.getfixturevalue(name)
    yield
    agent.run("delete", "deploy,rs,job", "--all")
    until(lambda: not listed(agent, "pods"), what="all pods gone")


def deployment(name: str, color: str = "blue", replicas: int = 3, **spec: Any) -> Object:
    container = {
        "name": "main",
        "image": "localhost/host",
        "command": ["sh", "-c", LASTING],
        "env": [{"name": "COLOR", "value": color}],
        # A slow kernel shall not make a pod NotReady that was Ready.
        "readinessProbe": {
            "exec": {"command": ["test", "-e", "/tmp/ready"]},
            "periodSeconds": 1,
            "timeoutSeconds": 30,
        },
    }
    pod = {"terminationGracePeriodSeconds": 5, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }


def job(name: str, script: str, restart: str = "Never", **spec: Any) -> Object:
    container = {"name": "main", "image": "localhost/host", "command": ["sh", "-c", script]}
    pod = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}, **spec},
    }


def listed(agent: Agent, kind: str, *arguments: str) -> list[Object]:
    items: list[Object] = json.loads(agent.run("get", kind, "-o", "json", *arguments))["items"]
    return items


def colors(agent: Agent) -> list[str]:
    pods = [pod for pod in listed(agent, "pods") if "deletionTimestamp" not in pod["metadata"]]
    return [pod["spec"]["containers"][0]["env"][0]["value"] for pod in pods]


def object_(agent: Agent, kind: str, name: str) -> Object:
    found: Object = json.loads(agent.run("get", kind, name, "-o", "json"))
    return found


def ended(pod: Object) -> Object:
    state: Object = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


def test_a_deployment_rolls_and_goes_back_with_ready_pods_at_every_moment(agent: Agent) -> None:
    agent.apply(deployment("roll"))
    agent.run("rollout", "status", "deploy/roll", limit=60)
    assert colors(agent) == ["blue"] * 3
    watch = agent.start_command("get", "deploy", "roll", "-w", "--no-headers")
    assert watch.stdout is not None
    agent.apply(deployment("roll", "green"))
    agent.run("rollout", "status", "deploy/roll", limit=60)
    assert colors(agent) == ["green"] * 3
    agent.run("rollout", "undo", "deploy/roll")
    agent.run("rollout", "status", "deploy/roll", limit=60)
    assert colors(agent) == ["blue"] * 3
    watch.terminate()
    seen = watch.communicate()[0]
    available = {int(line.split()[3]) for line in seen.splitlines()}
    assert min(available) >= 3, seen  # 25 % of three may be missing: none
    assert len(listed(agent, "rs")) == 2
    until(lambda: len(listed(agent, "pods")) == 3, what="the old pods gone")
    for cascade, left in (("orphan", 5), ("foreground", 0)):
        agent.run("delete", "deploy", "roll", f"--cascade={cascade}")
        assert len(listed(agent, "rs,pods")) == left
        if left:
            agent.apply(deployment("roll"))
            agent.run("rollout", "status", "deploy/roll", limit=60)


def test_a_pod_that_is_lost_comes_back_and_one_too_many_goes(agent: Agent) -> None:
    agent.apply(deployment("keep", replicas=2))
    agent.run("rollout", "status", "deploy/keep", limit=60)
    lost, other = (pod["metadata"]["name"] for pod in listed(agent, "pods"))
    agent.run("delete", "pod", lost)
    agent.run("rollout", "status", "deploy/keep", limit=60)
    names = {pod["metadata"]["name"] for pod in listed(agent, "pods")}
    assert other in names
    assert len(names) == 2
    agent.run("scale", "deploy/keep", "--replicas=1")
    until(lambda: len(listed(agent, "pods")) == 1, what="one pod less")
    agent.run("label", "pod", listed(agent, "pods")[0]["metadata"]["name"], "app=free", "--overwrite")
    until(lambda: len(listed(agent, "pods", "-l", "app=keep")) == 1, what="another in its place")
    (free,) = listed(agent, "pods", "-l", "app=free")
    assert "ownerReferences" not in free["metadata"]
    agent.run("delete", "pod", free["metadata"]["name"])


def test_an_agent_killed_in_the_middle_of_a_rollout_ends_it_without_doubled_pods(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(deployment("mid", replicas=2, strategy={"type": "Recreate"}))
    agent.apply(deployment("roll", replicas=2))
    agent.run("rollout", "status", "deploy/roll", limit=60)
    agent.run("rollout", "status", "deploy/mid", limit=60)
    agent.apply(deployment("roll", "green", 2))
    agent.apply(deployment("mid", "green", 2, strategy={"type": "Recreate"}))
    until(lambda: "green" in colors(agent), what="the rollout under way")
    agent.stop(signal.SIGKILL)
    agent.start()
    agent.run("rollout", "status", "deploy/roll", limit=60)
    agent.run("rollout", "status", "deploy/mid", limit=60)
    until(lambda: len(listed(agent, "pods")) == 4, what="the old pods gone")
    assert colors(agent) == ["green"] * 4
    assert len(listed(agent, "rs")) == 4
    made = [
        event
        for event in listed(agent, "events")
        if event["reason"] == "SuccessfulCreate" and event["involvedObject"]["kind"] == "ReplicaSet"
    ]
    # Each pod once; of the last that the killed agent made it may not have told any more.
    assert 7 <= sum(event["count"] for event in made) <= 8


def test_a_job_that_fails_waits_longer_each_time_and_ends(agent: Agent) -> None:
    agent.apply(job("fail", "exit 3", backoffLimit=1))
    agent.apply(job("restart", "exit 4", "OnFailure", backoffLimit=2))
    agent.apply(job("late", "sleep 1000", activeDeadlineSeconds=2))
    for name in ("late", "fail", "restart"):
        agent.run("wait", "--for=condition=failed", f"job/{name}", "--timeout=120s", limit=130)
    reasons = {
        one["metadata"]["name"]: one["status"]["conditions"][-1]["reason"] for one in listed(agent, "jobs")
    }
    assert reasons == {
        "fail": "BackoffLimitExceeded",
        "restart": "BackoffLimitExceeded",
        "late": "DeadlineExceeded",
    }
    first, second = sorted(
        listed(agent, "pods", "-l", "job-name=fail"),
        key=lambda pod: str(pod["metadata"]["creationTimestamp"]),
    )
    assert ended(first)["exitCode"] == ended(second)["exitCode"] == 3
    waited = datetime.fromisoformat(second["metadata"]["creationTimestamp"]) - datetime.fromisoformat(
        ended(first)["finishedAt"]
    )
    assert waited.total_seconds() >= 10
    assert object_(agent, "job", "fail")["status"]["failed"] == 2
    assert listed(agent, "pods", "-l", "job-name=late") == []  # ended, counted, and let go of
    agent.run("delete", "job", "fail", "restart", "late")


def test_a_job_counts_each_pod_once_though_the_agent_is_killed(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(
        job(
            "parts",
            "sleep 0.$JOB_COMPLETION_INDEX; hostname",
            completions=6,
            parallelism=3,
            completionMode="Indexed",
        )
    )
    until(lambda: object_(agent, "job", "parts")["status"].get("succeeded"), what="a first success")
    agent.stop(signal.SIGKILL)
    agent.start()
    agent.run("wait", "--for=condition=complete", "job/parts", "--timeout=60s", limit=70)
    status = object_(agent, "job", "parts")["status"]
    assert (status["succeeded"], status["completedIndexes"], status.get("failed", 0)) == (6, "0-5", 0)
    assert agent.run("logs", "-l", "batch.kubernetes.io/job-completion-index=4") == "parts-4\n"
    pods = listed(agent, "pods")
    assert len(pods) == 6
    assert all("finalizers" not in pod["metadata"] for pod in pods)
    agent.run("delete", "job", "parts", "--cascade=foreground")
    assert listed(agent, "pods") == []


def test_only_a_pod_that_really_failed_is_replaced_if_the_job_says_so(agent: Agent) -> None:
    agent.apply(job("careful", LASTING.replace("exit 0", "exit 7"), podReplacementPolicy="Failed"))
    pod = until(lambda: listed(agent, "pods", "-l", "job-name=careful"), what="its pod")[0]
    agent.wait_running(pod["metadata"]["name"])
    agent.run("delete", "pod", pod["metadata"]["name"])
    until(lambda: len(listed(agent, "pods", "-l", "job-name=careful")) == 1, what="another pod")
    assert listed(agent, "pods", "-l", "job-name=careful")[0]["metadata"]["uid"] != pod["metadata"]["uid"]


def test_a_namespace_goes_with_its_workloads(agent: Agent) -> None:
    agent.run(
        "create",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
    )
    for made in (deployment("web", replicas=2), job("sum", "exit 0")):
        agent.run("apply", "-n", "shop", "-f", "-", stdin=json.dumps(made))
    agent.run("rollout", "status", "-n", "shop", "deploy/web", limit=60)
    agent.run("delete", "namespace", "shop", limit=60)
    assert [
        one for one in listed(agent, "deploy,rs,job,pods", "-A") if one["metadata"]["namespace"] == "shop"
    ] == []
