"""Volumes made of ConfigMaps, Secrets and the pod: what a container sees, and how it follows changes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from .conftest import Agent, simple_pod, until

SLEEP = ("sleep", "infinity")


def config_map(name: str, data: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data, **more}


def secret(name: str, data: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data, **more}


def pod_with(name: str, *volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Every volume is mounted at /v/<its name>."""
    mounts = [{"name": volume["name"], "mountPath": f"/v/{volume['name']}"} for volume in volumes]
    return simple_pod(name, *SLEEP, volumes=list(volumes), container={"volumeMounts": mounts}, **spec)


def inside(agent: Agent, pod: str, script: str) -> str:
    done = agent.call("exec", pod, "-c", "main", "--", "sh", "-c", script)
    return done.stdout + done.stderr


def mounted_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(f"{path}/")]


def test_a_container_sees_the_files_of_every_kind(agent: Agent) -> None:
    agent.apply(config_map("all", {"a": "1", "b.conf": "x = 2\n"}, binaryData={"raw": "/wA="}))
    agent.apply(secret("keys", {"token": "s3cret"}))
    pod = pod_with(
        "seen",
        {"name": "whole", "configMap": {"name": "all"}},
        {
            "name": "some",
            "configMap": {
                "name": "all",
                "items": [{"key": "b.conf", "path": "etc/b.conf", "mode": 0o600}, {"key": "a", "path": "a"}],
                "defaultMode": 0o444,
            },
        },
        {"name": "secret", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {
            "name": "pod",
            "downwardAPI": {
                "items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}, "mode": 0o440},
                    {
                        "path": "cpu",
                        "resourceFieldRef": {
                            "containerName": "main",
                            "resource": "requests.cpu",
                            "divisor": "1m",
                        },
                    },
                ]
            },
        },
        {
            "name": "joined",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {"configMap": {"name": "all", "items": [{"key": "a", "path": "a"}]}},
                    {"secret": {"name": "keys"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "d/uid", "fieldRef": {"fieldPath": "metadata.uid"}}]
                        }
                    },
                ],
            },
        },
        {"name": "absent", "configMap": {"name": "nobody", "optional": True}},
    )
    pod["metadata"]["labels"] = {"app": "seen", "a": "1"}
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "250m"}}
    agent.apply(pod)
    uid = agent.wait_running("seen")["metadata"]["uid"]

    listing = inside(
        agent, "seen", "cd /v && find -L . -type f -not -path '*/..*' -printf '%p %m %s\\n' | sort"
    )
    assert listing.splitlines() == [
        "./joined/a 440 1",
        "./joined/d/uid 440 36",
        "./joined/token 440 6",
        "./pod/cpu 644 3",
        "./pod/labels 644 16",
        "./pod/name 440 4",
        "./secret/token 400 6",
        "./some/a 444 1",
        "./some/etc/b.conf 600 6",
        "./whole/a 644 1",
        "./whole/b.conf 644 6",
        "./whole/raw 644 2",
    ]
    shown = inside(
        agent, "seen", "cd /v; cat whole/a some/etc/b.conf secret/token joined/d/uid pod/labels pod/cpu"
    )
    assert shown == f'1x = 2\ns3cret{uid}a="1"\napp="seen"250'

    # Hidden version, one link that is swapped, links for the names (10.4).
    links = inside(agent, "seen", "cd /v/whole && readlink a ..data && ls -A")
    first, version, *names = links.splitlines()
    assert first == "..data/a"
    assert sorted(names) == sorted([version, "..data", "a", "b.conf", "raw"])

    # Read-only whatever the manifest says, and in memory but for the ConfigMap (10.2).
    for name in ("whole", "secret", "pod", "joined"):
        assert "Read-only file system" in inside(agent, "seen", f"touch /v/{name}/x")
    kinds = inside(agent, "seen", "cd /v; stat -f -c %T secret pod joined whole").split()
    assert kinds[:3] == ["tmpfs", "tmpfs", "tmpfs"]
    directory = agent.root / "lib/pods" / uid
    mounted = mounted_below(directory)
    names = sorted(line.split()[4].rpartition("~")[2] for line in mounted)
    assert [name for name in names if "kube-api-access-" not in name] == [
        "downward-api/pod",
        "projected/joined",
        "secret/secret",
    ]
    assert len(mounted) == 4  # … and the token's
    agent.run("delete", "pod", "seen", "--grace-period=1")
    assert mounted_below(directory) == []
    assert not directory.exists()


