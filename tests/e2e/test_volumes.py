"""Volumes of a real agent: claims and their data, images, groups, subPath and propagation, and the complete
example of the course text.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.linux import syscalls, trees

from .conftest import Agent, simple_pod, until
from .images import load_image

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


GROUP = 4711
LOOK = """
id -G
cat /image/file /ro/file /secret/key /sub/a
touch /image/x 2>/dev/null || echo image kept
touch /ro/x 2>/dev/null || echo claim kept
touch /rw/mine && stat -c '%g %a' /rw
stat -L -c '%g %a' /secret/key
stat -c '%g %a' /ro
ls -A /sub/none | wc -l
exec sleep 1000
"""


def test_what_a_pod_with_a_group_sees_of_volumes_of_every_kind(agent: Agent) -> None:
    """One pod for an image, claims, a Secret and parts of a ConfigMap (10.2, 10.6, 10.8); a restart of the
    agent; and nothing of it stays mounted.
    """
    load_image(agent, "example.com/data:1", ("file", b"in the image\n"))
    agent.apply(claim("rw"))
    agent.apply(claim("ro"))
    until(lambda: get_claim(agent, "ro").get("status", {}).get("phase") == "Bound", what="a bound claim")
    kept = agent.root / "lib/claims/default" / get_claim(agent, "ro")["metadata"]["uid"]
    (kept / "file").write_text("in the claim\n")
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    agent.apply(settings | {"data": {"a": "one\n"}})
    key = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key"},
        "stringData": {"key": "secret\n"},
    }
    agent.apply(key)
    volumes = [
        {"name": "image", "image": {"reference": "example.com/data:1", "pullPolicy": "Never"}},
        {"name": "rw", "persistentVolumeClaim": {"claimName": "rw"}},
        {"name": "ro", "persistentVolumeClaim": {"claimName": "ro", "readOnly": True}},
        {"name": "secret", "secret": {"secretName": "key", "defaultMode": 0o400}},
        {"name": "settings", "configMap": {"name": "settings"}},
    ]
    mounts = [
        *({"name": name, "mountPath": f"/{name}"} for name in ("image", "rw", "ro", "secret", "settings")),
        {"name": "settings", "mountPath": "/sub/a", "subPath": "a"},
        {"name": "settings", "mountPath": "/sub/none", "subPath": "none"},
    ]
    agent.apply(
        simple_pod(
            "kinds", "sh", "-c", LOOK, container={"volumeMounts": mounts}, volumes=volumes,
            securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": GROUP},
        )
    )  # fmt: skip
    agent.wait_running("kinds")
    seen = until(lambda: len(agent.run("logs", "kinds").splitlines()) == 11 and agent.run("logs", "kinds"))
    assert seen.splitlines() == [
        f"1000 {GROUP}", "in the image", "in the claim", "secret", "one", "image kept", "claim kept",
        f"{GROUP} 2777", f"{GROUP} 440", "0 777", "0",
    ]  # fmt: skip

    agent.stop(signal.SIGKILL)
    agent.start()
    agent.apply(settings | {"data": {"a": "two\n", "none": "some\n"}})

    def inside(*command: str) -> str:
        return agent.call("exec", "kinds", "--", *command).stdout

    until(lambda: inside("cat", "/settings/a") == "two\n", what="the volume follows its object")
    assert inside("cat", "/sub/a", "/image/file") == "one\nin the image\n"
    assert inside("ls", "-A", "/sub/none") == ""
    agent.run("delete", "pod", "kinds")
    agent.run("delete", "pvc", "rw", "ro")
    assert str(agent.root / "lib/pods") not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A mount that others get the mounts of, as every mount is where systemd is at work."""
    made = tmp_path / "shared"
    (made / "sub").mkdir(parents=True)
    tree = trees.clone_tree(str(made))
    syscalls.mount_setattr(tree, propagation=syscalls.MS_SHARED)
    trees.attach(tree, os.open(made, os.O_PATH))
    yield made
    syscalls.umount2(str(made), syscalls.MNT_DETACH)


def test_a_privileged_pod_mounts_for_the_node(agent: Agent, shared: Path) -> None:
    """10.7 Bidirectional, as a CSI driver uses it."""
    mount = {"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}
    agent.apply(
        simple_pod(
            "plumber", "sh", "-c", "mount -t tmpfs none /v/sub && touch /v/sub/inside && exec sleep 1000",
            container={"volumeMounts": [mount], "securityContext": {"privileged": True}},
            volumes=[{"name": "v", "hostPath": {"path": str(shared)}}],
        )
    )  # fmt: skip
    until(lambda: os.listdir(shared / "sub") == ["inside"], what="the mount is seen on the node")
    agent.run("delete", "pod", "plumber")
    assert os.listdir(shared / "sub") == ["inside"], "whoever mounts for the node unmounts for it"
    syscalls.umount2(str(shared / "sub"), syscalls.MNT_DETACH)
