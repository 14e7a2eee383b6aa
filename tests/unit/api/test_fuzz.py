"""Made-up requests find no error of the server itself: every answer is an object or a Status, and no
traceback is in the log. `MK_FUZZ=N` tries N requests, at random, instead of the few that are always the same.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from minikubelet.api import openapi
from minikubelet.api.discovery import group_versions
from tests.unit.api.conftest import Api, pod
from tests.unit.api.fuzzing import Request, requests

DOCUMENTS = {version: json.loads(openapi.document(version) or b"") for version in group_versions()}
AGAIN = 40  # requests after which what they have deleted is made again
NEEDS = {
    "Deployment": {"selector": {"matchLabels": {"a": "b"}}},
    "ReplicaSet": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}},
    "Job": {"suspend": True},
    "Service": {"ports": [{"port": 80}]},
    "PersistentVolumeClaim": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
}
EXAMPLES = int(os.environ.get("MK_FUZZ", "0"))


class Errors(logging.Handler):
    """What the server logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def taken(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def make_objects(api: Api) -> None:
    """One of every kind that can be made, called web."""
    container = {"name": "main", "image": "localhost/host"}
    for version, document in DOCUMENTS.items():
        for path, operations in document["paths"].items():
            if "post" not in operations or "{name}" in path:
                continue
            kind = operations["post"]["x-kubernetes-group-version-kind"]["kind"]
            body: dict[str, Any] = {"metadata": {"name": "web"}}
            if kind in NEEDS:
                body["spec"] = dict(NEEDS[kind])
            if kind == "Pod":
                body = pod("web", labels={"app": "web"})
            elif kind == "EndpointSlice":
                body |= {"addressType": "IPv4", "endpoints": []}
            elif kind == "PriorityClass":
                body["value"] = 1
            elif kind == "Event" and version == "v1":
                body["involvedObject"] = {"namespace": "default"}
            elif version in ("apps/v1", "batch/v1"):
                spec = {"containers": [container], **({"restartPolicy": "Never"} if kind == "Job" else {})}
                body["spec"]["template"] = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
            elif kind == "PodTemplate":
                body["template"] = {"spec": {"containers": [container]}}
            api.post(path.replace("{namespace}", "default"), body)


@pytest.fixture(scope="module")
def server():
    root = Path(tempfile.mkdtemp(prefix="mk-"))
    running = Api(root, None)
    running.errors = Errors()
    logging.getLogger().addHandler(running.errors)
    running.asked = 0
    yield running
    logging.getLogger().removeHandler(running.errors)
    running.close()
    shutil.rmtree(root)


@settings(
    max_examples=EXAMPLES or 600,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(request=requests(DOCUMENTS))
def test_no_request_finds_an_error_of_the_server(server, request: Request):
    if server.asked % AGAIN == 0:
        make_objects(server)
    server.asked += 1
    answer = server.request(
        request.method, request.path, request.body, request.type, request.accept, **request.query
    )
    assert server.errors.taken() == []
    assert answer.code != 500, answer.body
    told = answer.json
    assert told["kind"], told
    if answer.code >= 400:
        assert (told["kind"], told["status"], told["code"]) == ("Status", "Failure", answer.code)
        assert told["message"]
        assert told["reason"]
