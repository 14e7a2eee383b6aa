"""`pods/resize`: cpu and memory of a pod that exists, in the API server's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import PODS, pod

STRATEGIC = "application/strategic-merge-patch+json"
PATH = f"{PODS}/a/resize"
ASKED = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}


def sized(*, resources: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    made = pod("a")
    made["spec"]["containers"][0]["resources"] = ASKED if resources is None else resources
    made["spec"] |= spec
    return made


def resize(api: Any, resources: dict[str, Any], field: str = "containers", name: str = "main") -> Any:
    return api.request("PATCH", PATH, {"spec": {field: [{"name": name, "resources": resources}]}}, STRATEGIC)


@pytest.fixture
def web(api):
    api.post(PODS, sized())
    return api


def test_cpu_and_memory_are_changed_and_nothing_else_is_taken(web):
    body = web.get(PATH).json
    body["spec"]["containers"][0] |= {"resources": {**ASKED, "limits": {"cpu": "2", "memory": "128Mi"}}}
    body["spec"]["containers"][0]["image"] = "other"
    body["metadata"]["labels"] = {"x": "y"}
    answer = web.request("PUT", PATH, body)
    assert answer.code == 200, answer.json
    container = answer.json["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "128Mi"}
    assert container["image"] == "localhost/host"
    assert "labels" not in answer.json["metadata"]
    assert answer.json["metadata"]["generation"] == 2


def test_a_strategic_patch_merges_by_name_as_kubectl_does(web):
    answer = resize(web, {"limits": {"memory": "256Mi"}})
    assert answer.json["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "200m", "memory": "256Mi"},
    }
    assert resize(web, {"limits": {"memory": "256Mi"}}).json["metadata"]["generation"] == 2, "nothing is new"


def test_the_policy_may_be_changed_with_it(web):
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    patch = {"spec": {"containers": [{"name": "main", "resizePolicy": policy}]}}
    answer = web.request("PATCH", PATH, patch, STRATEGIC)
    assert answer.code == 200, answer.json
    assert {"resourceName": "memory", "restartPolicy": "RestartContainer"} in (
        answer.json["spec"]["containers"][0]["resizePolicy"]
    )


def test_the_pod_as_a_whole_is_resized(api):
    whole = {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "500m", "memory": "64Mi"}}
    made = sized(resources={})
    made["spec"]["resources"] = whole
    api.post(PODS, made)
    answer = api.request("PATCH", PATH, {"spec": {"resources": {"limits": {"cpu": "2"}}}}, STRATEGIC)
    assert answer.code == 200, answer.json
    assert answer.json["spec"]["resources"]["limits"] == {"cpu": "2", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        pytest.param(
            {"limits": {"cpu": "100m", "memory": "64Mi"}},
            'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
            id="Burstable to Guaranteed",
        ),
        pytest.param(
            {"limits": {"memory": None}},
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            id="a limit removed",
        ),
        pytest.param(
            {"requests": None, "limits": None},
            'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
            id="everything removed",
        ),
        pytest.param(
            {"limits": {"ephemeral-storage": "1Gi"}},
            "spec: Forbidden: only cpu and memory resources are mutable",
            id="another resource",
        ),
        pytest.param(
            {"requests": {"cpu": "500m"}},
            'spec.containers[0].resources.requests: Invalid value: "500m": '
            "must be less than or equal to cpu limit of 200m",
            id="a request above its limit",
        ),
    ],
)
def test_what_a_resize_may_not_do(web, resources, message):
    answer = resize(web, resources)
    assert answer.code == 422, answer.json
    assert message in answer.json["message"]
    assert web.get(PATH).json["metadata"]["generation"] == 1


def test_a_removed_request_is_refused(web):
    body = web.get(PATH).json
    del body["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    del body["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    answer = web.request("PUT", PATH, body)
    assert answer.json["message"] == (
        'Pod "a" is invalid: ['
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed, "
        "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed]"
    )


def test_containers_are_neither_added_nor_moved(web):
    body = web.get(PATH).json
    second = {**body["spec"]["containers"][0], "name": "second"}
    added = body | {"spec": body["spec"] | {"containers": [*body["spec"]["containers"], second]}}
    assert web.request("PUT", PATH, added).json["message"] == (
        'Pod "a" is invalid: spec.containers: Forbidden: containers may not be added or removed on resize'
    )
    renamed = body | {"spec": body["spec"] | {"containers": [second]}}
    assert web.request("PUT", PATH, renamed).json["message"] == (
        'Pod "a" is invalid: spec.containers[0].name: Forbidden: '
        "containers may not be renamed or reordered on resize"
    )


def test_a_static_pod_is_not_resized(api):
    made = sized(nodeName="node")
    made["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "hash"}
    api.post(PODS, made)
    answer = resize(api, {"limits": {"cpu": "1"}})
    assert answer.json["message"] == 'Pod "a" is invalid: : Forbidden: static pods cannot be resized'


def test_the_ordinary_update_still_changes_no_resources(web):
    patch = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "2"}}}]}}
    answer = web.request("PATCH", f"{PODS}/a", patch, STRATEGIC)
    assert answer.code == 422
    assert "pod updates may not change fields other than" in answer.json["message"]


def test_init_containers_and_sidecars_are_resized(api):
    setup = {"name": "setup", "image": "localhost/host", "resources": ASKED}
    api.post(PODS, sized(initContainers=[setup, {**setup, "name": "side", "restartPolicy": "Always"}]))
    for name in ("setup", "side"):
        answer = resize(api, {"limits": {"cpu": "1"}}, "initContainers", name)
        assert answer.code == 200, answer.json
    limits = [one["resources"]["limits"]["cpu"] for one in api.get(PATH).json["spec"]["initContainers"]]
    assert limits == ["1", "1"]


def test_discovery_lists_it(api):
    listed = {one["name"]: one for one in api.get("/api/v1").json["resources"]}
    assert listed["pods/resize"]["verbs"] == ["get", "patch", "update"]
    assert listed["pods/resize"]["kind"] == "Pod"
