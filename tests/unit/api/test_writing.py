"""Writes over HTTP: options, bodies, names, owners, deletions; whole texts, as the API server says them."""

from __future__ import annotations

import pytest

from minikubelet.api.bodies import APPLY, MERGE_PATCH, STRATEGIC_MERGE
from tests.unit.api.conftest import PODS, pod
from tests.unit.api.waiting import wait_for

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
NAMESPACES = "/api/v1/namespaces"


def configmap(name="c", data=None, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": data or {"a": "1"},
    }


def message(answer):
    return answer.code, answer.json["message"]


# Options.


@pytest.mark.parametrize(
    ("method", "type", "query", "text"),
    [
        (
            "POST",
            "application/json",
            {"dryRun": "Some"},
            'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: []string{"Some"}: supported '
            'values: "All"',
        ),
        (
            "PUT",
            "application/json",
            {"fieldValidation": "No"},
            'UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "No": supported '
            'values: "", "Ignore", "Strict", "Warn"',
        ),
        (
            "PATCH",
            MERGE_PATCH,
            {"force": "true"},
            'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply '
            "patch",
        ),
        (
            "PATCH",
            APPLY,
            {},
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply '
            "patch",
        ),
        (
            "PATCH",
            APPLY,
            {"fieldManager": "m" * 129, "dryRun": "x"},
            'PatchOptions.meta.k8s.io "" is invalid: [fieldManager: Too long: may not be more than '
            "128 bytes, "
            'dryRun: Unsupported value: []string{"x"}: supported values: "All"]',
        ),
        (
            "POST",
            "application/json",
            {"fieldManager": "a\nb"},
            'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\\nb": invalid '
            "character "
            "U+000A (at position 1)",
        ),
    ],
)
def test_options_that_are_none(api, method, type, query, text):
    where = CONFIGMAPS if method == "POST" else f"{CONFIGMAPS}/c"
    assert message(api.request(method, where, configmap(), type, **query)) == (422, text)


@pytest.mark.parametrize(
    ("body", "query", "code", "text"),
    [
        (
            {"propagationPolicy": "Sideways"},
            {},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": '
            'supported values: "Foreground", "Background", "Orphan", "nil"',
        ),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            {},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": '
            "orphanDependents and deletionPropagation cannot be both set",
        ),
        (
            {"dryRun": ["Some"]},
            {},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: []string{"Some"}: supported '
            'values: "All"',
        ),
        (
            {"gracePeriodSeconds": "5"},
            {},
            400,
            'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal into '
            "Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            {"preconditions": 5},
            {},
            400,
            'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal into '
            "Go struct field DeleteOptions.preconditions of type v1.Preconditions",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod"},
            {},
            400,
            'Pod in version "v1" cannot be handled as a DeleteOptions',
        ),
        (
            None,
            {"propagationPolicy": "x"},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "x": supported '
            'values: "Foreground", "Background", "Orphan", "nil"',
        ),
        (
            {"preconditions": {"uid": "other"}},
            {},
            409,
            'Operation cannot be fulfilled on ConfigMap "c": the UID in the precondition (other) '
            "does not match "
            "the UID in record (UID). The object might have been deleted and then recreated",
        ),
        (
            {"preconditions": {"resourceVersion": "1"}},
            {},
            409,
            'Operation cannot be fulfilled on ConfigMap "c": the ResourceVersion in the precondition '
            "(1) does "
            "not match the ResourceVersion in record (VERSION). The object might have been modified",
        ),
    ],
)
def test_a_deletion_that_is_refused(api, body, query, code, text):
    made = api.post(CONFIGMAPS, configmap()).json["metadata"]
    text = text.replace("UID)", f"{made['uid']})").replace("VERSION", made["resourceVersion"])
    assert message(api.request("DELETE", f"{CONFIGMAPS}/c", body, **query)) == (code, text)
    assert api.get(f"{CONFIGMAPS}/c").code == 200


# Bodies.


@pytest.mark.parametrize(
    ("body", "type", "code", "text"),
    [
        (
            b"",
            "application/json",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get "
            "version/kind; json "
            "parse error: unexpected end of JSON input (<empty>)",
        ),
        (
            b"[1]",
            "application/json",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get "
            "version/kind; json "
            "parse error: json: cannot unmarshal array into Go value of type struct (5b315d)",
        ),
        (
            {},
            "text/plain",
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            {"apiVersion": "v2", "kind": "ConfigMap"},
            "application/json",
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            {"metadata": {"namespace": "kube-system", "name": "c"}},
            "application/json",
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            {"metadata": {"name": "c", "resourceVersion": "5"}},
            "application/json",
            400,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            {"metadata": {}},
            "application/json",
            422,
            'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
        ),
    ],
)
def test_a_body_that_is_no_object(api, body, type, code, text):
    assert message(api.request("POST", CONFIGMAPS, body, type)) == (code, text)


