"""Watches and Tables over HTTP."""

from __future__ import annotations

import json
import socket

import pytest

from tests.unit.api.conftest import PODS, pod
from tests.unit.api.waiting import wait_for

TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
MERGE = "application/merge-patch+json"


class Watch:
    """A watch that is read line by line."""

    def __init__(self, api, path=PODS, accept="application/json", **query):
        self.connection = api.connect()
        parameters = "&".join(f"{key}={value}" for key, value in {"watch": "true", **query}.items())
        self.connection.request("GET", f"{path}?{parameters}", headers={"Accept": accept})
        self.response = self.connection.getresponse()

    def next(self):
        event = json.loads(self.response.readline())
        return event["type"], event["object"]

    def name(self):
        kind, obj = self.next()
        return kind, obj["metadata"]["name"]

    def close(self):
        self.connection.close()


def test_a_watch_from_nothing_begins_with_what_is_there(api):
    api.post(PODS, pod("a"))
    for revision in ("", "0"):
        watch = Watch(api, resourceVersion=revision)
        assert watch.name() == ("ADDED", "a")
        watch.close()


def test_a_watch_from_a_revision_sees_every_later_change(api):
    revision = api.get(PODS).json["metadata"]["resourceVersion"]
    api.post(PODS, pod("a"))
    watch = Watch(api, resourceVersion=revision)
    assert watch.name() == ("ADDED", "a")
    api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE)
    assert watch.name() == ("MODIFIED", "a")
    api.request("DELETE", f"{PODS}/a")
    kind, obj = watch.next()
    while kind == "MODIFIED":
        kind, obj = watch.next()
    assert (kind, obj["kind"], obj["apiVersion"]) == ("DELETED", "Pod", "v1")
    watch.close()


def test_a_filtered_watch_sees_objects_enter_and_leave(api):
    watch = Watch(api, labelSelector="x%3Dy")
    api.post(PODS, pod("a"))
    for label in ("y", "z"):
        api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": label}}}, MERGE)
    assert [watch.name(), watch.name()] == [("ADDED", "a"), ("DELETED", "a")]
    watch.close()


def test_a_watch_on_one_object_sees_only_it(api):
    for name in ("a", "b"):
        api.post(PODS, pod(name))
    watch = Watch(api, f"{PODS}/b")
    assert watch.name() == ("ADDED", "b")
    watch.close()


def test_a_watch_for_a_time_that_is_none_does_not_begin(api):
    for seconds in ("x", "9" * 30):
        answer = api.get(PODS, watch="true", timeoutSeconds=seconds)
        assert (answer.code, answer.json["reason"]) == (400, "BadRequest")


def test_a_watch_ends_when_its_time_is_over(api):
    watch = Watch(api, resourceVersion="1", timeoutSeconds="1")
    while watch.response.readline():
        pass
    watch.close()


def test_a_watch_from_a_forgotten_revision_is_expired(api):
    api.post(PODS, pod("a"))
    api.inside(lambda: api.node.store.compact(api.node.store.revision))
    answer = api.get(PODS, watch="true", resourceVersion="1")
    assert (answer.code, answer.json["reason"]) == (410, "Expired")
    assert answer.json["message"].startswith("too old resource version: 1 (")


def test_a_client_that_vanishes_ends_its_watch(api):
    before = api.inside(lambda: len(api.node.store._watches))
    for _ in range(20):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(api.paths.socket))
        sock.sendall(f"GET {PODS}?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b"200 OK" in sock.recv(100)
        sock.close()
    wait_for(lambda: api.inside(lambda: len(api.node.store._watches)) == before)


def test_bad_parameters_are_bad_requests(api):
    for query in (
        {"watch": "maybe"},
        {"limit": "x"},
        {"labelSelector": "a in b"},
        {"watch": "1", "resourceVersion": "x"},
    ):
        assert api.get(PODS, **query).code == 400, query


# Tables.


def table(api, path, **query):
    answer = api.request("GET", path, accept=TABLE, **query).json
    assert (answer["kind"], answer["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    return answer


def test_a_table_has_columns_and_the_metadata_of_its_rows(api):
    api.post(PODS, pod("a", labels={"x": "y"}))
    answer = table(api, PODS)
    assert [column["name"] for column in answer["columnDefinitions"] if column["priority"] == 0] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]
    (row,) = answer["rows"]
    assert row["cells"][:4] == ["a", "0/1", "Pending", "0"]
    assert row["cells"][5:] == ["<none>"] * 4
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["labels"] == {"x": "y"}
    assert table(api, PODS, includeObject="Object")["rows"][0]["object"]["spec"]
    assert table(api, PODS, includeObject="None")["rows"][0]["object"] is None
    assert table(api, f"{PODS}/a")["rows"][0]["cells"][0] == "a"


def test_only_the_first_table_of_a_watch_has_column_definitions(api):
    for name in ("a", "b"):
        api.post(PODS, pod(name))
    watch = Watch(api, accept=TABLE)
    definitions = [watch.next()[1]["columnDefinitions"] for _ in range(2)]
    assert definitions[0]
    assert definitions[1] is None
    watch.close()


def test_a_client_that_prefers_plain_objects_gets_them(api):
    assert api.request("GET", PODS, accept="application/json").json["kind"] == "PodList"
    assert (
        api.request("GET", PODS, accept="application/vnd.kubernetes.protobuf, */*").json["kind"] == "PodList"
    )


# Discovery and the rest that is asked first.


def test_discovery_says_the_same_in_both_forms(api):
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    aggregated = api.request("GET", "/api", accept=accept)
    assert aggregated.headers["Content-Type"].endswith("as=APIGroupDiscoveryList")
    (core,) = aggregated.json["items"]
    new = {resource["resource"] for resource in core["versions"][0]["resources"]}
    old = {entry["name"] for entry in api.get("/api/v1").json["resources"] if "/" not in entry["name"]}
    assert new == old
    assert "pods" in new
    groups = {item["metadata"]["name"] for item in api.request("GET", "/apis", accept=accept).json["items"]}
    assert groups == {group["name"] for group in api.get("/apis").json["groups"]}
    older = accept.replace("v=v2;", "v=v2beta1;")
    assert api.request("GET", "/api", accept=older).json["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    for group in groups:
        assert api.get(f"/apis/{group}").json["name"] == group
    assert api.get("/apis/nope").code == 404


def test_version_and_health(api):
    assert api.get("/version").json["gitVersion"].startswith("v1.32.")
    assert api.get("/version").headers["Cache-Control"] == "no-cache, private"
    assert [api.get(path).body for path in ("/healthz", "/livez", "/readyz/")] == [b"ok"] * 3
    openapi = api.get("/openapi/v2")
    assert (openapi.code, openapi.body) == (200, b"")
    assert "@" not in openapi.headers["Content-Type"]


def test_health_is_told_check_by_check(api):
    assert api.get("/readyz", verbose="").body == b"[+]ping ok\n[+]store ok\nreadyz check passed\n"
    assert api.get("/livez", verbose="", exclude="store").body == b"[+]ping ok\nlivez check passed\n"
    assert api.get("/livez/store").body == b"ok"
    assert api.get("/livez/nope").code == 404
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.node.store, "list", lambda resource: 1 / 0)
        answer = api.get("/readyz")
    assert (answer.code, answer.body) == (
        500,
        b"[+]ping ok\n[-]store failed: reason withheld\nreadyz check failed\n",
    )


def test_3_9_probe_metrics_are_served_as_prometheus_reads_them(api):
    answer = api.get("/metrics/probes")
    assert answer.code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body == b"prober_probe_total{} 1\n"
