"""Rules of a pod's life that only a whole node can show: restart rules, messages, who a container is, how a
pod ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from .conftest import FACTOR, Agent, simple_pod, until

RULE = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
FIRST_TIME_42 = """
if [ -e /data/second ]; then echo again; exec sleep infinity; fi
touch /data/second; echo once; sleep 1; exit 42
"""


def test_one_exit_code_restarts_all_containers_in_the_same_sandbox(agent: Agent) -> None:
    data = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    rule = {"restartPolicy": "Never", "restartPolicyRules": [RULE]}
    pod = simple_pod(
        "all",
        "sh",
        "-c",
        FIRST_TIME_42,
        restartPolicy="Never",
        volumes=[{"name": "data", "emptyDir": {}}],
        container=data | rule,
        initContainers=[
            {
                "name": "prepare",
                "image": "localhost/host",
                "command": ["sh", "-c", "echo x >> /data/prepared"],
                **data,
            }
        ],
    )
    pod["spec"]["containers"].append(
        {"name": "helper", "image": "localhost/host", "command": ["sleep", "infinity"]}
    )
    agent.apply(pod)
    address = agent.wait_running("all")["status"]["podIP"]
    until(lambda: agent.container("all").get("restartCount") == 1, what="main has restarted")
    until(lambda: agent.container("all", "helper")["state"].get("running"), what="helper runs again")
    status = agent.wait_running("all")["status"]
    assert status["podIP"] == address
    assert agent.container("all", "prepare")["restartCount"] == 1
    for name in ("main", "helper"):
        one = agent.container("all", name)
        assert one["restartCount"] == 1, name
        assert one["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
    assert agent.run("exec", "all", "-c", "main", "--", "cat", "/data/prepared") == "x\nx\n"
    condition = next(c for c in status["conditions"] if c["type"] == "AllContainersRestarting")
    assert condition["status"] == "False"
    killings = [e["message"] for e in agent.events("all") if e["reason"] == "Killing"]
    assert killings == ["killing"], "the helper; the source was dead"
    until(lambda: agent.run("logs", "all", "-c", "main") == "again\n", what="the new instance has spoken")
    (kept,) = agent.root.rglob("default_all_*/main/0.log")
    assert "once" in kept.read_text()
    agent.run("delete", "pod", "all")


def test_a_restart_rule_brings_one_container_back(agent: Agent) -> None:
    script = "[ -e /data/second ] && exit 5; touch /data/second; exit 3"
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}
    agent.apply(
        simple_pod(
            "rule",
            "sh",
            "-c",
            script,
            restartPolicy="Never",
            volumes=[{"name": "data", "emptyDir": {}}],
            container={
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "restartPolicy": "Never",
                "restartPolicyRules": [rule],
            },
        )
    )
    until(lambda: agent.phase("rule") == "Failed", what="rule Failed")
    main = agent.container("rule")
    assert main["restartCount"] == 1
    assert main["state"]["terminated"]["exitCode"] == 5
    assert main["lastState"]["terminated"]["exitCode"] == 3
    agent.run("delete", "pod", "rule")


def test_termination_messages_share_12_kib_and_keep_the_beginning_of_the_end(agent: Agent) -> None:
    """Of the file the last 4096 bytes are read; of those, with four containers, the first 3072 are shown."""
    script = "for part in 1000.a 3072.b 1024.c; do head -c ${part%.*} /dev/zero | tr '\\0' ${part#*.}; done"
    pod = simple_pod("messages", "sh", "-c", f"({script}) > /dev/termination-log", restartPolicy="Never")
    (main,) = pod["spec"]["containers"]
    pod["spec"]["containers"] = [main | {"name": f"c{number}"} for number in range(4)]
    agent.apply(pod)
    until(lambda: agent.phase("messages") == "Succeeded", what="messages Succeeded")
    for number in range(4):
        ended = agent.container("messages", f"c{number}")["state"]["terminated"]
        assert ended["message"] == "b" * 3072
    agent.run("delete", "pod", "messages")


def test_a_status_says_who_the_container_is_and_what_it_has(agent: Agent) -> None:
    pod = simple_pod(
        "fields",
        "sh",
        "-c",
        "grep -E '^(Uid|Gid|Groups):' /proc/self/status; sleep infinity",
        securityContext={"runAsUser": 1234, "runAsGroup": 2345, "supplementalGroups": [3456]},
        volumes=[{"name": "data", "emptyDir": {}}],
        container={
            "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
            "resources": {"requests": {"cpu": "10m"}},
        },
    )
    agent.apply(pod)
    found = agent.wait_running("fields")
    main, status = agent.container("fields"), found["status"]
    assert main["user"] == {"linux": {"uid": 1234, "gid": 2345, "supplementalGroups": [2345, 3456]}}
    said = ("logs", "fields")
    until(lambda: "Groups:" in agent.run(*said), what="its own view of that")
    seen = agent.run(*said).split()
    assert (seen[1], seen[6], seen[11:]) == ("1234", "2345", ["2345", "3456"])
    read_only = {"readOnly": True, "recursiveReadOnly": "Disabled"}
    data, token = main["volumeMounts"]
    assert data == {"name": "data", "mountPath": "/data", **read_only}
    assert token.pop("name").startswith("kube-api-access-")
    assert token == {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", **read_only}
    assert main["resources"] == {"requests": {"cpu": "10m"}}
    assert main["allocatedResources"] == {"cpu": "10m"}
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    generation = found["metadata"]["generation"]
    assert status["observedGeneration"] == generation
    assert {c["observedGeneration"] for c in status["conditions"]} == {generation}
    agent.run("delete", "pod", "fields")


def test_the_active_deadline_ends_a_pod_which_stays_to_be_seen(agent: Agent) -> None:
    agent.apply(simple_pod("deadline", "sleep", "infinity", activeDeadlineSeconds=2))
    until(lambda: agent.phase("deadline") == "Failed", what="deadline Failed")
    status = agent.pod("deadline")["status"]
    text = "Pod was active on the node longer than the specified deadline"
    assert (status["reason"], status["message"]) == ("DeadlineExceeded", text)
    seen = [(e["type"], e["reason"], e["message"]) for e in agent.events("deadline")][-2:]
    assert seen == [("Normal", "DeadlineExceeded", text), ("Normal", "Killing", "Stopping container main")]
    agent.run("delete", "pod", "deadline")


def test_a_watcher_sees_a_deletion_in_its_steps(agent: Agent) -> None:
    """Asked to go; all dead and only then a terminal phase; gone."""
    script = "trap 'sleep 1; exit 0' TERM; echo obedient; while :; do sleep 0.1; done"
    agent.apply(simple_pod("going", "sh", "-c", script))
    until(lambda: "obedient" in agent.run("logs", "going", check=False), what="it may be asked to go")
    agent.wait_running("going")
    command = ["get", "pods", "--watch", "--output-watch-events", "-o", "json"]
    watch = subprocess.Popen(
        [sys.executable, "-m", "minikubelet", "--root", str(agent.root), *command],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watch.stdout is not None
        text = watch.stdout.readline()
        agent.run("delete", "pod", "going", "--grace-period=20", limit=30)
        agent.apply(simple_pod("last", "true"))
        while '"name": "last"' not in text:
            text += watch.stdout.readline()
    finally:
        watch.terminate()
        watch.communicate(timeout=30 * FACTOR)
    steps = deletion_steps(text)
    assert steps == [
        ("ADDED", False, "Running", "running"),
        ("MODIFIED", True, "Running", "running"),
        ("MODIFIED", True, "Succeeded", "terminated"),
        ("DELETED", True, "Succeeded", "terminated"),
    ]
    agent.run("delete", "pod", "last", "--grace-period=1")


def deletion_steps(text: str) -> list[tuple[Any, ...]]:
    """(event, being deleted, phase, state of main) of `going`, without repetitions."""
    steps: list[tuple[Any, ...]] = []
    decoder = json.JSONDecoder()
    while True:
        try:
            event, end = decoder.raw_decode(text)
        except ValueError:
            return steps  # the rest is only the beginning of one
        text = text[end:].lstrip()
        pod = event["object"]
        if pod["metadata"]["name"] != "going":
            continue
        (main,) = pod["status"]["containerStatuses"]
        deleted = "deletionTimestamp" in pod["metadata"]
        step = (event["type"], deleted, pod["status"]["phase"], next(iter(main["state"])))
        if steps[-1:] != [step]:
            steps.append(step)
