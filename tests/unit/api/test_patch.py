"""The three patches, by example."""

from __future__ import annotations

import copy
import re

import pytest

from minikubelet.api.bodies import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE
from minikubelet.api.patches.json_patch import Unprocessable, json_patch
from minikubelet.api.patches.merge_patch import merge_patch
from minikubelet.api.patches.strategic import strategic_merge
from minikubelet.errors import BadRequest, RequestEntityTooLarge
from minikubelet.v1 import Container, Pod, PodSpec
from minikubelet.v1.apps import DeploymentSpec
from minikubelet.v1.cluster import ServiceAccount
from minikubelet.v1.meta import ObjectMeta


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replace"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="add"),
        pytest.param({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}, id="null deletes"),
        pytest.param({"a": ["b"]}, {"a": "c"}, {"a": "c"}, id="list by text"),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="lists are replaced"),
        pytest.param({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}, id="maps merge"),
        pytest.param({"a": 1}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}, id="nulls in what is new vanish"),
        pytest.param({}, [1], [1], id="a patch that is no map"),
    ],
)
def test_merge_patch_follows_rfc_7386(target, patch, result):
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before


@pytest.mark.parametrize(
    ("target", "steps", "result"),
    [
        pytest.param({}, [{"op": "add", "path": "/a", "value": 1}], {"a": 1}, id="add"),
        pytest.param(
            {"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}, id="insert"
        ),
        pytest.param({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}, id="append"),
        pytest.param({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}, id="remove"),
        pytest.param({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}, id="remove from list"),
        pytest.param({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}, id="replace"),
        pytest.param({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}, id="move"),
        pytest.param({"a": {}}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": {}, "b": {}}, id="copy"),
        pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}, id="test"),
        pytest.param({"a/b~c": 1}, [{"op": "remove", "path": "/a~1b~0c"}], {}, id="escapes"),
        pytest.param({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}, id="the whole"),
    ],
)
def test_json_patch_follows_rfc_6902(target, steps, result):
    before = copy.deepcopy(target)
    assert json_patch(target, steps) == result
    assert target == before


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({"op": "remove", "path": "/nope"}, id="nothing there"),
        pytest.param({"op": "replace", "path": "/nope", "value": 1}, id="nothing to replace"),
        pytest.param({"op": "test", "path": "/a", "value": 2}, id="failed test"),
        pytest.param({"op": "add", "path": "/l/5", "value": 1}, id="beyond the end"),
        pytest.param({"op": "add", "path": "/l/-1", "value": 1}, id="negative index"),
        pytest.param({"op": "add", "path": "/l/01", "value": 1}, id="leading zero"),
        pytest.param({"op": "add", "path": "/a/b", "value": 1}, id="into a number"),
        pytest.param({"op": "add", "path": "a", "value": 1}, id="no pointer"),
        pytest.param({"op": "add", "path": "/x"}, id="no value"),
        pytest.param({"op": "jump", "path": "/x"}, id="no such operation"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_json_patch_that_does_not_fit_is_unprocessable(step):
    with pytest.raises(Unprocessable):
        json_patch({"a": 1, "l": [1]}, [step])


@pytest.mark.parametrize(
    ("target", "step", "fits"),
    [
        pytest.param({}, {"op": "test", "path": "/a", "value": None}, True, id="nothing is null"),
        pytest.param({"a": 1}, {"op": "test", "path": "/a", "value": True}, False, id="one is not true"),
        pytest.param({"a": {}}, {"op": "move", "from": "/a", "path": "/a/b"}, False, id="into itself"),
        pytest.param({"a": {}}, {"op": "remove", "path": ""}, False, id="the whole"),
    ],
)
def test_the_corners_of_rfc_6902(target, step, fits):
    if fits:
        assert json_patch(target, [step]) == target
    else:
        with pytest.raises(Unprocessable):
            json_patch(target, [step])


def test_a_json_patch_does_not_explode():
    """Each copy into itself doubles the document."""
    steps = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(30)]
    with pytest.raises(Unprocessable):
        json_patch({"a": ["x" * 1000]}, steps)
    with pytest.raises(RequestEntityTooLarge, match="operations in a JSON patch is 10000, got 10001"):
        json_patch({}, [{"op": "test", "path": "", "value": {}}] * 10_001)


