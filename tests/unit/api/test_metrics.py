"""Group metrics.k8s.io over HTTP, and `kubectl top` beside `minikubelet top`."""

from __future__ import annotations

from tests.unit.api.conftest import PODS, pod
from tests.unit.api.test_reading import TABLE

BASE = "/apis/metrics.k8s.io/v1beta1"


def run_pod(api, name, **labels):
    assert api.post(PODS, pod(name, labels=labels)).code == 201
    api.bind(name)


def test_pods_that_run_are_measured_and_can_be_selected(api):
    run_pod(api, "web", app="web")
    run_pod(api, "db")
    api.post(PODS, pod("waiting"))
    found = api.get(f"{BASE}/pods").json
    assert (found["kind"], found["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["db", "web"]
    (item,) = api.get(f"{BASE}/namespaces/default/pods", labelSelector="app=web").json["items"]
    assert item["window"] == "500ms"
    assert item["containers"] == [{"name": "main", "usage": {"cpu": "250000000n", "memory": "20480Ki"}}]
    assert (
        api.get(f"{BASE}/pods", fieldSelector="metadata.name=db").json["items"][0]["metadata"]["name"] == "db"
    )
    assert api.get(f"{BASE}/namespaces/default/pods/web").json["kind"] == "PodMetrics"


def test_what_is_not_measured_is_not_found_in_the_servers_words(api):
    assert api.get(f"{BASE}/namespaces/default/pods/x").json["message"] == (
        'podmetrics.metrics.k8s.io "default/x" not found'
    )
    assert api.get(f"{BASE}/nodes/x").json["message"] == 'nodemetrics.metrics.k8s.io "x" not found'
    assert api.get(f"{BASE}/nodes").json["items"] == []


def test_the_node_is_measured_as_a_whole(api):
    api.post("/api/v1/nodes", {"metadata": {"name": "node"}})
    (item,) = api.get(f"{BASE}/nodes").json["items"]
    assert item["usage"] == {"cpu": "1000000000n", "memory": "1048576Ki"}


def test_nobody_can_write_or_watch_measurements(api):
    run_pod(api, "web")
    one = f"{BASE}/namespaces/default/pods/web"
    for method, path in (
        ("PUT", one),
        ("DELETE", one),
        ("PATCH", one),
        ("POST", f"{BASE}/namespaces/default/pods"),
    ):
        answer = api.request(method, path, {})
        assert (answer.code, answer.json["reason"]) == (405, "MethodNotAllowed"), method
    assert api.get(f"{BASE}/pods", watch="true").code == 405


def test_measurements_have_columns(api):
    run_pod(api, "web")
    table = api.request("GET", f"{BASE}/pods", accept=TABLE).json
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert table["rows"][0]["cells"] == ["web", "250000000n", "20480Ki", "500ms"]
