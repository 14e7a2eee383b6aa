"""Requests made up from the OpenAPI documents: mostly what they promise to take, often a little wrong.

`requests(documents, examples)` is a hypothesis strategy. A body follows its schema (a few fields at each
level, and those that are required), or is an example of its kind with one thing changed; now and then
something of another type stands in a field's place. Names come from a small set, so that requests meet each
other's objects.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/"
NAMES = ("web", "web", "db", "node", "default", "kube-system", "x.y", "UPPER", "-", "a" * 64, "é", "%00")
TEXTS = st.sampled_from(
    [
        *("", "web", "a", "1", "-1", "80", "100m", "1Gi", "1e3", "a/b", "../..", "{", "$(A)", "\x00", "é🙂"),
        *("2026-01-01T00:00:00Z", "10.0.0.1", "::1", "sha256:0", "localhost/host", "true", "null", "a,b"),
        *("a=b", "x" * 300),
    ]
) | st.text(max_size=8)
NUMBERS = st.sampled_from((0, 1, -1, 2, 80, 65536, 2**31, -(2**31) - 1, 2**63, 10**30)) | st.integers(0, 100)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
DEEPEST = 7
# A stream has no end that could be waited for.
STREAMED = frozenset({"watch", "follow"})
PATCHES = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "application/json",
)
ACCEPTS = (
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/yaml",
    "",
)
QUERIES = {
    "labelSelector": ("app=web", "a in (b,c)", "!x", "a>1", "((", "a=b=c", ",", "in in (in)"),
    "fieldSelector": ("metadata.name=web", "status.phase!=Running", "x=y", "=", "metadata.name=\\", "a"),
    "resourceVersion": ("0", "1", "5", "999999999", str(2**64), "x", "-1"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "Never"),
    "continue": ("", "x", "WzEsIiIsIiJd", "e30"),
    "limit": ("0", "1", "-1", "x", str(10**20)),
    "dryRun": ("All", "All", "Some"),
    "fieldManager": ("test", "test", "other", "", "x" * 200, "\n"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "No"),
    "propagationPolicy": ("Background", "Foreground", "Orphan", "No"),
    "gracePeriodSeconds": ("0", "1", "-1", "x"),
    "includeObject": ("Object", "None", "Never"),
    "container": ("main", "nope", ""),
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    type: str = "application/json"
    accept: str = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    parameters: tuple[str, ...]
    body: Any  # a strategy


def requests(documents: dict[str, Any], examples: dict[str, Schema]) -> st.SearchStrategy[Request]:
    """Every operation of every document is as likely as any other; `examples` by kind."""
    found = [operation for document in documents.values() for operation in _operations(document, examples)]
    return st.sampled_from(found).flatmap(_request)


def _operations(document: dict[str, Any], examples: dict[str, Schema]) -> list[Operation]:
    """The operations of one document whose answer has an end."""
    operations = []
    whole, sparse = _Values(document, sparse=False), _Values(document, sparse=True)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters" or operation["x-kubernetes-action"] == "connect":
                continue
            content = operation.get("requestBody", {}).get("content", {})
            schema = next((one["schema"] for one in content.values()), None)
            if method == "patch":
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            names = tuple(
                one["name"] for one in operation.get("parameters", ()) if one["name"] not in STREAMED
            )
            body: Any = st.none()
            if schema is not None:
                body = whole.of(schema)
                example = examples.get(operation["x-kubernetes-group-version-kind"]["kind"])
                if example is not None and method != "delete":
                    body |= _changed(example, sparse.of(schema)) | _changed(example, sparse.of(schema))
                body = _mostly(body)
            operations.append(Operation(method.upper(), path, names, body))
    return operations


def _changed(example: Schema, changes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return changes.map(lambda change: _laid_over(example, change))


def _laid_over(below: Any, above: Any) -> Any:
    """Objects are merged, lists item by item; everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        kept = {name: value for name, value in below.items() if name not in above}
        return kept | {
            name: _laid_over(below[name], value) if name in below else value for name, value in above.items()
        }
    if isinstance(below, list) and isinstance(above, list) and below:
        return [_laid_over(below[0], item) for item in above] or below
    return above


