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
    return str(json.loads(ask(agent, "GET", PODS))["metadata"]["resourceVersion"])


def history(agent: Agent, name: str, since: str) -> list[tuple[str, Object]]:
    """Everything a watcher would have been told of the pod since then: (ADDED, object) and so on."""
    body = ask(agent, "GET", f"{PODS}?watch=true&resourceVersion={since}&timeoutSeconds=1")
    changes = [json.loads(line) for line in body.splitlines()]
    return [(c["type"], c["object"]) for c in changes if c["object"]["metadata"].get("name") == name]


def ready(pod: Object) -> str:
    """The status of the condition Ready."""
    found = [c["status"] for c in pod.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]
    return str(found[0]) if found else "unset"


def ask(agent: Agent, method: str, path: str, body: Object | None = None) -> bytes:
    """One request to the agent, without a command around it."""
    connection = _UnixConnection(str(agent.root / "run/minikubelet.sock"))
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status < 300, f"{method} {path}: {content.decode()}"
    return content