def containers(*names):
    return [{"name": name, "image": f"i-{name}", "args": [name]} for name in names]


def in_kind(value):
    """The struct in which a case is at home."""
    (field,) = {key.rpartition("/")[2] for key in value}
    return {
        "labels": ObjectMeta,
        "finalizers": ObjectMeta,
        "args": Container,
        "ports": Container,
        "env": Container,
        "volumes": PodSpec,
        "containers": PodSpec,
        "imagePullSecrets": ServiceAccount,
        "strategy": DeploymentSpec,
        "spec": Pod,
    }[field]


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param(
            {"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}, id="maps merge"
        ),
        pytest.param({"labels": {"a": "1"}}, {"labels": {"a": None}}, {"labels": {}}, id="null deletes"),
        pytest.param(
            {"containers": containers("a", "b")},
            {"containers": [{"name": "b", "image": "new"}]},
            {"containers": [*containers("a"), {"name": "b", "image": "new", "args": ["b"]}]},
            id="lists merge by key",
        ),
        pytest.param(
            {"containers": containers("a", "b")},
            {"containers": [{"$patch": "delete", "name": "a"}]},
            {"containers": containers("b")},
            id="delete by key",
        ),
        pytest.param(
            {"containers": containers("a")},
            {"containers": [{"name": "b", "image": "i-b", "args": ["b"]}]},
            {"containers": containers("b", "a")},
            id="what is new comes first",
        ),
        pytest.param(
            {"containers": containers("a", "b")},
            {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "a", "image": "i-a"}],
            },
            {"containers": containers("b", "a")},
            id="order",
        ),
        pytest.param(
            {"containers": containers("a", "server", "b")},
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            {"containers": [*containers("server", "b", "a")]},
            id="items unknown to the client keep their place",
        ),
        pytest.param(
            {"containers": containers("a")},
            {"containers": [{"$patch": "replace"}, {"name": "z"}]},
            {"containers": [{"name": "z"}]},
            id="replace the list",
        ),
        pytest.param(
            {"spec": {"a": 1, "b": 2}},
            {"spec": {"$patch": "replace", "c": 3}},
            {"spec": {"c": 3}},
            id="replace the map",
        ),
        pytest.param({"spec": {"a": 1}}, {"spec": {"$patch": "delete"}}, {"spec": {}}, id="delete the map"),
        pytest.param(
            {"volumes": [{"emptyDir": {}, "name": "v"}]},
            {"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}}]},
            {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
            id="retain keys",
        ),
        pytest.param(
            {"finalizers": ["a"]},
            {"finalizers": ["b", "a"]},
            {"finalizers": ["b", "a"]},
            id="primitive merge",
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b"]},
            id="primitive delete",
        ),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}, id="other lists are replaced"),
        pytest.param(
            {"ports": [{"containerPort": 80, "name": "x"}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"ports": [{"containerPort": 80, "name": "x", "protocol": "TCP"}]},
            id="ports by containerPort",
        ),
        pytest.param(
            {},
            {"env": [{"name": "A", "value": "1", "valueFrom": None}]},
            {"env": [{"name": "A", "value": "1"}]},
            id="a new list",
        ),
        pytest.param(
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
            id="of a choice only one stays",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "b"}]},
            {"imagePullSecrets": [{"name": "b"}]},
            id="a list that is none by key in this kind",
        ),
    ],
)
def test_strategic_merge(target, patch, result):
    before = copy.deepcopy((target, patch))
    assert strategic_merge(target, patch, in_kind(patch)) == result
    assert (target, patch) == before


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        pytest.param({"$patch": "explode"}, "unknown patch type: explode in map", id="unknown directive"),
        pytest.param({"containers": ["a"]}, "declared merge key: name", id="no maps in a list of maps"),
        pytest.param({"containers": [{"image": "x"}]}, "declared merge key: name", id="no key"),
        pytest.param({"containers": [{"$patch": "delete"}]}, "declared merge key: name", id="delete whom"),
        pytest.param(
            {"containers": [{"$patch": "merge", "name": "a"}]},
            "merging lists cannot yet be specified in the patch",
            id="merge in a list",
        ),
        pytest.param({"$retainKeys": "a"}, "invalid patch format of retainKeys", id="retain no list"),
        pytest.param(
            {"$retainKeys": ["a"], "hostname": "x"}, "invalid patch format of retainKeys", id="retain not"
        ),
        pytest.param(
            {"$deleteFromPrimitiveList/x": 1}, "invalid patch format of primitive list", id="delete no list"
        ),
        pytest.param(
            {"$setElementOrder/containers": 1},
            "invalid patch format of setElementOrder list",
            id="order by no list",
        ),
        pytest.param(
            {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": containers("a", "b"),
            },
            "The order in patch list",
            id="two orders",
        ),
    ],
)
def test_a_strategic_patch_that_makes_no_sense_is_refused(patch, text):
    with pytest.raises(BadRequest, match=re.escape(text)):
        strategic_merge({"containers": containers("a")}, patch, PodSpec)