class _Values:
    """Values that follow the schemas of a document. `sparse`: at most one field at each level."""

    def __init__(self, document: dict[str, Any], *, sparse: bool) -> None:
        self._schemas = document["components"]["schemas"]
        self._sparse = sparse
        self._named: dict[tuple[str, int], st.SearchStrategy[Any]] = {}

    def of(self, schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
        reference = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", ())), None)
        if reference is not None:
            key = reference.removeprefix(REFERENCE), depth
            if key not in self._named:
                self._named[key] = self.of(self._schemas[key[0]], depth)
            return self._named[key]
        if "oneOf" in schema:
            return TEXTS | NUMBERS
        kind = schema.get("type")
        if "enum" in schema:
            return st.sampled_from([*schema["enum"], *schema["enum"], "Nonsense"])
        if kind == "string":
            return TEXTS
        if kind == "integer":
            return NUMBERS
        if kind == "boolean":
            return st.booleans()
        if depth >= DEEPEST:
            return ANYTHING
        if kind == "array":
            return st.lists(st.deferred(lambda: self.of(schema["items"], depth + 1)), max_size=2)
        if "additionalProperties" in schema:
            inner = st.deferred(lambda: self.of(schema["additionalProperties"], depth + 1))
            return st.dictionaries(TEXTS, inner, max_size=2)
        return self._object(schema, depth) if "properties" in schema else ANYTHING

    def _object(self, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        properties = schema["properties"]
        most = 1 if self._sparse else 4
        chosen = st.lists(st.sampled_from(sorted(properties)), max_size=most, unique=True)
        required = set(schema.get("required", ())) | ({"metadata", "spec"} & properties.keys())

        @st.composite
        def made(draw: st.DrawFn) -> Any:
            value = {}
            names = set(draw(chosen)) | (set() if self._sparse else required)
            for name in sorted(names):
                wrong = draw(st.integers(0, 30)) == 0
                value[name] = draw(ANYTHING if wrong else self.of(properties[name], depth + 1))
            if draw(st.integers(0, 40)) == 0:
                value["unknown"] = draw(ANYTHING)
            return value

        return made()


@st.composite
def _request(draw: st.DrawFn, operation: Operation) -> Request:
    path, called = operation.path, draw(st.sampled_from(("web", "new", "newer", "x-1")))
    for part in ("{namespace}", "{name}"):
        while part in path:
            common = ("default",) if part == "{namespace}" else NAMES[:2]
            name = draw(st.sampled_from(common) | st.sampled_from(NAMES))
            called = name if part == "{name}" else called
            path = path.replace(part, name.replace("é", "%C3%A9"), 1)
    query = {
        name: draw(st.sampled_from(QUERIES[name]) if name in QUERIES else TEXTS)
        for name in draw(_few(operation.parameters))
    }
    kind = "application/json"
    body = draw(operation.body)
    if operation.method == "PATCH":
        kind = draw(st.sampled_from(PATCHES))
        if kind == "application/json-patch+json":
            body = draw(_JSON_PATCH | ANYTHING)
        if kind == "application/apply-patch+yaml":
            query.setdefault("fieldManager", "test")
    if isinstance(body, dict) and draw(st.integers(0, 9)):
        body = {**body, **_identity(called, body.get("metadata"))}
        body.pop("kind", None)
        body.pop("apiVersion", None)
    data = None if body is None else json.dumps(body).encode()
    if data is not None and draw(st.integers(0, 40)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return Request(operation.method, path, query, data, kind, draw(st.sampled_from(ACCEPTS)))


def _mostly(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda at: likely if at else ANYTHING)


def _few(parameters: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Mostly none: each is one more reason for an early refusal."""
    if not parameters:
        return st.just([])
    return st.just([]) | st.just([]) | st.lists(st.sampled_from(parameters), max_size=3, unique=True)


def _identity(called: str, metadata: Any) -> dict[str, Any]:
    """The name in the path, and nothing that only a true copy of the object could have."""
    kept = metadata if isinstance(metadata, dict) else {}
    kept = {name: kept[name] for name in kept if name in ("labels", "annotations", "finalizers")}
    return {"metadata": {**kept, "name": called}}


_POINTERS = st.sampled_from(
    [
        *("", "/", "/metadata", "/metadata/labels", "/metadata/labels/a", "/spec", "/spec/containers/0", "x"),
        *("/data/x", "/spec/containers/-", "/metadata/name", "/status", "/spec/containers/9"),
        "/metadata/finalizers/0",
    ]
)
_JSON_PATCH = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test", "nope")),
            "path": _POINTERS,
        },
        optional={"value": ANYTHING, "from": _POINTERS},
    ),
    max_size=3,
)
