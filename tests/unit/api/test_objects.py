"""Objects over HTTP: what clients send, and what they are answered."""

from __future__ import annotations

import json

import pytest

from minikubelet.errors import FieldError
from tests.unit.api.conftest import PODS, pod
from tests.unit.api.test_reading import TABLE

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def test_a_pod_is_created_with_defaults_and_read_back(api):
    made = api.post(PODS, pod("a"))
    assert made.code == 201
    assert made.json["spec"]["restartPolicy"] == "Always"
    assert made.json["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert made.json["metadata"]["generation"] == 1
    assert api.get(f"{PODS}/a").json == made.json
    assert api.get(f"{PODS}/a/").json == made.json, "a trailing slash never matters"


def test_errors_are_status_objects_in_the_servers_words(api):
    missing = api.get(f"{PODS}/a")
    assert missing.code == 404
    assert missing.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'pods "a" not found',
        "reason": "NotFound",
        "details": {"name": "a", "kind": "pods"},
        "code": 404,
    }
    api.post(PODS, pod("a"))
    assert api.post(PODS, pod("a")).json["message"] == 'pods "a" already exists'
    assert api.get("/api/v1/nonsense").json["message"] == "the server could not find the requested resource"
    assert api.request("POST", f"{PODS}/a", {}).code == 405


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        pytest.param("Strict", 400),
        pytest.param("Warn", 201),
        pytest.param("", 201),
        pytest.param("Ignore", 201),
    ],
)
def test_unknown_fields_are_refused_or_told_or_dropped(api, mode, code):
    body = pod("a")
    body["spec"]["containers"][0]["imagee"] = "x"
    answer = api.post(PODS, body, fieldValidation=mode)
    assert answer.code == code
    if mode == "Strict":
        assert answer.json["message"].startswith(
            'Pod in version "v1" cannot be handled as a Pod: '
            'strict decoding error: unknown field "spec.containers[0].imagee"'
        )
    else:
        assert "imagee" not in answer.json["spec"]["containers"][0]
        warned = ['299 - "unknown field \\"spec.containers[0].imagee\\""'] if mode != "Ignore" else []
        assert answer.warnings == warned


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"{", 400, id="half"),
        pytest.param(b"[]", 400, id="list"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b"\xff\xfe\x00", 400, id="binary"),
        pytest.param(b"[" * 100_000, 400, id="deep"),
        pytest.param(b'{"metadata": 5}', 400, id="metadata is a number"),
        pytest.param(b'{"kind": "Node"}', 400, id="another kind"),
        pytest.param(b'{"metadata": {"namespace": "other"}}', 400, id="another namespace"),
        pytest.param(b" " * (4 << 20), 413, id="too large"),
    ],
)
def test_bad_bodies_are_answered_and_store_nothing(api, body, code):
    answer = api.request("POST", PODS, body)
    assert (answer.code, answer.json["kind"]) == (code, "Status")
    assert api.get(PODS).json["items"] == []


