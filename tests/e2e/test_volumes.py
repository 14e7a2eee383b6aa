"""Volumes of a real agent: claims and their data, and the complete example of the course text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Agent, simple_pod, until

COMPLETE = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: datalake
spec:
  accessModes: [ReadWriteMany]
  resources:
    requests:
      storage: 1Gi
---
apiVersion: v1
kind: Pod
metadata:
  name: complete
spec:
  restartPolicy: Never
  imagePullSecrets:
  - name: registry
  volumes:
  - name: datalake
    persistentVolumeClaim:
      claimName: datalake
  containers:
  - name: main
    image: localhost/host
    command: ["/bin/bash", "-c", "--"]
    args: ["set -e; echo 42 > /mnt/datalake/answer; cat /mnt/datalake/answer; echo $BASH_VERSION | cut -c1"]
    volumeMounts:
    - name: datalake
      mountPath: /mnt/datalake/
    resources:
      limits:
        memory: 2Gi
        cpu: 200m
      requests:
        memory: 2Gi
        cpu: 200m
"""


def claim(name: str, **spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    metadata = {"name": name}
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted,
    }  # fmt: skip


def user_of(claim_name: str, name: str, *command: str) -> dict[str, Any]:
    """A pod with the claim at /data."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    return simple_pod(
        name, *command, container={"volumeMounts": mounts}, volumes=volumes, restartPolicy="Never"
    )


def get_claim(agent: Agent, name: str) -> dict[str, Any]:
    done = agent.call("get", "pvc", name, "-o", "json")
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


@pytest.mark.limits
def test_the_complete_example_of_the_course_runs(agent: Agent) -> None:
    done = agent.call("apply", "-f", "-", stdin=COMPLETE)
    assert done.returncode == 0, done.stderr
    until(lambda: agent.phase("complete") == "Succeeded", what="the complete example Succeeded")
    assert agent.run("logs", "complete") == "42\n5\n"
    agent.run("delete", "pod", "complete")
    agent.run("delete", "pvc", "datalake")


def test_a_pod_waits_for_its_claim_and_the_claim_for_its_pods(agent: Agent) -> None:
    agent.apply(user_of("ledger", "first", "sh", "-c", "echo kept > /data/file; sleep 1000"))
    until(lambda: agent.pod("first")["status"].get("conditions"), what="the scheduler's word")
    (condition,) = agent.pod("first")["status"]["conditions"]
    assert condition["reason"] == "Unschedulable"
    assert 'persistentvolumeclaim "ledger" not found' in condition["message"]
    agent.apply(claim("ledger"))
    agent.wait_running("first")
    found = get_claim(agent, "ledger")
    assert found["status"]["phase"] == "Bound"
    data = agent.root / "lib/claims/default" / found["metadata"]["uid"]
    until(lambda: (data / "file").exists(), what="the file on the node")

    agent.run("delete", "pod", "first")
    agent.apply(user_of("ledger", "second", "sh", "-c", "cat /data/file; sleep 1000"))
    until(lambda: agent.run("logs", "second", check=False) == "kept\n", what="the data of the first pod")

    agent.run("delete", "pvc", "ledger", "--wait=false")
    assert "deletionTimestamp" in get_claim(agent, "ledger")["metadata"]
    assert (data / "file").read_text() == "kept\n"
    agent.apply(user_of("ledger", "third", "true"))
    until(lambda: "is being deleted" in json.dumps(agent.pod("third").get("status", {})), what="third waits")
    agent.run("delete", "pod", "second", "third")
    until(lambda: not get_claim(agent, "ledger"), what="the claim is gone with its last pod")
    assert not data.exists()


def test_a_claim_survives_the_agent(fresh_agent: Agent) -> None:
    fresh_agent.start()
    fresh_agent.apply(claim("ledger"))
    fresh_agent.apply(user_of("ledger", "first", "sleep", "1000"))
    fresh_agent.wait_running("first")
    fresh_agent.run("delete", "pvc", "ledger", "--wait=false")
    fresh_agent.stop()
    fresh_agent.start()
    assert get_claim(fresh_agent, "ledger")["status"]["phase"] == "Bound"
    fresh_agent.run("delete", "pod", "first")
    until(lambda: not get_claim(fresh_agent, "ledger"), what="the claim is gone")
    assert not list((fresh_agent.root / "lib/claims").glob("*/*"))


def test_a_claim_that_cannot_be_bound_says_why(agent: Agent) -> None:
    agent.apply(claim("block", volumeMode="Block"))
    until(lambda: agent.events("block"), what="an Event")
    assert get_claim(agent, "block")["status"]["phase"] == "Pending"
    assert "no block devices" in agent.events("block")[0]["message"]
    agent.run("delete", "pvc", "block")
