"""The subresource `scale`: a number, read and written by itself."""

from __future__ import annotations

import pytest

APPS = "/apis/apps/v1/namespaces/default"
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "localhost/host"}]},
}


@pytest.fixture(params=["deployments", "replicasets"])
def path(request, api):
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
    }
    body = {"metadata": {"name": "web"}, "spec": {"replicas": 0, "selector": selector, "template": TEMPLATE}}
    assert api.post(f"{APPS}/{request.param}", body).code == 201
    return f"{APPS}/{request.param}/web"


def test_a_scale_is_a_view_of_the_object(api, path):
    whole, scale = api.get(path).json, api.get(f"{path}/scale").json
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["metadata"]["uid"] == whole["metadata"]["uid"]
    assert scale["spec"] == {"replicas": 0}
    assert scale["status"]["selector"] == "app=web,!tier"


def test_writing_it_is_a_change_of_the_object(api, path):
    generation = api.get(path).json["metadata"]["generation"]
    for change in (
        lambda: api.request("PUT", f"{path}/scale", {"metadata": {"name": "web"}, "spec": {"replicas": 2}}),
        lambda: api.request(
            "PATCH", f"{path}/scale", {"spec": {"replicas": 3}}, "application/merge-patch+json"
        ),
        lambda: api.request(
            "PATCH",
            f"{path}/scale",
            [{"op": "replace", "path": "/spec/replicas", "value": 4}],
            "application/json-patch+json",
        ),
    ):
        answer = change()
        assert answer.code == 200, answer.json
        generation += 1
        whole = api.get(path).json
        assert whole["spec"]["replicas"] == answer.json["spec"]["replicas"]
        assert whole["metadata"]["generation"] >= generation
    assert whole["spec"]["replicas"] == 4


def test_a_stale_write_is_a_conflict(api, path):
    stale = {"metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"replicas": 2}}
    answer = api.request("PUT", f"{path}/scale", stale)
    assert (answer.code, answer.json["reason"]) == (409, "Conflict")


def test_a_dry_run_changes_nothing(api, path):
    patch = {"spec": {"replicas": 3}}
    answer = api.request("PATCH", f"{path}/scale", patch, "application/merge-patch+json", dryRun="All")
    assert answer.json["spec"]["replicas"] == 3
    assert api.get(path).json["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"spec": {"replicas": -1}}, 422),
        ({"spec": {"replicas": "many"}}, 400),
        ({"spec": {"replicas": 2**40}}, 400),
        ({"spec": []}, 400),
        ({"metadata": 3}, 400),
        ({"metadata": {"name": "other"}}, 400),
        ({"kind": "Pod"}, 400),
        ([], 400),
    ],
)
def test_nonsense_is_told(api, path, body, code):
    answer = api.request("PUT", f"{path}/scale", body)
    assert answer.code == code, answer.json
    assert answer.json["kind"] == "Status"
    assert api.get(path).json["spec"]["replicas"] == 0


def test_nothing_else_has_a_scale(api):
    assert api.get("/apis/batch/v1/namespaces/default/jobs/x/scale").code == 404
    assert api.get("/api/v1/namespaces/default/pods/x/scale").code == 404
    assert api.get(f"{APPS}/deployments/x/scale").code == 404
