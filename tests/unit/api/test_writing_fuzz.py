"""Whatever a client sends as a patch, a configuration or options: an answer that says so, never a failure."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minikubelet.api.bodies import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE
from tests.unit.api.conftest import PODS, pod

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PARTS = ["", "/status", "/resize", "/ephemeralcontainers"]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["main", "1", "TCP", "replace", "delete", "merge", "v1", "a"])
)
# What stands in objects, in patches and in managedFields.
WORDS = """
    metadata spec status data labels annotations finalizers ownerReferences managedFields containers ports
    containerPort protocol env name value volumes emptyDir uid resourceVersion creationTimestamp resources
    deletionTimestamp tolerations topologySpreadConstraints nodeSelector ephemeralContainers generateName
    operation fieldsV1 fieldsType apiVersion manager subresource time f:metadata k:{} .
    $patch $retainKeys $setElementOrder/containers $deleteFromPrimitiveList/finalizers
"""
KEYS = st.sampled_from(WORDS.split())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
POINTERS = st.lists(KEYS | st.sampled_from(["0", "-", "~1"]), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "jump"]),
        "path": POINTERS | SCALARS,
        "from": POINTERS,
        "value": TREES,
    },
)
OBJECTS = st.dictionaries(KEYS, TREES, max_size=5).map(
    lambda tree: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **tree}
)
WRITES = st.one_of(
    st.tuples(st.just("PATCH"), st.just(JSON_PATCH), st.lists(OPERATIONS, max_size=5) | TREES),
    st.tuples(st.just("PATCH"), st.sampled_from([MERGE_PATCH, STRATEGIC_MERGE]), TREES),
    st.tuples(st.just("PATCH"), st.just(APPLY), OBJECTS | TREES),
    st.tuples(st.sampled_from(["PUT", "DELETE"]), st.just("application/json"), OBJECTS | TREES),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITES, st.sampled_from([f"{PODS}/a{part}" for part in PARTS] + [f"{CONFIGMAPS}/c"]), st.booleans())
def test_no_write_makes_the_server_fail(api, write, path, rehearse):
    method, type, body = write
    api.post(PODS, pod("a", labels={"x": "y"}, finalizers=["a.io/b"]))
    api.post(CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    if method == "DELETE":
        path = path.removesuffix(next(part for part in reversed(PARTS) if path.endswith(part)))
    query = {"fieldManager": "kubectl"} | ({"force": "true"} if type == APPLY else {})
    query |= {"dryRun": "All"} if rehearse else {}
    answer = api.request(method, path, json.dumps(body).encode(), type, **query)
    assert answer.code < 500, answer.body
    assert answer.json["kind"] in ("Status", "Pod", "ConfigMap")