def test_a_body_that_begins_well_is_shown(api):
    answer = api.request("POST", CONFIGMAPS, b'{"kind": "ConfigMap", nonsense and more')
    assert answer.code == 400
    assert answer.json["message"].endswith('({"kind": "ConfigMap", nonsense ...)')


def test_a_body_that_is_too_large(api):
    answer = api.request("POST", CONFIGMAPS, b" " * (3 << 20) + b"{}")
    assert (answer.code, answer.json["reason"]) == (413, "RequestEntityTooLarge")
    assert answer.json["message"] == "Request entity too large: limit is 3145728"


def test_unknown_and_doubled_fields_by_validation(api):
    body = b'{"metadata":{"name":"c"},"data":{"a":"1","a":"2"},"colour":"red"}'
    strict = api.request("POST", CONFIGMAPS, body, fieldValidation="Strict")
    assert message(strict) == (
        400,
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field '
        '"data.a", unknown field "colour"',
    )
    assert api.request("POST", CONFIGMAPS, body, fieldValidation="Ignore", dryRun="All").warnings == []
    warned = api.request("POST", CONFIGMAPS, body)
    assert warned.warnings == ['299 - "duplicate field \\"data.a\\""', '299 - "unknown field \\"colour\\""']
    assert warned.json["data"] == {"a": "2"}


# Names.


def test_a_generated_name_avoids_those_that_are_taken(api, monkeypatch):
    names = iter("aaaaabbbbbccccc")
    monkeypatch.setattr("minikubelet.api.kinds.secrets.choice", lambda letters: next(names))
    body = {"metadata": {"generateName": "c-"}, "data": {}}
    assert api.post(CONFIGMAPS, configmap("c-aaaaa")).code == 201
    assert api.post(CONFIGMAPS, body).json["metadata"]["name"] == "c-bbbbb"


def test_a_generated_name_that_is_always_taken(api, monkeypatch):
    monkeypatch.setattr("minikubelet.api.kinds.secrets.choice", lambda letters: "x")
    body = {"metadata": {"generateName": "c-"}, "data": {}}
    assert api.post(CONFIGMAPS, body).code == 201
    assert message(api.post(CONFIGMAPS, body)) == (409, 'configmaps "c-xxxxx" already exists')


# PUT.


def test_a_put_over_another_object(api):
    made = api.post(CONFIGMAPS, configmap()).json["metadata"]
    assert message(api.request("PUT", f"{CONFIGMAPS}/c", configmap(uid="other"))) == (
        409,
        'Operation cannot be fulfilled on configmaps "c": Precondition failed: UID in precondition: other, '
        f"UID in object meta: {made['uid']}",
    )
    assert api.request("PUT", f"{CONFIGMAPS}/c", configmap(uid=made["uid"])).code == 200
    patched = api.request("PATCH", f"{CONFIGMAPS}/c", {"metadata": {"uid": "other"}}, MERGE_PATCH)
    assert message(patched) == (
        422,
        'ConfigMap "c" is invalid: metadata.uid: Invalid value: "other": field is immutable',
    )


def test_the_stamps_of_the_server_may_be_left_out_but_not_changed(api):
    made = api.post(CONFIGMAPS, configmap()).json["metadata"]
    put = api.request("PUT", f"{CONFIGMAPS}/c", configmap(creationTimestamp=None)).json["metadata"]
    assert put["creationTimestamp"] == made["creationTimestamp"]
    changed = api.request("PUT", f"{CONFIGMAPS}/c", configmap(creationTimestamp="2020-01-01T00:00:00Z"))
    assert message(changed) == (
        422,
        'ConfigMap "c" is invalid: metadata.creationTimestamp: Invalid value: 2020-01-01T00:00:00Z: field is '
        "immutable",
    )