def test_a_name_is_generated(api):
    body = pod("")
    body["metadata"] = {"generateName": "web-"}
    names = {api.post(PODS, body).json["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


def test_foreign_stamps_are_not_taken_over(api):
    made = api.post(PODS, pod("a", uid="mine", creationTimestamp=None, generation=9)).json
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert api.post(PODS, pod("b", resourceVersion="5")).code == 400


def test_a_namespace_must_exist(api):
    answer = api.post("/api/v1/namespaces/nope/pods", pod("a"))
    assert answer.json["message"] == 'namespaces "nope" not found'
    assert api.get("/api/v1/namespaces/nope/pods").json["items"] == []


def test_dry_run_does_everything_but_store(api):
    answer = api.post(PODS, pod("a"), dryRun="All")
    assert answer.code == 201
    assert answer.json["spec"]["restartPolicy"] == "Always"
    assert api.get(f"{PODS}/a").code == 404
    made = api.post(PODS, pod("a")).json
    assert api.post(PODS, pod("a"), dryRun="All").code == 409
    patched = api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE, dryRun="All")
    assert patched.json["metadata"]["labels"] == {"x": "y"}
    assert patched.json["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert api.request("DELETE", f"{PODS}/a", {"dryRun": ["All"]}).code == 200
    assert api.get(f"{PODS}/a").json == made
    assert api.post(PODS, pod("b"), dryRun="Some").code == 422


def test_lists_select_and_page(api):
    for name, tier in (("a", "web"), ("b", "db"), ("c", "web")):
        api.post(PODS, pod(name, labels={"tier": tier}))

    def names(**query):
        return [item["metadata"]["name"] for item in api.get(PODS, **query).json["items"]]

    assert names() == ["a", "b", "c"]
    assert names(labelSelector="tier=web") == ["a", "c"]
    assert names(labelSelector="tier notin (web)") == ["b"]
    assert names(fieldSelector="metadata.name=b") == ["b"]
    assert names(fieldSelector="status.phase!=Pending") == []
    first = api.get(PODS, limit="2").json
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    api.post(PODS, pod("d"))
    assert names(limit="2", **{"continue": first["metadata"]["continue"]}) == ["c"], "as of the first page"
    assert api.get(PODS, **{"continue": "nonsense"}).code == 400
    assert (
        api.get(PODS, fieldSelector="spec.bogus=1").json["message"] == "field label not supported: spec.bogus"
    )
    assert api.get("/api/v1/pods").json["items"][0]["metadata"]["namespace"] == "default"


def test_items_of_a_list_carry_no_kind(api):
    api.post(PODS, pod("a"))
    listed = api.get(PODS).json
    assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
    assert "kind" not in listed["items"][0]


def test_patches_of_every_kind_change_the_object(api):
    api.post(PODS, pod("a", labels={"x": "1"}))
    merged = api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": None, "y": "2"}}}, MERGE)
    assert merged.json["metadata"]["labels"] == {"y": "2"}
    container = {"name": "main", "image": "localhost/other"}
    strategic = api.request("PATCH", f"{PODS}/a", {"spec": {"containers": [container]}}, STRATEGIC).json
    assert strategic["spec"]["containers"][0]["image"] == "localhost/other"
    assert strategic["spec"]["containers"][0]["command"] == ["sleep", "1"]
    assert strategic["metadata"]["generation"] == 2
    step = {"op": "replace", "path": "/metadata/labels/y", "value": "3"}
    assert api.request("PATCH", f"{PODS}/a", [step], JSON_PATCH).json["metadata"]["labels"] == {"y": "3"}
    failed = api.request("PATCH", f"{PODS}/a", [{"op": "remove", "path": "/nope"}], JSON_PATCH)
    assert (failed.code, failed.json["message"]) == (
        422,
        "the server rejected our request due to an error in our request",
    )
    assert api.request("PATCH", f"{PODS}/a", {}, "text/plain").code == 415


def test_a_patch_that_changes_nothing_keeps_the_revision(api):
    made = api.post(PODS, pod("a", labels={"x": "1"})).json
    same = api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "1"}}}, MERGE).json
    assert same == made


def test_a_stale_replace_is_a_conflict(api):
    made = api.post(PODS, pod("a")).json
    api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "1"}}}, MERGE)
    answer = api.request("PUT", f"{PODS}/a", made)
    assert (answer.code, answer.json["reason"]) == (409, "Conflict")
    del made["metadata"]["resourceVersion"]
    assert api.request("PUT", f"{PODS}/a", made).code == 200


