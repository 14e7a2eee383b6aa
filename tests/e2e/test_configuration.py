"""Configuration reaches a container: ConfigMaps, Secrets, fields, files; what is missing is waited for."""

from __future__ import annotations

import base64
from typing import Any

from .conftest import Agent, simple_pod, until

CANARY = base64.b64encode(b"hunter2").decode()


def data(kind: str, name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": values}


def test_the_environment_comes_from_everywhere(agent: Agent) -> None:
    agent.apply(data("ConfigMap", "env-conf", HOST="db", PORT="5432"))
    agent.apply(data("Secret", "env-keys", password=CANARY))
    pod = simple_pod(
        "env",
        "sh", "-c", 'env; echo "args: $1"', "sh", "$(URL) $(NO)",
        restartPolicy="Never",
        initContainers=[
            {
                "name": "writes",
                "image": "localhost/host",
                "command": ["sh", "-c", "printf \"TOKEN='a b'\\n\" >/data/app.env"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        volumes=[{"name": "data", "emptyDir": {}}],
        container={
            "envFrom": [{"prefix": "DB_", "configMapRef": {"name": "env-conf"}}],
            "env": [
                {"name": "URL", "value": "$(DB_HOST):$(DB_PORT)"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "env-keys", "key": "password"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {
                    "name": "TOKEN",
                    "valueFrom": {
                        "fileKeyRef": {"volumeName": "data", "path": "app.env", "key": "TOKEN"}
                    },
                },
                {
                    "name": "NEVER",
                    "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}},
                },
            ],
        },
    )  # fmt: skip
    agent.apply(pod)
    until(lambda: agent.phase("env") == "Succeeded", what="env ends")
    lines = agent.run("logs", "env").splitlines()
    assert {"URL=db:5432", "PASSWORD=hunter2", "NODE=node1", "TOKEN=a b", "DB_HOST=db"} <= set(lines)
    assert "args: db:5432 $(NO)" in lines
    assert not [line for line in lines if line.startswith("NEVER")]
    agent.run("delete", "pod", "env")


def test_what_is_missing_is_told_and_the_container_starts_when_it_appears(agent: Agent) -> None:
    pod = simple_pod("waits", "sh", "-c", "echo $V; sleep infinity")
    reference = {"configMapKeyRef": {"name": "late", "key": "k"}}
    pod["spec"]["containers"][0]["env"] = [{"name": "V", "valueFrom": reference}]
    agent.apply(pod)
    waiting = until(
        lambda: agent.container("waits").get("state", {}).get("waiting", {}).get("message"), what="it waits"
    )
    assert waiting == 'configmap "late" not found'
    assert agent.container("waits")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert agent.phase("waits") == "Pending"
    agent.apply(data("ConfigMap", "late", other="x"))
    message = "couldn't find key k in ConfigMap default/late"
    until(lambda: agent.container("waits")["state"]["waiting"]["message"] == message, limit=60, what=message)
    agent.apply(data("ConfigMap", "late", k="here"))
    until(lambda: agent.phase("waits") == "Running", limit=60, what="it runs")
    until(lambda: agent.run("logs", "waits") == "here\n", what="its output")
    agent.run("delete", "pod", "waits")
