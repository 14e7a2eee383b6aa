"""What stands in the body of a write: an object (JSON, YAML, protobuf), a patch, a configuration to apply.

The texts are the API server's. Everything is bounded before it is used: the size by `request.BODY_LIMIT`, the
depth here, so that no walk over an object can run out of stack.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from minikubelet.api import protobuf
from minikubelet.api.patches import Patch
from minikubelet.api.patches.json_patch import json_patch
from minikubelet.api.patches.merge_patch import merge_patch
from minikubelet.api.patches.strategic import strategic_merge
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, ManifestError, UnsupportedMediaType
from minikubelet.v1.decode import parse_json
from minikubelet.v1.manifest import parse

Object = dict[str, Any]

JSON, YAML = "application/json", "application/yaml"
OBJECTS = (JSON, YAML, protobuf.CONTENT_TYPE)
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE, APPLY)
MAX_DEPTH = 100


async def read_object(call: Call) -> Object:
    """The object in the body: JSON, YAML or (from kubectl 1.32 on) protobuf."""
    body, kind = await call.body(), call.content_type
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.decode(body)
    if kind not in (*OBJECTS, "text/json", "application/octet-stream", ""):
        raise _unsupported(OBJECTS)
    expected = call.info.kind if call.info else ""
    if kind == YAML and body.strip():
        return _from_yaml(body, YAML)
    return parse_object(body, expected)


def parse_object(body: bytes, expected: str = "") -> Object:
    """Strict JSON with an object on top, of the expected kind; names given twice are remembered."""
    must_be = f" (must be of type {expected})" if expected else ""
    if not body.strip():
        cause, shown = "unexpected end of JSON input", "<empty>"
    else:
        try:
            value = parse_json(body)
        except BadRequest as error:
            cause, shown = error.message.rpartition("json: ")[2], _summary(body)
        else:
            if isinstance(value, dict):
                _check_depth(value)
                return value
            cause = f"json: cannot unmarshal {_go_kind(value)} into Go value of type struct"
            shown = _summary(body)
    raise BadRequest(
        f"the object provided is unrecognized{must_be}: couldn't get version/kind; "
        f"json parse error: {cause} ({shown})"
    )


def _summary(body: bytes) -> str:
    """The beginning of what is no object."""
    beginning = body[:30].decode(errors="replace") if body.startswith(b"{") else body[:30].hex()
    return f"{beginning} ..." if len(body) > 30 else beginning


async def read_patch(call: Call) -> Patch:
    """The patch in the body, as what it does to an object. Its type is looked at before anything else."""
    kind = call.content_type
    if kind not in PATCHES:
        raise _unsupported(PATCHES)
    if kind == APPLY:  # of what is only a view of an object, and has no owners of its own
        raise _unsupported(PATCHES[:-1])
    body = await call.body()
    patch = _parse_patch(body, kind)
    if kind == JSON_PATCH:
        return Patch(partial(json_patch, operations=patch))
    if kind == MERGE_PATCH:
        return Patch(partial(merge_patch, patch=patch))
    return Patch(partial(strategic_merge, patch=patch, kind=call.resource.type), shown=patch)


def _parse_patch(body: bytes, kind: str) -> Any:
    prefix = "" if kind == STRATEGIC_MERGE else "error decoding patch: "
    if not body.strip():
        raise BadRequest(f"{prefix}unexpected end of JSON input")
    try:
        patch = parse_json(body)
    except BadRequest as error:
        raise BadRequest(prefix + error.message.rpartition("json: ")[2]) from None
    _check_depth(patch)
    wanted, go = (list, "[]handlers.jsonPatchOp") if kind == JSON_PATCH else (dict, "map[string]interface {}")
    if not isinstance(patch, wanted):
        raise BadRequest(f"{prefix}json: cannot unmarshal {_go_kind(patch)} into Go value of type {go}")
    return patch


async def read_configuration(call: Call) -> Object:
    """What server-side apply is to make of an object: YAML, and JSON is YAML."""
    body = await call.body()
    if not body.strip():
        raise BadRequest("error decoding YAML: the body is empty")
    return _from_yaml(body, APPLY)


def _from_yaml(body: bytes, kind: str) -> Object:
    """With the manifest reader's rules: no tags, no alias bombs, no key twice, nothing nested too deep."""
    try:
        (document,) = parse(body, "the body")
    except ManifestError as error:
        raise BadRequest(f"error decoding YAML: {error}" if kind == APPLY else str(error)) from None
    except ValueError:
        raise BadRequest("the body of the request must be one object") from None
    return document.data


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise BadRequest("the body of the request is nested too deeply")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _go_kind(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "object" if isinstance(value, dict) else "null")


def _unsupported(accepted: tuple[str, ...]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
