"""The three patches, by example."""

from __future__ import annotations

import copy

import pytest

from minikubelet.api.patch import Unprocessable, json_patch, merge_patch, strategic_merge
from minikubelet.errors import BadRequest


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


def test_a_json_patch_must_be_a_list():
    with pytest.raises(BadRequest):
        json_patch({}, {"op": "add"})


def containers(*names):
    return [{"name": name, "image": f"i-{name}", "args": [name]} for name in names]


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
            {"containers": containers("a", "b")},
            id="append",
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
            {"v": {"emptyDir": {}, "name": "v"}},
            {"v": {"$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}},
            {"v": {"name": "v", "hostPath": {"path": "/x"}}},
            id="retain keys",
        ),
        pytest.param(
            {"finalizers": ["a"]},
            {"finalizers": ["b", "a"]},
            {"finalizers": ["a", "b"]},
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
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "1"}]},
            id="a new list",
        ),
    ],
)
def test_strategic_merge(target, patch, result):
    before = copy.deepcopy((target, patch))
    assert strategic_merge(target, patch) == result
    assert (target, patch) == before


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"$patch": "explode"}, id="unknown directive"),
        pytest.param({"containers": ["a"]}, id="no maps in a list of maps"),
        pytest.param({"containers": [{"image": "x"}]}, id="no key"),
        pytest.param([1], id="a list"),
    ],
)
def test_a_strategic_patch_that_makes_no_sense_is_refused(patch):
    with pytest.raises(BadRequest):
        strategic_merge({"containers": containers("a")}, patch)
