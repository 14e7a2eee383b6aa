"""In-place resize (kubelet-behaviour 6.12) on real cgroups, asked for through the API as kubectl asks."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stock_kubectl import KUBECTL

from .conftest import Agent, simple_pod, until
from .test_limits import cgroup_of

pytestmark = pytest.mark.limits

MI = 1 << 20
SIZED = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}
POLICY = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
HOLDS = "x=$(head -c 41943040 /dev/zero | tr '\\0' x); echo full > /dev/termination-log; sleep infinity"


class UnixConnection(http.client.HTTPConnection):
    """HTTP to the agent's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def resize(agent: Agent, name: str, spec: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What `kubectl patch --subresource resize` sends; status code and answer."""
    connection = UnixConnection(agent.root / "run/minikubelet.sock")
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    path = f"/api/v1/namespaces/default/pods/{name}/resize"
    connection.request("PATCH", path, json.dumps({"spec": spec}), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def resize_main(agent: Agent, name: str, **resources: Any) -> None:
    code, answer = resize(agent, name, {"containers": [{"name": "main", "resources": resources}]})
    assert code == 200, answer


def files(cgroup: Path, *names: str) -> list[str]:
    return [(cgroup / name).read_text().strip() for name in names]


def conditions(agent: Agent, name: str) -> dict[str, dict[str, Any]]:
    found = agent.pod(name)["status"]["conditions"]
    return {one["type"]: one for one in found if one["type"].startswith("PodResize")}


def messages(agent: Agent, name: str, reason: str) -> list[str]:
    return [event["message"] for event in agent.events(name) if event["reason"] == reason]


def completed(agent: Agent, name: str, times: int) -> None:
    """The pod was resized so often, and its last resize is over."""
    until(
        lambda: len(messages(agent, name, "ResizeCompleted")) == times,
        what=f"resize {times} of {name} is completed",
    )


def test_cpu_and_memory_grow_and_shrink_while_the_container_runs(agent: Agent) -> None:
    agent.apply(simple_pod("web", "sleep", "infinity", container={"resources": SIZED}))
    agent.wait_running("web")
    cgroup, before = cgroup_of(agent, "web"), agent.container("web")
    names = ("cpu.weight", "cpu.max", "memory.max")
    assert files(cgroup, *names) == ["35", "50000 100000", str(128 * MI)]
    grown = {"requests": {"cpu": "500m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "192Mi"}}
    resize_main(agent, "web", **grown)
    completed(agent, "web", 1)
    assert files(cgroup, *names) == ["59", "100000 100000", str(192 * MI)]
    assert files(cgroup.parent, *names) == ["20", "100000 100000", str(192 * MI)]
    resize_main(agent, "web", **SIZED)
    completed(agent, "web", 2)
    assert files(cgroup, *names) == ["35", "50000 100000", str(128 * MI)]
    assert files(cgroup.parent, *names) == ["10", "50000 100000", str(128 * MI)]
    now = agent.container("web")
    assert (now["containerID"], now["restartCount"]) == (before["containerID"], 0)
    assert now["resources"] == SIZED
    assert now["allocatedResources"] == SIZED["requests"]
    pod = agent.pod("web")
    assert pod["status"]["allocatedResources"] == SIZED["requests"]
    assert pod["status"]["observedGeneration"] == pod["metadata"]["generation"]
    assert conditions(agent, "web") == {}
    (event, _) = messages(agent, "web", "ResizeStarted")
    summary = json.loads(event.removeprefix("Pod resize started: "))
    assert summary["containers"] == [{"name": "main", "resources": grown}]
    agent.run("delete", "pod", "web")


def test_a_container_is_restarted_when_its_policy_says_so(agent: Agent) -> None:
    container = {"resources": SIZED, "resizePolicy": POLICY}
    agent.apply(simple_pod("java", "sleep", "infinity", container=container))
    agent.wait_running("java")
    resize_main(agent, "java", limits={"cpu": "1"})
    completed(agent, "java", 1)
    assert agent.container("java")["restartCount"] == 0, "cpu has no such policy"
    resize_main(agent, "java", limits={"memory": "192Mi"})
    completed(agent, "java", 2)
    until(lambda: agent.container("java").get("restartCount") == 1, what="it is restarted")
    until(lambda: agent.container("java")["state"].get("running"), what="it runs again")
    assert files(cgroup_of(agent, "java"), "memory.max") == [str(192 * MI)]
    assert "Container main resize requires restart, will be restarted" in messages(agent, "java", "Killing")
    agent.run("delete", "pod", "java")


def test_a_limit_below_what_is_used_is_refused_and_stays_in_progress(agent: Agent) -> None:
    agent.apply(simple_pod("full", "bash", "-c", HOLDS, container={"resources": SIZED}))
    agent.wait_running("full")
    cgroup = cgroup_of(agent, "full")
    until(lambda: int(files(cgroup, "memory.current")[0]) > 40 * MI, what="it holds 40 MiB")
    resize_main(agent, "full", limits={"memory": "36Mi"})
    until(lambda: conditions(agent, "full").get("PodResizeInProgress", {}).get("reason"), what="the error")
    told = conditions(agent, "full")["PodResizeInProgress"]
    assert told["reason"] == "Error"
    assert told["message"].startswith("cannot decrease memory limits: [attempting to set pod memory limit (")
    assert 'attempting to set container "main" memory limit (37748736) below current' in told["message"]
    assert files(cgroup, "memory.max") == [str(128 * MI)], "nothing was written"
    assert agent.container("full")["resources"]["limits"]["memory"] == "128Mi"
    assert messages(agent, "full", "ResizeError")
    resize_main(agent, "full", limits={"memory": "256Mi"})
    completed(agent, "full", 1)
    assert conditions(agent, "full") == {}
    agent.run("delete", "pod", "full")


def test_what_never_fits_is_infeasible_and_what_does_not_fit_now_waits(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    allocatable = json.loads(agent.run("get", "node", "node1", "-o", "json"))["status"]["allocatable"]
    cpus = int(allocatable["cpu"])
    half = {"requests": {"cpu": f"{cpus * 500}m"}}
    for name in ("one", "two"):
        agent.apply(simple_pod(name, "sleep", "infinity", container={"resources": half}))
        agent.wait_running(name)
    resize_main(agent, "one", requests={"cpu": "1000"})
    until(lambda: "PodResizePending" in conditions(agent, "one"), what="infeasible")
    told = conditions(agent, "one")["PodResizePending"]
    words = f"Node didn't have enough capacity: cpu, requested: 1000000, capacity: {cpus * 1000}"
    assert (told["reason"], told["message"]) == ("Infeasible", words)
    assert told["observedGeneration"] == agent.pod("one")["metadata"]["generation"]
    assert messages(agent, "one", "ResizeInfeasible")[0].startswith("Pod resize Infeasible: {")

    more = f"{cpus * 700}m"
    resize_main(agent, "one", requests={"cpu": more})
    until(lambda: conditions(agent, "one")["PodResizePending"]["reason"] == "Deferred", what="deferred")
    told = conditions(agent, "one")["PodResizePending"]
    assert told["message"] == (
        f"Node didn't have enough resource: cpu, requested: {cpus * 700}, used: {cpus * 500}, "
        f"capacity: {cpus * 1000}"
    )
    assert agent.container("one")["allocatedResources"] == half["requests"]
    assert files(cgroup_of(agent, "one"), "cpu.weight") == files(cgroup_of(agent, "two"), "cpu.weight")

    # What was granted survives the agent, and so does what waits.
    agent.stop(9)
    agent.start()
    until(lambda: conditions(agent, "one").get("PodResizePending"), what="it still waits")
    assert agent.container("one")["allocatedResources"] == half["requests"]
    assert agent.container("one")["restartCount"] == 0

    agent.run("delete", "pod", "two", "--grace-period=1")
    completed(agent, "one", 1)
    assert agent.container("one")["resources"]["requests"] == {"cpu": more}
    assert conditions(agent, "one") == {}


def test_a_granted_resize_survives_the_agent(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(simple_pod("web", "sleep", "infinity", container={"resources": SIZED}))
    agent.wait_running("web")
    resize_main(agent, "web", limits={"memory": "192Mi"})
    completed(agent, "web", 1)
    agent.stop(9)
    agent.start()
    until(lambda: agent.phase("web") == "Running", what="web is adopted")
    assert files(cgroup_of(agent, "web"), "memory.max") == [str(192 * MI)]
    resize_main(agent, "web", limits={"memory": "160Mi"})
    completed(agent, "web", 2)
    assert files(cgroup_of(agent, "web"), "memory.max") == [str(160 * MI)]
    assert agent.container("web")["restartCount"] == 0


@pytest.mark.kubectl
def test_stock_kubectl_resizes(agent: Agent) -> None:
    agent.apply(simple_pod("stock", "sleep", "infinity", container={"resources": SIZED}))
    agent.wait_running("stock")
    kubeconfig = agent.run("kubeconfig").strip()
    patch = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "1"}}}]}}
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, "patch", "pod", "stock", "--subresource", "resize",
         "--patch", json.dumps(patch)],
        capture_output=True, text=True, timeout=120, env={"HOME": str(agent.root)},
    )  # fmt: skip
    assert done.stdout == "pod/stock patched\n", done.stderr
    completed(agent, "stock", 1)
    assert files(cgroup_of(agent, "stock"), "cpu.max") == ["100000 100000"]
    agent.run("delete", "pod", "stock")