def test_a_put_makes_only_what_may_be_made_by_it(api):
    assert message(api.request("PUT", f"{CONFIGMAPS}/c", configmap())) == (404, 'configmaps "c" not found')
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    made = api.request("PUT", f"{LEASES}/l", lease)
    assert (made.code, made.json["spec"]) == (201, {"holderIdentity": "me"})
    assert message(api.request("PUT", f"{LEASES}/l", lease)) == (
        422,
        'Lease.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be '
        "specified for an update",
    )
    assert api.request("PUT", f"{LEASES}/l", made.json).code == 200
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"namespace": "default"},
        "reason": "Made",
        "type": "Normal",
    }
    assert api.request("PUT", "/api/v1/namespaces/default/events/e", event).code == 201


# What only pods have.


def test_a_binding_is_rehearsed_and_needs_a_node(api):
    api.post(PODS, pod("a"))
    body = {"metadata": {"name": "a"}, "target": {"name": "node"}}
    assert api.post(f"{PODS}/a/binding", body, dryRun="All").code == 201
    assert "nodeName" not in api.get(f"{PODS}/a").json["spec"]
    assert api.post(f"{PODS}/a/binding", {"target": 5}).code == 400
    assert message(api.post(f"{PODS}/a/binding", {"target": {}})) == (
        422,
        'Binding "a" is invalid: target.name: Required value',
    )


def test_an_eviction_names_its_pod_and_may_be_rehearsed(api):
    api.post(PODS, pod("a"))
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b"}}
    assert message(api.post(f"{PODS}/a/eviction", body)) == (
        400,
        "name in URL does not match name in Eviction object",
    )
    assert api.post(f"{PODS}/a/eviction", {}, dryRun="All").code == 201
    assert api.post(f"{PODS}/a/eviction", {"deleteOptions": {"dryRun": ["All"]}}).code == 201
    assert api.get(f"{PODS}/a").code == 200
    assert api.post(f"{PODS}/a/eviction", {"deleteOptions": {"propagationPolicy": "x"}}).code == 422
    assert api.post(f"{PODS}/a/eviction", {}).code == 201
    assert api.get(f"{PODS}/a").code == 404


# Who owns what.


def entries(answer):
    return [
        (entry["manager"], entry["operation"], entry.get("subresource", ""))
        for entry in answer.json["metadata"].get("managedFields", [])
    ]


def test_every_write_is_somebodys(api):
    api.post(CONFIGMAPS, configmap(), fieldManager="maker")
    api.request("PATCH", f"{CONFIGMAPS}/c", {"data": {"b": "2"}}, MERGE_PATCH, fieldManager="patcher")
    api.request("PUT", f"{CONFIGMAPS}/c", configmap(data={"a": "9", "b": "2"}))
    assert entries(api.get(f"{CONFIGMAPS}/c")) == [
        ("maker", "Update", ""),
        ("patcher", "Update", ""),
        ("unknown", "Update", ""),
    ]


def test_the_client_is_the_manager_of_a_write_without_one(api):
    connection = api.connect()
    body = b'{"metadata":{"name":"c"},"data":{"a":"1"}}'
    headers = {"Content-Type": "application/json", "User-Agent": "curl/8.1 (x)"}
    connection.request("POST", CONFIGMAPS, body, headers)
    connection.getresponse().read()
    connection.close()
    assert entries(api.get(f"{CONFIGMAPS}/c")) == [("curl", "Update", "")]


def test_what_admission_fills_in_is_not_the_clients(api):
    made = api.post(PODS, pod("a"), fieldManager="maker").json
    spec = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert "serviceAccountName" in made["spec"]
    assert "f:serviceAccountName" not in spec
    assert "f:tolerations" not in spec
    assert "f:restartPolicy" in spec, "a default counts as if it had been written"


def test_what_the_node_writes_is_nobodys(api):
    api.post(PODS, pod("a"), fieldManager="maker")
    api.bind("a")
    api.set_status("a", phase="Running")
    assert entries(api.get(f"{PODS}/a")) == [("maker", "Update", "")]


def test_a_part_with_a_path_of_its_own_is_owned_by_that_path(api):
    api.post(PODS, pod("a"), fieldManager="maker")
    patch = {"status": {"message": "hello"}}
    patched = api.request("PATCH", f"{PODS}/a/status", patch, STRATEGIC_MERGE, fieldManager="me")
    assert entries(patched) == [("maker", "Update", ""), ("me", "Update", "status")]
    applied = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"message": "other"}}
    conflict = api.request("PATCH", f"{PODS}/a/status", applied, APPLY, fieldManager="you")
    assert message(conflict) == (
        409,
        'Apply failed with 1 conflict: conflict with "me" with subresource "status" using v1: '
        ".status.message",
    )


