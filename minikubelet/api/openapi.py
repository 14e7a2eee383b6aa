"""OpenAPI: an empty version 2, and version 3 as far as kubectl reads it.

The empty v2 answer is enough for apply and create: it says that the server validates, which it does.
`kubectl explain` wants v3 with schemas and paths; both come from the structs of `minikubelet.v1`, so that
they can never disagree with the decoder. A document is made when it is first asked for and kept as bytes;
its hash is in its URL, so that clients fetch it once.

The patch operations name `fieldValidation` (it tells kubectl that unknown fields are our business) and have
no request body: with one, kubectl would take its merge keys from here instead of from its own types.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from typing import Any

import msgspec

from minikubelet.api.discovery import group_versions
from minikubelet.v1 import base
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.schema import Shape, Type, fields_of

Object = dict[str, Any]

META = frozenset(
    {"ObjectMeta", "OwnerReference", "ManagedFieldsEntry", "LabelSelector", "LabelSelectorRequirement"}
)
GROUPS = {"apps": "apps", "batch": "batch", "scale": "autoscaling"}  # by module; all else is core
SCALARS: dict[Shape, Object] = {
    Shape.STRING: {"type": "string"},
    Shape.INT32: {"type": "integer", "format": "int32"},
    Shape.INT64: {"type": "integer", "format": "int64"},
    Shape.BOOL: {"type": "boolean"},
    Shape.TIME: {"type": "string", "format": "date-time"},
    Shape.MICRO_TIME: {"type": "string", "format": "date-time"},
    Shape.BYTES: {"type": "string", "format": "byte"},
    Shape.QUANTITY: {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
    Shape.INT_OR_STRING: {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
    Shape.ANY: {"type": "object"},
}
NAMED_SCALARS: dict[str, Object] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "description": "An amount: a number with an optional suffix such as m, k, Ki, M, Mi.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "A number, or the name of something that has one.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}
PATCH_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string"}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]


def index() -> Object:
    """`/openapi/v3`: where the documents are."""
    return {"paths": {_place(version): {"serverRelativeURL": _url(version)} for version in group_versions()}}


@cache
def document(group_version: str) -> bytes | None:
    """One group version as JSON; None if there is none."""
    infos = group_versions().get(group_version)
    if infos is None:
        return None
    schemas: Object = dict(NAMED_SCALARS)
    for info in infos:
        _add_schema(schemas, info.type)
        schemas[_schema_name(info.type)]["x-kubernetes-group-version-kind"] = [_kind(info)]
    paths: Object = {}
    for info in infos:
        paths |= _paths(info)
    return msgspec.json.encode(
        {
            "openapi": "3.0.0",
            "info": {"title": "minikubelet", "version": "v1"},
            "paths": paths,
            "components": {"schemas": schemas},
        }
    )


def etag(group_version: str) -> str:
    return hashlib.sha256(document(group_version) or b"").hexdigest()[:32]


def _place(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def _url(group_version: str) -> str:
    return f"/openapi/v3/{_place(group_version)}?hash={etag(group_version)}"


def _kind(info: ResourceInfo) -> Object:
    return {"group": info.group, "version": info.version, "kind": info.kind}


def _paths(info: ResourceInfo) -> Object:
    """The collection and the object of one resource."""
    scope = "/namespaces/{namespace}" if info.namespaced else ""
    collection = f"/{_place(info.api_version)}{scope}/{info.plural}"

    def operation(parameters: list[Object] | None = None) -> Object:
        made: Object = {"x-kubernetes-group-version-kind": _kind(info), "responses": {}}
        return made | ({"parameters": parameters} if parameters else {})

    return {
        collection: {"get": operation(), "post": operation(PATCH_PARAMETERS)},
        f"{collection}/{{name}}": {"get": operation(), "patch": operation(PATCH_PARAMETERS)},
    }


def _schema_name(struct: type[base.Object]) -> str:
    name = struct.__name__
    if name in META:
        return f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}"
    group = GROUPS.get(struct.__module__.rpartition(".")[2], "core")
    return f"io.k8s.api.{group}.v1.{name}"


def _add_schema(schemas: Object, struct: type[base.Object]) -> None:
    """The struct and everything it holds."""
    name = _schema_name(struct)
    if name in schemas:
        return
    schema: Object = {"type": "object", "description": inspect.getdoc(struct) or ""}
    schemas[name] = schema
    schema["properties"] = {
        field.name: _property(schemas, field.type) for field in fields_of(struct).values()
    }
    if hasattr(struct, "API_VERSION"):
        schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}


def _property(schemas: Object, kind: Type) -> Object:
    """One field. A reference stands in allOf, because beside it nothing else would count."""
    if kind.shape is Shape.STRUCT:
        assert kind.struct is not None
        _add_schema(schemas, kind.struct)
        return {"default": {}, "allOf": [{"$ref": f"#/components/schemas/{_schema_name(kind.struct)}"}]}
    if kind.shape is Shape.LIST:
        assert kind.item is not None
        return {"type": "array", "items": _property(schemas, kind.item)}
    if kind.shape is Shape.MAP:
        assert kind.item is not None
        return {"type": "object", "additionalProperties": _property(schemas, kind.item)}
    return SCALARS[kind.shape]
