"""What happened to the pods since a revision: the store keeps its log, so a watch may begin in the past."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from .conftest import Agent

Object = dict[str, Any]
PODS = "/api/v1/namespaces/default/pods"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def revision(agent: Agent) -> str:
    """Now."""
    return str(json.loads(_get(agent, PODS))["metadata"]["resourceVersion"])


def history(agent: Agent, name: str, since: str) -> list[tuple[str, Object]]:
    """Everything a watcher would have been told of the pod since then: (ADDED, object) and so on."""
    body = _get(agent, f"{PODS}?watch=true&resourceVersion={since}&timeoutSeconds=1")
    changes = [json.loads(line) for line in body.splitlines()]
    return [(c["type"], c["object"]) for c in changes if c["object"]["metadata"].get("name") == name]


def ready(pod: Object) -> str:
    """The status of the condition Ready."""
    found = [c["status"] for c in pod.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]
    return str(found[0]) if found else "unset"


def _get(agent: Agent, path: str) -> bytes:
    connection = _UnixConnection(str(agent.root / "run/minikubelet.sock"))
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, body
    return body
