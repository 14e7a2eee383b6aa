"""The three-way merge of apply: what the manifest says wins, what it no longer says goes, the rest stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.cli.applying import ANNOTATION, difference, last_applied, merged, patch, with_annotation


def container(name, **more):
    return {"name": name, **more}


@pytest.mark.parametrize(
    ("original", "current", "wanted", "result"),
    [
        pytest.param({}, {"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}, id="others' fields stay"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, {}, {"b": 2}, id="a field that was dropped goes"),
        pytest.param(
            {"m": {"x": 1}}, {"m": {"x": 1, "y": 2}}, {"m": {"z": 3}}, {"m": {"y": 2, "z": 3}}, id="in maps"
        ),
        pytest.param(
            {}, {"command": [1, 2]}, {"command": [3]}, {"command": [3]}, id="plain lists are replaced"
        ),
        pytest.param(
            {"containers": [container("a")]},
            {"containers": [container("a", imagePullPolicy="Always"), container("injected")]},
            {"containers": [container("a", image="x")]},
            {"containers": [container("a", imagePullPolicy="Always", image="x"), container("injected")]},
            id="containers are merged by name",
        ),
        pytest.param(
            {"containers": [container("a"), container("b")]},
            {"containers": [container("a"), container("b")]},
            {"containers": [container("b")]},
            {"containers": [container("b")]},
            id="a container that was dropped goes",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "2"}, {"name": "A", "value": "3"}]},
            {"env": [{"name": "A", "value": "2"}, {"name": "A", "value": "3"}]},
            id="a list with a key twice is replaced",
        ),
    ],
)
def test_merging(original, current, wanted, result):
    assert merged(current, original, wanted) == result


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(
    st.sampled_from("pqr"), json_values.filter(lambda value: value is not None), max_size=3
)


def merge_patch(target, change):
    """RFC 7396, the reference algorithm."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def no_nulls(value):
    if isinstance(value, dict):
        return {key: no_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(objects, objects)
def test_the_difference_leads_from_one_to_the_other(before, after):
    before, after = no_nulls(before), no_nulls(after)
    assert merge_patch(before, difference(before, after)) == after
    assert difference(after, after) == {}


def test_the_annotation_is_the_manifest_in_one_line_as_go_writes_it():
    pod = {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "apiVersion": "v1",
        "spec": {"args": ["<&>"], "none": None},
    }
    text = with_annotation(pod)["metadata"]["annotations"][ANNOTATION]
    assert text == (
        '{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{},"name":"a"},'
        '"spec":{"args":["\\u003c\\u0026\\u003e"]}}\n'
    )
    assert json.loads(text)["spec"] == {"args": ["<&>"]}


def test_applying_the_same_again_is_an_empty_patch():
    pod = with_annotation({"metadata": {"name": "a"}, "spec": {"containers": [container("c", image="x")]}})
    current = json.loads(json.dumps(pod))
    current["metadata"] |= {"uid": "1", "resourceVersion": "5"}
    current["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    current["status"] = {"phase": "Running"}
    assert patch(pod, current) == {}


@pytest.mark.parametrize("text", ["", "not json", "[]", "3"])
def test_a_broken_annotation_is_as_good_as_none(text):
    assert not last_applied({"metadata": {"annotations": {ANNOTATION: text}}})