def test_files_follow_their_objects_while_the_pod_runs(agent: Agent) -> None:
    """Also after the agent was killed: what is mounted is found again (10.5)."""
    agent.apply(config_map("live", {"a": "1", "gone": "x"}))
    agent.apply(config_map("fixed", {"a": "1"}, immutable=True))
    agent.apply(secret("token", {"t": "old"}))
    pod = pod_with(
        "follows",
        {"name": "live", "configMap": {"name": "live"}},
        {"name": "fixed", "configMap": {"name": "fixed"}},
        {"name": "token", "secret": {"secretName": "token"}},
        {"name": "later", "secret": {"secretName": "later", "optional": True}},
        {
            "name": "pod",
            "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
    )
    agent.apply(pod)
    started = agent.wait_running("follows")["status"]["containerStatuses"][0]

    def reads(path: str, content: str) -> None:
        until(lambda: inside(agent, "follows", f"cat /v/{path}") == content, what=f"{path} is {content!r}")

    agent.apply(config_map("live", {"a": "2", "new": "y"}))
    reads("live/a", "2")
    reads("live/new", "y")
    # Names are linked and unlinked one after the other, when the files are there already.
    until(lambda: inside(agent, "follows", "ls /v/live").split() == ["a", "new"], what="the old name goes")
    agent.run("label", "pod", "follows", "color=blue")
    reads("pod/labels", 'color="blue"')
    agent.apply(secret("later", {"x": "1"}))
    reads("later/x", "1")

    refused = agent.call(
        "apply", "-f", "-", stdin=json.dumps(config_map("fixed", {"a": "2"}, immutable=True))
    )
    assert "data: Forbidden: field is immutable when `immutable` is set" in refused.stderr
    agent.run("delete", "configmap", "fixed")
    agent.apply(config_map("fixed", {"a": "3"}))

    agent.stop(signal.SIGKILL)
    agent.start()
    agent.apply(secret("token", {"t": "new"}))
    reads("token/t", "new")

    # A Secret that is gone is told of, and takes nothing from who has it.
    agent.run("delete", "secret", "token")
    text = 'MountVolume.SetUp failed for volume "token" : secret "token" not found'
    until(lambda: any(event["message"] == text for event in agent.events("follows")), what=text)
    assert inside(agent, "follows", "cat /v/token/t") == "new"
    now = agent.container("follows")
    assert (now["containerID"], now["restartCount"]) == (started["containerID"], 0)


def test_an_immutable_object_is_kept_as_it_was_even_when_another_takes_its_name(agent: Agent) -> None:
    agent.apply(config_map("kept", {"a": "1"}, immutable=True))
    agent.apply(config_map("moves", {"a": "1"}))
    volumes = [{"name": name, "configMap": {"name": name}} for name in ("kept", "moves")]
    agent.apply(pod_with("keeps", *volumes))
    agent.wait_running("keeps")
    agent.run("delete", "configmap", "kept")
    agent.apply(config_map("kept", {"a": "2"}))
    agent.apply(config_map("moves", {"a": "2"}))
    until(lambda: inside(agent, "keeps", "cat /v/moves/a") == "2", what="the other one follows")
    assert inside(agent, "keeps", "cat /v/kept/a") == "1"


def test_a_pod_waits_for_its_objects_without_a_sandbox_and_starts_when_they_are_there(agent: Agent) -> None:
    volumes = (
        {"name": "c", "configMap": {"name": "missing", "items": [{"key": "k", "path": "k"}]}},
        {"name": "s", "secret": {"secretName": "keyless", "items": [{"key": "no", "path": "no"}]}},
    )
    agent.apply(pod_with("waits", *volumes))

    def said(text: str) -> bool:
        return any(
            event["message"] == text and event["reason"] == "FailedMount" for event in agent.events("waits")
        )

    missing = 'MountVolume.SetUp failed for volume "c" : configmap "missing" not found'
    until(lambda: said(missing), what=missing)
    other = 'MountVolume.SetUp failed for volume "s" : secret "keyless" not found'
    until(lambda: said(other), what=other)
    assert agent.container("waits")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert agent.pod("waits")["status"].get("podIP") is None
    agent.apply(config_map("missing", {}))
    no_key = 'MountVolume.SetUp failed for volume "c" : configmap references non-existent config key: k'
    until(lambda: said(no_key), what=no_key)
    agent.apply(config_map("missing", {"k": "1"}))
    agent.apply(secret("keyless", {"yes": ""}))
    no_secret_key = 'MountVolume.SetUp failed for volume "s" : references non-existent secret key: no'
    until(lambda: said(no_secret_key), what=no_secret_key)
    agent.apply(secret("keyless", {"no": "x"}))
    agent.wait_running("waits")
    assert inside(agent, "waits", "cat /v/c/k /v/s/no") == "1x"


def test_a_container_that_lacks_a_variable_starts_when_its_object_is_there(agent: Agent) -> None:
    pod = simple_pod("lacks", *SLEEP)
    pod["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "environment"}}]
    agent.apply(pod)

    def waiting() -> dict[str, Any]:
        return dict(agent.container("lacks").get("state", {}).get("waiting", {}))

    wanted = {"reason": "CreateContainerConfigError", "message": 'secret "environment" not found'}
    until(lambda: waiting() == wanted, what="the missing Secret is the reason")
    agent.apply(secret("environment", {"WORD": "found"}))
    agent.wait_running("lacks")
    assert inside(agent, "lacks", "echo $WORD") == "found\n"