def apply(api, body, manager="alice", **query):
    where = f"{CONFIGMAPS}/{body['metadata'].get('name', 'c')}"
    return api.request("PATCH", where, body, APPLY, fieldManager=manager, **query)


def test_apply_makes_and_changes_and_takes_away(api):
    made = apply(api, configmap(data={"a": "1", "b": "2"}))
    assert (made.code, entries(made)) == (201, [("alice", "Apply", "")])
    again = apply(api, configmap(data={"a": "1", "b": "2"}))
    assert (again.code, again.json) == (200, made.json), "no new revision, no new time"
    assert apply(api, configmap(data={"a": "1"})).json["data"] == {"a": "1"}


def test_apply_takes_over_by_force_only(api):
    apply(api, configmap())
    refused = apply(api, configmap(data={"a": "2"}), "bob")
    assert message(refused) == (409, 'Apply failed with 1 conflict: conflict with "alice": .data.a')
    assert refused.json["details"] == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".data.a"}]
    }
    forced = apply(api, configmap(data={"a": "2"}), "bob", force="true")
    assert (forced.json["data"], entries(forced)) == ({"a": "2"}, [("bob", "Apply", "")])


def test_a_dry_run_of_apply_stores_nothing(api):
    assert apply(api, configmap(), dryRun="All").code == 201
    assert api.get(f"{CONFIGMAPS}/c").code == 404
    made = apply(api, configmap())
    assert apply(api, configmap(data={"a": "2"}), dryRun="All").json["data"] == {"a": "2"}
    assert api.get(f"{CONFIGMAPS}/c").json == made.json


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (
            configmap(uid="11"),
            409,
            'Operation cannot be fulfilled on configmaps "c": uid mismatch: the provided object '
            "specified uid "
            "11, and no existing object was found",
        ),
        (configmap(managedFields=[]), 400, "metadata.managedFields must be nil"),
        (
            configmap(finalizers=["a.io/b", "a.io/b"]),
            400,
            "failed to create typed patch object (default/c; /v1, Kind=ConfigMap): .metadata.finalizers: "
            'duplicate entries for key [="a.io/b"]',
        ),
        (
            {**configmap(), "apiVersion": "v9"},
            400,
            "the API version in the data (v9) does not match the expected API version (v1)",
        ),
    ],
)
def test_a_configuration_that_cannot_be_applied(api, body, code, text):
    assert message(apply(api, body)) == (code, text)


def test_an_applied_stale_version_is_a_conflict(api):
    apply(api, configmap())
    assert (
        apply(api, configmap(resourceVersion="1"))
        .json["message"]
        .endswith("your changes to the latest version and try again")
    )


def test_managed_fields_may_be_written_by_a_patch(api):
    """What kubectl does when it hands over from the client's side."""
    apply(api, configmap())
    for path, value in (("/metadata/managedFields", [{}]), ("/metadata/managedFields", [])):
        patch = [{"op": "add", "path": path, "value": value}]
        patched = api.request("PATCH", f"{CONFIGMAPS}/c", patch, "application/json-patch+json")
        assert "managedFields" not in patched.json["metadata"]


def test_the_scale_is_owned_as_such_and_not_applied_by_itself(api):
    where = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    api.post(where, {"metadata": {"name": "d"}, "spec": spec}, fieldManager="maker")
    api.request("PATCH", f"{where}/d/scale", {"spec": {"replicas": 1}}, MERGE_PATCH, fieldManager="scaler")
    assert ("scaler", "Update", "scale") in entries(api.get(f"{where}/d"))
    applied = api.request("PATCH", f"{where}/d/scale", {"spec": {"replicas": 2}}, APPLY, fieldManager="x")
    assert applied.code == 415


# Deleting.


