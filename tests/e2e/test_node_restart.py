"""The agent or the node goes away and comes back (kubelet-behaviour 14.1): the world converges to what is
wanted, nothing is started twice, nothing flaps, nothing stays behind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from minikubelet.linux import cgroup
from tests.leaks import no_leaks

from .conftest import Agent, make_agent, remove_network, simple_pod, until
from .history import PODS, ask, history, ready, revision
from .test_agent_restart import children, shim_pid

KILLS = 36
SEED = 20261122


def probed(agent: Agent, name: str) -> int:
    """How often the readiness probe of the pod has run."""
    return len(agent.run("exec", name, "--", "cat", "/tmp/probed").split())


def test_a_ready_pod_never_shows_not_ready_because_the_agent_was_restarted(fresh_agent: Agent) -> None:
    """Better than the kubelet, which keeps `ready` only of containers that are ten seconds older than it."""
    agent = fresh_agent
    agent.start()
    often = {"periodSeconds": 1, "timeoutSeconds": 30}  # a slow kernel is not what is tried here
    probe = {"exec": {"command": ["sh", "-c", "echo x >>/tmp/probed"]}, **often}
    startup = {"exec": {"command": ["true"]}, **often}
    pods = {
        "plain": {},
        "probed": {"readinessProbe": probe},
        "slow": {"readinessProbe": probe | {"successThreshold": 3}},
        "gated": {"readinessProbe": probe, "startupProbe": startup},
    }
    for name, container in pods.items():
        agent.apply(simple_pod(name, "sleep", "infinity", container=container))
    until(lambda: all(ready(agent.pod(name)) == "True" for name in pods), what=agent.report)
    before = {name: agent.container(name) for name in pods}
    since = revision(agent)
    for _ in range(2):
        agent.stop(signal.SIGKILL)
        agent.start()
        for name in ("probed", "slow", "gated"):
            count = probed(agent, name)
            until(lambda name=name, count=count: probed(agent, name) > count + 3, what="probing goes on")
    for name in pods:
        told = history(agent, name, since)
        flaps = [pod["status"]["conditions"] for kind, pod in told if ready(pod) != "True"]
        said = [(event["reason"], event["message"], event["count"]) for event in agent.events(name)]
        assert flaps == [], f"{name}: {said}\n{agent.log()}"
        assert agent.container(name) == before[name]


def test_what_no_source_wants_is_ended_and_a_static_pod_is_wanted_by_its_file(
    fresh_agent: Agent, tmp_path: Path
) -> None:
    """The store is lost: pods of the API are orphans, with a grace of 1 s; the static pod runs on."""
    agent = fresh_agent
    manifests = agent.root / "manifests"
    manifests.mkdir()
    (manifests / "kept.yaml").write_text(json.dumps(simple_pod("kept", "sleep", "infinity")))
    agent.start("--manifests", str(manifests))
    script = (
        "trap 'sleep 0.5; echo clean >/out/end; exit 0' TERM; echo >/out/begun; while :; do sleep 0.1; done"
    )
    volume = {"name": "out", "hostPath": {"path": str(tmp_path)}}
    mount = {"volumeMounts": [{"name": "out", "mountPath": "/out"}]}
    agent.apply(simple_pod("orphan", "sh", "-c", script, container=mount, volumes=[volume]))
    until((tmp_path / "begun").exists, what="the pod to begin")
    agent.wait_running("kept-node1")
    kept, orphan = agent.container("kept-node1"), agent.wait_running("orphan")["metadata"]["uid"]
    agent.stop()
    for file in agent.root.glob("lib/store.db*"):
        file.unlink()
    agent.start("--manifests", str(manifests))
    until(lambda: not (agent.root / "lib/pods" / orphan).exists(), what="the orphan to be gone")
    assert (tmp_path / "end").read_text() == "clean\n"
    agent.wait_running("kept-node1")
    assert agent.container("kept-node1")["containerID"] == kept["containerID"]
    assert agent.container("kept-node1")["restartCount"] == 0
    (manifests / "kept.yaml").unlink()
    until(lambda: not agent.pod("kept-node1"), what="the static pod to go")


def test_after_a_reboot_pods_are_restarted_by_their_policy(fresh_agent: Agent) -> None:
    agent = fresh_agent
    manifests = agent.root / "manifests"
    manifests.mkdir()
    agent.start("--manifests", str(manifests))
    (manifests / "static.yaml").write_text(json.dumps(simple_pod("static", "sleep", "infinity")))
    init = [{"name": "prepare", "image": "localhost/host", "command": ["true"]}]
    agent.apply(simple_pod("always", "sleep", "infinity", initContainers=init))
    agent.apply(simple_pod("never", "sleep", "infinity", restartPolicy="Never"))
    agent.apply(simple_pod("ended", "true", restartPolicy="Never"))
    for name in ("always", "never", "static-node1"):
        agent.wait_running(name)
    until(lambda: agent.phase("ended") == "Succeeded", what="Succeeded")
    ended = agent.pod("ended")
    reboot(agent)
    agent.start("--manifests", str(manifests))
    for name in ("always", "static-node1"):
        until(lambda name=name: agent.container(name).get("restartCount") == 1, what="a new instance")
        agent.wait_running(name)
        lost = agent.container(name)["lastState"]["terminated"]
        assert (lost["exitCode"], lost["reason"]) == (255, "Unknown")
    assert agent.container("always", "prepare")["restartCount"] == 1
    assert agent.container("always", "prepare")["state"]["terminated"]["exitCode"] == 0
    until(lambda: agent.phase("never") == "Failed", what="Failed")
    lost = agent.container("never")["state"]["terminated"]
    assert (lost["exitCode"], lost["reason"], agent.container("never")["restartCount"]) == (255, "Unknown", 0)
    assert agent.pod("ended") == ended
    (event,) = [e for e in agent.events("node1") if e["reason"] == "Rebooted"]
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert event["message"] == f"Node node1 has been rebooted, boot id: {boot_id}"
    (manifests / "static.yaml").unlink()
    until(lambda: not agent.pod("static-node1"), what="the static pod to go")


def test_the_end_of_a_lost_container_is_found_once(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(simple_pod("phoenix", "sleep", "infinity"))
    agent.wait_running("phoenix")
    os.kill(shim_pid(agent, "phoenix"), signal.SIGKILL)
    until(lambda: agent.container("phoenix").get("restartCount") == 1, what="a new container")
    until(lambda: agent.container("phoenix").get("ready"), what="it runs")
    before = agent.container("phoenix")
    assert before["lastState"]["terminated"]["reason"] == "Unknown"
    until(lambda: time.time() > finished_at(before) + 2, what="another second")
    agent.stop(signal.SIGKILL)
    agent.start()
    agent.apply(simple_pod("next", "sleep", "infinity"))
    agent.wait_running("next")
    assert agent.container("phoenix") == before


def finished_at(container: dict[str, Any]) -> float:
    return datetime.fromisoformat(container["lastState"]["terminated"]["finishedAt"]).timestamp()


def reboot(agent: Agent) -> None:
    """What a reboot does to a node, as far as a test may: all processes die at once, their cgroups are gone,
    /run is emptied, and the boot id is another than the one the agent wrote down.
    """
    node = json.loads(ask(agent, "GET", "/api/v1/nodes/node1"))
    node["status"]["nodeInfo"]["bootID"] = "the boot before"
    ask(agent, "PUT", "/api/v1/nodes/node1/status", node)
    agent.stop(signal.SIGKILL)
    for state in agent.root.glob("run/pods/*/*/state.json"):
        shim = int(json.loads(state.read_text())["pid"])
        for pid in [*living_children(shim), shim]:
            with suppress(ProcessLookupError):  # with its shim, or before
                os.kill(pid, signal.SIGKILL)
        until(lambda shim=shim: has_ended(shim), what="the shim to end")
        for path in Path(cgroup.find_mount(), "kubepods").rglob(f"pod{state.parents[1].name}"):
            until(lambda path=path: not cgroup.populated(str(path)), what="the containers to end")
            cgroup.remove(str(path))
    for name in (agent.root / "run/network/netns").iterdir():
        Path("/run/netns", os.readlink(name).partition(":")[2]).unlink()
    for directory in ("pods", "network"):
        shutil.rmtree(agent.root / "run" / directory)


def living_children(pid: int) -> list[int]:
    return children(pid) if Path(f"/proc/{pid}").exists() and not has_ended(pid) else []


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or before it was read
        return True


# F1: the agent is killed at any step


def test_an_agent_killed_at_any_moment_starts_nothing_twice_and_leaves_nothing(tmp_path: Path) -> None:
    """Pods come and go, and at random moments of that, and of its own start, the agent is killed. Each
    container holds a lock while it lives: a second instance would end with exit code 99, and be counted.
    """
    agent = make_agent(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    dice = random.Random(SEED)
    wanted: list[str] = []
    with no_leaks():
        agent.start()
        for number in range(KILLS):
            if dice.random() < 0.6 or len(wanted) < 2:
                wanted.append(f"pod-{number}")
                ask(agent, "POST", PODS, counting_pod(wanted[-1], out))
            else:
                ask(agent, "DELETE", f"{PODS}/{wanted.pop(dice.randrange(len(wanted)))}")
            time.sleep(dice.uniform(0, 0.12))  # the moment is the point
            agent.stop(signal.SIGKILL)
            if number % 3 == 0:
                agent.spawn()
                time.sleep(dice.uniform(0.1, 1.0))
                agent.stop(signal.SIGKILL)
            agent.start()
        until(lambda: running(agent) == sorted(wanted), limit=60, what=f"the pods {sorted(wanted)}")
        for name in wanted:
            check_counts(agent, name, out)
        uids = {agent.pod(name)["metadata"]["uid"] for name in wanted}
        for folder in ("lib/pods", "run/pods"):
            until(lambda folder=folder: set(os.listdir(agent.root / folder)) == uids, what=folder)
        agent.delete_everything()
        until(lambda: not os.listdir(agent.root / "lib/containers"), what="no layers left")
        assert not os.listdir(agent.root / "lib/pods")
        assert agent.stop() == 0
        remove_network(agent)


def counting_pod(name: str, out: Path) -> dict[str, Any]:
    """Each instance notes its start, and holds a lock while it lives."""
    mount = {"volumeMounts": [{"name": "out", "mountPath": "/out"}], "image": "localhost/host"}
    locked = f"exec flock -n -E 99 /out/{name}.lock sleep"
    first = {"name": "first", "command": ["sh", "-c", f"echo x >>/out/{name}.first; {locked} 0.02"]} | mount
    main = {"command": ["sh", "-c", f"echo x >>/out/{name}.main; {locked} infinity"]} | mount
    volume = {"name": "out", "hostPath": {"path": str(out)}}
    return simple_pod(name, container=main, initContainers=[first], volumes=[volume])


def running(agent: Agent) -> list[str]:
    pods = json.loads(ask(agent, "GET", PODS))["items"]
    names = [pod["metadata"]["name"] for pod in pods]
    return sorted(names) if all(ready(pod) == "True" for pod in pods) else []


def check_counts(agent: Agent, name: str, out: Path) -> None:
    """Nothing ended that was not ended on purpose, and every start is counted."""
    for container, kind in (("first", "first"), ("main", "main")):
        status = agent.container(name, container)
        starts = len((out / f"{name}.{kind}").read_text().split())
        assert (status["restartCount"], starts) == (0, 1), f"{name} {container}: {status}"
