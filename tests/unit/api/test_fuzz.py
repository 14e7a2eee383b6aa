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
EXAMPLES = int(os.environ.get("MK_FUZZ", "0"))
CONTAINER = {"name": "main", "image": "localhost/host"}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
SELECTED = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "replicas": 0}
# One of each kind that can be made.
OBJECTS: dict[str, dict[str, Any]] = {
    "ConfigMap": {"data": {"a": "b"}},
    "Deployment": {"spec": SELECTED},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "EndpointSlice": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]},
    "Job": {"spec": {"suspend": True, "template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}},
    "Lease": {"spec": {"holderIdentity": "me"}},
    "Namespace": {},
    "Node": {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "Pod": pod("web", labels={"app": "web"}),
    "PodTemplate": {"template": TEMPLATE},
    "PriorityClass": {"value": 1},
    "ReplicaSet": {"spec": SELECTED},
    "Secret": {"stringData": {"a": "b"}},
    "Service": {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    "ServiceAccount": {},
}


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
    """One of every kind, called web."""
    for document in DOCUMENTS.values():
        for path, operations in document["paths"].items():
            if "post" in operations and "{name}" not in path:
                kind = operations["post"]["x-kubernetes-group-version-kind"]["kind"]
                body = {**OBJECTS.get(kind, {}), "metadata": {"name": "web"}}
                if kind == "Event":
                    body["involvedObject"] = {"namespace": "default"}
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
@given(request=requests(DOCUMENTS, OBJECTS))
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