def test_propagation_is_stored_as_a_finalizer(api):
    """The garbage collector takes it away, so that only a dry run lets it be seen."""
    for policy, finalizers in (("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])):
        api.post(CONFIGMAPS, configmap(policy.lower()))
        body = {"propagationPolicy": policy, "dryRun": ["All"]}
        marked = api.request("DELETE", f"{CONFIGMAPS}/{policy.lower()}", body).json["metadata"]
        assert marked["finalizers"] == finalizers
        assert marked["deletionGracePeriodSeconds"] == 0
        assert marked["deletionTimestamp"]
        assert api.get(f"{CONFIGMAPS}/{policy.lower()}").json["metadata"].get("finalizers") is None


def test_a_deletion_in_the_background_forgets_other_policies(api):
    api.post(CONFIGMAPS, configmap(finalizers=["example.com/x", "foregroundDeletion"]))
    held = api.request("DELETE", f"{CONFIGMAPS}/c", {"propagationPolicy": "Background"}).json["metadata"]
    assert held["finalizers"] == ["example.com/x"]


def test_no_finalizer_is_added_to_what_is_being_deleted(api):
    api.post(CONFIGMAPS, configmap(finalizers=["example.com/x"]))
    api.request("DELETE", f"{CONFIGMAPS}/c")
    more = {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}}
    assert message(api.request("PATCH", f"{CONFIGMAPS}/c", more, MERGE_PATCH)) == (
        422,
        'ConfigMap "c" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if '
        "the object "
        'is being deleted, found new finalizers []string{"example.com/y"}',
    )
    gone = api.request("PATCH", f"{CONFIGMAPS}/c", {"metadata": {"finalizers": None}}, MERGE_PATCH)
    assert gone.code == 200
    assert api.get(f"{CONFIGMAPS}/c").code == 404


def test_what_is_gone_is_answered_with_a_status_or_itself(api):
    uid = api.post(CONFIGMAPS, configmap()).json["metadata"]["uid"]
    gone = api.request("DELETE", f"{CONFIGMAPS}/c").json
    assert (gone["kind"], gone["status"]) == ("Status", "Success")
    assert gone["details"] == {"name": "c", "kind": "configmaps", "uid": uid}
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    api.post(accounts, {"metadata": {"name": "robot"}})
    assert api.request("DELETE", f"{accounts}/robot").json["kind"] == "ServiceAccount"


def test_a_collection_is_deleted_as_far_as_asked(api):
    for name, tier in (("a", "web"), ("b", "db"), ("c", "web"), ("d", "web")):
        api.post(SECRETS, {"metadata": {"name": name, "labels": {"tier": tier}}})
    answer = api.request("DELETE", SECRETS, {"dryRun": ["All"]}, labelSelector="tier=web")
    assert [item["metadata"]["name"] for item in answer.json["items"]] == ["a", "c", "d"]
    api.request("DELETE", SECRETS, labelSelector="tier=web", limit="2")
    assert [item["metadata"]["name"] for item in api.get(SECRETS).json["items"]] == ["b", "d"]
    assert api.request("DELETE", SECRETS, {"propagationPolicy": "x"}).code == 422


# Namespaces.


def test_a_namespace_that_is_going_says_what_it_waits_for(api):
    api.post(NAMESPACES, {"metadata": {"name": "n"}})
    api.post(f"{NAMESPACES}/n/configmaps", configmap(finalizers=["example.com/x"]))
    going = api.request("DELETE", f"{NAMESPACES}/n").json
    assert going["status"]["phase"] == "Terminating"

    def told():
        conditions = api.get(f"{NAMESPACES}/n").json["status"].get("conditions", [])
        return {one["type"]: (one["status"], one["reason"], one["message"]) for one in conditions}

    wait_for(lambda: len(told()) == 5)
    assert told()["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 1 resource instances",
    )
    assert told()["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances",
    )
    refused = api.post(f"{NAMESPACES}/n/configmaps", configmap("late"))
    assert message(refused) == (
        403,
        'configmaps "late" is forbidden: unable to create new content in namespace n because it is being '
        "terminated",
    )
    assert refused.json["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace n is being terminated",
            "field": "metadata.namespace",
        }
    ]
    api.request("PATCH", f"{NAMESPACES}/n/configmaps/c", {"metadata": {"finalizers": None}}, MERGE_PATCH)
    wait_for(lambda: api.get(f"{NAMESPACES}/n").code == 404)


def test_a_namespace_is_let_go_by_its_last_finalizer(api):
    body = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes", "example.com/mine"]}}
    api.post(NAMESPACES, body)
    api.request("DELETE", f"{NAMESPACES}/n")
    wait_for(lambda: api.get(f"{NAMESPACES}/n").json["spec"]["finalizers"] == ["example.com/mine"])
    present = api.get(f"{NAMESPACES}/n").json
    finalized = api.request("PUT", f"{NAMESPACES}/n/finalize", {**present, "spec": {}})
    assert finalized.code == 200
    assert api.get(f"{NAMESPACES}/n").code == 404


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(api, name):
    assert message(api.request("DELETE", f"{NAMESPACES}/{name}")) == (
        403,
        f'namespaces "{name}" is forbidden: this namespace may not be deleted',
    )