def test_status_is_written_through_its_own_door_only(api):
    api.post(PODS, pod("a"))
    status = {"status": {"phase": "Running"}}
    assert api.request("PATCH", f"{PODS}/a", status, MERGE).json["status"]["phase"] == "Pending"
    written = api.request("PATCH", f"{PODS}/a/status", {**status, "spec": {"nodeName": "x"}}, MERGE)
    assert written.code == 200
    assert written.json["status"]["phase"] == "Running"
    assert "nodeName" not in written.json["spec"]
    assert (
        api.request("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, MERGE).json["status"]
        == (written.json["status"])
    )


def test_secrets_take_plain_text_and_immutable_ones_no_change(api):
    path = "/api/v1/namespaces/default/secrets"
    made = api.post(path, {"metadata": {"name": "s"}, "stringData": {"key": "text"}, "immutable": True})
    assert made.json["data"] == {"key": "dGV4dA=="}
    assert "stringData" not in made.json
    changed = api.request("PATCH", f"{path}/s", {"data": {"key": "eA=="}}, MERGE)
    assert changed.code == 422
    assert changed.json["message"] == (
        'Secret "s" is invalid: data: Forbidden: field is immutable when `immutable` is set'
    )


# Deletion.


def test_an_unscheduled_pod_is_gone_at_once(api):
    api.post(PODS, pod("a"))
    answer = api.request("DELETE", f"{PODS}/a")
    assert answer.json["kind"] == "Pod"
    assert api.get(f"{PODS}/a").code == 404


def test_a_scheduled_pod_is_asked_to_go_and_only_faster(api):
    api.post(PODS, pod("a"))
    api.bind("a")
    first = api.request("DELETE", f"{PODS}/a").json["metadata"]
    assert first["deletionGracePeriodSeconds"] == 30
    assert first["generation"] == 2, "deletion counts, binding does not"
    slower = api.request("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 60}).json["metadata"]
    assert slower["deletionTimestamp"] == first["deletionTimestamp"]
    faster = api.request("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 5}).json["metadata"]
    assert faster["deletionTimestamp"] < first["deletionTimestamp"]
    assert faster["deletionGracePeriodSeconds"] == 5
    api.request("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert api.get(f"{PODS}/a").code == 404


def test_an_ended_pod_is_gone_at_once(api):
    api.post(PODS, pod("a"))
    api.bind("a")
    api.set_status("a", phase="Succeeded")
    api.request("DELETE", f"{PODS}/a")
    assert api.get(f"{PODS}/a").code == 404


def test_preconditions_protect_a_namesake(api):
    api.post(PODS, pod("a"))
    answer = api.request("DELETE", f"{PODS}/a", {"preconditions": {"uid": "another"}})
    assert answer.code == 409
    assert api.get(f"{PODS}/a").code == 200


def test_other_objects_answer_a_deletion_with_success(api):
    path = "/api/v1/namespaces/default/configmaps"
    made = api.post(path, {"metadata": {"name": "c"}, "data": {"x": "y"}}).json
    answer = api.request("DELETE", f"{path}/c").json
    assert answer["status"] == "Success"
    assert answer["details"] == {"name": "c", "kind": "configmaps", "uid": made["metadata"]["uid"]}


def test_a_collection_is_deleted_by_selector(api):
    for name in ("a", "b"):
        api.post(PODS, pod(name, labels={"name": name}))
    assert api.request("DELETE", PODS, labelSelector="name=a").code == 200
    assert [item["metadata"]["name"] for item in api.get(PODS).json["items"]] == ["b"]


def test_a_deleted_namespace_takes_its_content_along(api):
    api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
    path = "/api/v1/namespaces/n"
    api.post(f"{path}/configmaps", {"metadata": {"name": "c"}})
    api.post(f"{path}/pods", pod("a"))
    with_watch = api.connect()
    revision = api.get("/api/v1/namespaces").json["metadata"]["resourceVersion"]
    with_watch.request("GET", f"/api/v1/namespaces?watch=1&resourceVersion={revision}&timeoutSeconds=10")
    lines = with_watch.getresponse()
    assert api.request("DELETE", path).json["status"]["phase"] == "Terminating"
    while json.loads(lines.readline())["type"] != "DELETED":
        pass
    with_watch.close()
    assert api.get(path).code == 404
    assert api.get(f"{path}/configmaps").json["items"] == []
    assert api.request("DELETE", "/api/v1/namespaces/default").code == 403


# What the node has to say, and what must not reach a client.


def test_what_the_node_cannot_enforce_is_refused_with_all_other_mistakes(api):
    reason = "Forbidden: this node has no memory controller"
    api.node.refusals = [FieldError("spec.containers[0].resources.limits", "Forbidden", reason)]
    body = pod("a")
    del body["spec"]["containers"][0]["name"]
    answer = api.post(PODS, body)
    assert (answer.code, answer.json["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in answer.json["details"]["causes"]] == [
        "spec.containers[0].name",
        "spec.containers[0].resources.limits",
    ]
    assert api.get(PODS).json["items"] == []


def test_forbidden_changes_of_a_pod_are_named(api):
    api.post(PODS, pod("a"))
    changed = api.request("PATCH", f"{PODS}/a", {"spec": {"restartPolicy": "Never"}}, MERGE)
    assert changed.code == 422
    assert changed.json["message"].startswith(
        'Pod "a" is invalid: spec: Forbidden: pod updates may not change fields other than '
    )


def test_a_bug_is_logged_and_not_shown(api, caplog):
    async def broken():
        raise RuntimeError("secret detail")

    api.node.list_images = broken
    answer = api.get("/minikubelet/v1/images")
    assert (answer.code, answer.json["reason"]) == (500, "InternalError")
    assert answer.json["message"].startswith("Internal error occurred")
    assert b"secret detail" not in answer.body
    assert "secret detail" in caplog.text


def test_a_replace_with_the_first_manifest_keeps_what_the_node_filled_in(api):
    api.post(PODS, pod("a"))
    api.bind("a")
    assert api.request("PUT", f"{PODS}/a", pod("a")).json["spec"]["nodeName"] == "node"


def test_a_pod_is_bound_once(api):
    api.post(PODS, pod("a"))
    api.bind("a")
    bound = api.get(f"{PODS}/a").json
    assert bound["spec"]["nodeName"] == "node"
    assert [c["type"] for c in bound["status"]["conditions"]] == ["PodScheduled"]
    again = api.post(f"{PODS}/a/binding", {"target": {"name": "other"}})
    assert again.code == 409
    assert 'pod a is already assigned to node "node"' in again.json["message"]


def test_an_eviction_is_a_polite_deletion(api):
    api.post(PODS, pod("a"))
    api.bind("a")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    assert api.post(f"{PODS}/a/eviction", {**body, "deleteOptions": {"gracePeriodSeconds": 4}}).code == 201
    assert api.get(f"{PODS}/a").json["metadata"]["deletionGracePeriodSeconds"] == 4


def test_finalizers_hold_a_pod_until_they_are_gone(api):
    api.post(PODS, pod("a", finalizers=["x.io/y"]))
    held = api.request("DELETE", f"{PODS}/a").json
    assert held["metadata"]["deletionTimestamp"]
    assert api.get(f"{PODS}/a").code == 200
    api.request("PATCH", f"{PODS}/a", {"metadata": {"finalizers": None}}, MERGE)
    assert api.get(f"{PODS}/a").code == 404


def test_yaml_is_read_with_the_manifest_readers_rules(api):
    text = b"kind: ConfigMap\nmetadata: {name: c}\ndata: {key: 'yes'}\n"
    path = "/api/v1/namespaces/default/configmaps"
    assert api.request("POST", path, text, "application/yaml").code == 400, "apiVersion is missing"
    assert api.request("POST", path, b"apiVersion: v1\n" + text, "application/yaml").code == 201
    for bad in (b"a: [", b"- a", b"!!python/object:os.system {}", b"a: 1\n---\nb: 2\n", b""):
        assert api.request("POST", path, bad, "application/yaml").code == 400, bad


def test_a_server_side_apply_that_makes_no_sense_is_refused(api):
    apply = "application/apply-patch+yaml"
    assert api.request("PATCH", f"{PODS}/a", pod("a"), apply).code == 422, "no fieldManager"
    for body in (b"metadata: 5\napiVersion: v1\nkind: Pod", b"[", b"apiVersion: v1\nkind: Node"):
        assert api.request("PATCH", f"{PODS}/a", body, apply, fieldManager="x").code == 400, body
    assert api.request("PATCH", f"{PODS}/a", pod("a"), apply, fieldManager="x").code == 201
    assert (
        api.request(
            "PATCH", f"{PODS}/a", b"metadata: 5\napiVersion: v1\nkind: Pod", apply, fieldManager="x"
        ).code
        == 400
    )


def test_quotas_and_limit_ranges_are_empty_lists_that_say_why(api):
    for plural, kind in (("resourcequotas", "ResourceQuota"), ("limitranges", "LimitRange")):
        path = f"/api/v1/namespaces/default/{plural}"
        found = api.get(path).json
        assert (found["kind"], found["items"]) == (f"{kind}List", [])
        answer = api.post(path, {"metadata": {"name": "x"}, "spec": {}})
        assert (answer.code, answer.json["reason"]) == (405, "MethodNotAllowed")
        assert answer.json["message"].startswith(f"{plural} cannot be made or changed: this node ")
        assert api.get(f"{path}/x").json["message"] == f'{plural} "x" not found'


def test_a_status_has_at_least_what_it_cannot_do_without(api):
    api.post(PODS, pod("a"))
    status = {"conditions": [{}], "containerStatuses": [{"state": {"terminated": {}}}], "podIPs": [{}]}
    answer = api.request("PUT", f"{PODS}/a/status", {**pod("a"), "status": status})
    assert answer.code == 200
    found = api.get(f"{PODS}/a").json["status"]
    assert found["conditions"] == [{"type": "", "status": ""}]
    assert found["containerStatuses"][0]["name"] == ""
    assert found["containerStatuses"][0]["state"] == {"terminated": {"exitCode": 0}}
    assert api.request("GET", PODS, accept=TABLE).code == 200