@pytest.mark.parametrize(
    ("type", "body", "code", "message"),
    [
        pytest.param(
            "application/json",
            {},
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, "
            "application/strategic-merge-patch+json, application/apply-patch+yaml",
            id="no patch",
        ),
        pytest.param(
            JSON_PATCH,
            {"op": "add"},
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "[]handlers.jsonPatchOp",
            id="no list of operations",
        ),
        pytest.param(
            JSON_PATCH,
            [{"op": "test", "path": "/metadata/name", "value": "z"}],
            422,
            "the server rejected our request due to an error in our request",
            id="failed test",
        ),
        pytest.param(
            MERGE_PATCH,
            [1],
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type "
            "map[string]interface {}",
            id="no map",
        ),
        pytest.param(
            MERGE_PATCH, b"", 400, "error decoding patch: unexpected end of JSON input", id="nothing to merge"
        ),
        pytest.param(STRATEGIC_MERGE, b" ", 400, "unexpected end of JSON input", id="nothing"),
        pytest.param(MERGE_PATCH, {"metadata": 5}, 400, "the patched object is no object any more", id="5"),
        pytest.param(
            MERGE_PATCH,
            {"metadata": {"name": "z"}},
            400,
            "the name of the object (z) does not match the name on the URL (c)",
            id="another name",
        ),
        pytest.param(
            STRATEGIC_MERGE,
            {"data": {"a": 5}, "binaryData": None},
            422,
            ' "" is invalid: patch: Invalid value: "map[binaryData:<nil> data:map[a:5]]": json: cannot '
            "unmarshal number into Go struct field ConfigMap.data of type string (at data[a]: 5, put it in "
            "quotes to make it a text (bare yes, no, on, off are booleans in YAML))",
            id="wrong type",
        ),
        pytest.param(
            STRATEGIC_MERGE,
            {"dada": {"a": "5"}},
            422,
            ' "" is invalid: patch: Invalid value: "map[dada:map[a:5]]": strict decoding error: unknown '
            'field "dada" (did you mean "data"?)',
            id="unknown field",
        ),
        pytest.param(
            STRATEGIC_MERGE, b'{"a":' * 200 + b"1" + b"}" * 200, 400, "nested too deeply", id="deep"
        ),
    ],
)
def test_what_a_bad_patch_is_answered(api, type, body, code, message):
    path = "/api/v1/namespaces/default/configmaps"
    assert api.post(path, {"metadata": {"name": "c"}, "data": {"a": "1"}}).code == 201
    answer = api.request("PATCH", f"{path}/c", body, type, fieldValidation="Strict")
    assert answer.code == code
    assert message in answer.json["message"]
    assert api.get(f"{path}/c").json["data"] == {"a": "1"}


class Name(str):
    """Counts with how many others it was compared."""

    compared = 0

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_patch_of_very_many_items_searches_for_none_of_them():
    """A body has room for 200,000; looking for each among all would hold up the whole agent for an hour."""
    env = [{"name": Name(f"E{number}"), "value": "new"} for number in range(1000)]
    order = [{"name": item["name"]} for item in env]
    patch = {"name": "main", "env": env, "$setElementOrder/env": order}
    old = {
        "name": "main",
        "env": [{"name": Name(f"E{number}"), "value": "old"} for number in range(500, 1500)],
    }
    merged = strategic_merge({"spec": {"containers": [old]}}, {"spec": {"containers": [patch]}}, Pod)
    assert [item["name"] for item in merged["spec"]["containers"][0]["env"]] == [f"E{n}" for n in range(1500)]
    assert Name.compared < 50_000
