"""Parts of a pod with a path of their own: what may be written there, and what may not."""

from __future__ import annotations

import json

import pytest

from tests.unit.api.conftest import PODS, pod

STRATEGIC = "application/strategic-merge-patch+json"
PATH = f"{PODS}/a/ephemeralcontainers"


def debugger(name: str = "look", **fields):
    return {"name": name, "image": "localhost/host", "stdin": True, "tty": True} | fields


def add(api, *containers):
    patch = {"spec": {"ephemeralContainers": list(containers)}}
    return api.request("PATCH", PATH, patch, STRATEGIC)


@pytest.fixture
def web(api):
    api.post(PODS, pod("a"))
    return api


def test_an_ephemeral_container_is_added_as_kubectl_debug_does(web):
    answer = add(web, debugger(targetContainerName="main", resources={}))
    assert answer.code == 200, answer.json
    (added,) = answer.json["spec"]["ephemeralContainers"]
    assert added["imagePullPolicy"] == "Always"
    assert added["terminationMessagePolicy"] == "File"
    assert answer.json["metadata"]["generation"] == 2
    add(web, debugger("second"))
    names = [one["name"] for one in web.get(PATH).json["spec"]["ephemeralContainers"]]
    assert sorted(names) == ["look", "second"]


def test_nothing_but_the_ephemeral_containers_is_taken(web):
    body = web.get(PATH).json
    body["spec"]["ephemeralContainers"] = [debugger()]
    body["spec"]["containers"][0]["image"] = "other"
    body["metadata"]["labels"] = {"x": "y"}
    written = web.request("PUT", PATH, body).json
    assert written["spec"]["containers"][0]["image"] == "localhost/host"
    assert "labels" not in written["metadata"]
    assert written["spec"]["ephemeralContainers"][0]["name"] == "look"


@pytest.mark.parametrize(
    ("container", "message"),
    [
        pytest.param(
            debugger(targetContainerName="none"),
            'spec.ephemeralContainers[0].targetContainerName: Not found: "none"',
            id="no such target",
        ),
        pytest.param(
            debugger("main"), 'spec.ephemeralContainers[0].name: Duplicate value: "main"', id="name is taken"
        ),
        pytest.param(
            debugger(resources={"limits": {"cpu": "1"}}),
            "spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container",
            id="resources",
        ),
        pytest.param(
            debugger(livenessProbe={"tcpSocket": {"port": 80}}),
            "spec.ephemeralContainers[0].livenessProbe: Forbidden: cannot be set for an Ephemeral Container",
            id="a probe",
        ),
    ],
)
def test_what_it_may_not_have(web, container, message):
    answer = add(web, container)
    assert answer.code == 422
    assert message in answer.json["message"]
    assert "ephemeralContainers" not in web.get(f"{PODS}/a").json["spec"]


def test_what_is_there_is_neither_changed_nor_removed(web):
    add(web, debugger())
    body = web.get(PATH).json
    changed = json.loads(json.dumps(body))
    changed["spec"]["ephemeralContainers"][0]["image"] = "other"
    assert (
        'existing ephemeral containers "look" may not be changed'
        in web.request("PUT", PATH, changed).json["message"]
    )
    del body["spec"]["ephemeralContainers"]
    assert (
        'existing ephemeral containers "look" may not be removed'
        in web.request("PUT", PATH, body).json["message"]
    )


def test_neither_a_new_pod_nor_an_ordinary_update_may_have_them(web):
    body = pod("b")
    body["spec"]["ephemeralContainers"] = [debugger()]
    assert (
        "spec.ephemeralContainers: Forbidden: cannot be set on create" in web.post(PODS, body).json["message"]
    )
    present = web.get(f"{PODS}/a").json
    present["spec"]["ephemeralContainers"] = [debugger()]
    answer = web.request("PUT", f"{PODS}/a", present)
    assert answer.code == 422
    assert "pod updates may not change fields other than" in answer.json["message"]


def test_a_stale_write_is_a_conflict(web):
    body = web.get(PATH).json
    add(web, debugger("first"))
    body["spec"]["ephemeralContainers"] = [debugger("second")]
    assert web.request("PUT", PATH, body).code == 409


def test_discovery_offers_it(web):
    resources = {entry["name"]: entry for entry in web.get("/api/v1").json["resources"]}
    assert sorted(resources["pods/ephemeralcontainers"]["verbs"]) == ["get", "patch", "update"]
