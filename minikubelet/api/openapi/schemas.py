"""The schemas: one for each struct, with what `v1.field_rules` and `v1.descriptions` say of its fields."""

from __future__ import annotations

import inspect
from typing import Any

from minikubelet.api.openapi import names
from minikubelet.v1 import base, descriptions, field_rules, topology
from minikubelet.v1.meta import Resource
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.schema import Field, Shape, Type, fields_of

Object = dict[str, Any]

TEXT: Object = {"type": "string"}
SCALARS: dict[Shape, Object] = {
    Shape.STRING: TEXT,
    Shape.INT32: {"type": "integer", "format": "int32"},
    Shape.INT64: {"type": "integer", "format": "int64"},
    Shape.BOOL: {"type": "boolean"},
    Shape.BYTES: {"type": "string", "format": "byte"},
}
# Types with a name of their own.
NAMED: dict[Shape, tuple[str, Object]] = {
    Shape.TIME: (
        f"{names.META}.Time",
        {"type": "string", "format": "date-time", "description": "A moment in RFC 3339, whole seconds."},
    ),
    Shape.MICRO_TIME: (
        f"{names.META}.MicroTime",
        {"type": "string", "format": "date-time", "description": "A moment in RFC 3339, with microseconds."},
    ),
    Shape.QUANTITY: (
        names.QUANTITY,
        {
            "description": "An amount: a number with an optional suffix such as m, k, Ki, M, Mi.",
            "oneOf": [{"type": "string"}, {"type": "number"}],
        },
    ),
    Shape.INT_OR_STRING: (
        names.INT_OR_STRING,
        {
            "description": "A number, or the name of something that has one.",
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        },
    ),
    Shape.ANY: (f"{names.META}.FieldsV1", {"type": "object", "description": "A set of fields, as a tree."}),
}
DELETE_OPTIONS: Object = {
    "type": "object",
    "description": "How something is deleted.",
    "properties": {
        "apiVersion": TEXT,
        "kind": TEXT,
        "dryRun": {"type": "array", "items": TEXT},
        "gracePeriodSeconds": SCALARS[Shape.INT64],
        "propagationPolicy": TEXT,
        "preconditions": {"type": "object", "properties": {"uid": TEXT, "resourceVersion": TEXT}},
    },
}
STATUS: Object = {
    "type": "object",
    "description": "How a request went, when the answer is not an object.",
    "properties": {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": {"type": "object"},
        "status": TEXT,
        "message": TEXT,
        "reason": TEXT,
        "code": SCALARS[Shape.INT32],
        "details": {"type": "object"},
    },
}
LIST_META_FIELDS = ("continue", "remainingItemCount", "resourceVersion", "selfLink")


class Schemas:
    """The schemas of one document; `made` holds them by name."""

    def __init__(self) -> None:
        self._texts = descriptions.read()
        self.made: Object = {
            names.DELETE_OPTIONS: DELETE_OPTIONS,
            names.STATUS: STATUS,
            names.LIST_META: self._list_meta(),
        }

    def add_kind(self, info: ResourceInfo) -> None:
        """A kind, its list, and everything they hold."""
        self._add(info.type)
        self.made[names.of_struct(info.type)]["x-kubernetes-group-version-kind"] = [
            {"group": info.group, "version": info.version, "kind": info.kind}
        ]
        self.made[names.of_list(info)] = self._list(info)

    def _list(self, info: ResourceInfo) -> Object:
        of_any = self._texts[descriptions.RESOURCE]
        return {
            "type": "object",
            "description": f"Several objects of kind {info.kind}.",
            "required": ["items"],
            "properties": {
                "apiVersion": {**TEXT, "description": of_any["apiVersion"]},
                "items": {
                    "type": "array",
                    "description": "The objects.",
                    "items": _reference(names.of_struct(info.type)),
                },
                "kind": {**TEXT, "description": of_any["kind"]},
                "metadata": {**_reference(names.LIST_META), "description": "About the list as a whole."},
            },
            "x-kubernetes-group-version-kind": [
                {"group": info.group, "version": info.version, "kind": f"{info.kind}List"}
            ],
        }

    def _list_meta(self) -> Object:
        texts = self._texts["ListMeta"]
        scalars = {"remainingItemCount": SCALARS[Shape.INT64]}
        return {
            "type": "object",
            "description": "What the server says about a list.",
            "properties": {
                name: {**scalars.get(name, TEXT), "description": texts[name]} for name in LIST_META_FIELDS
            },
        }

    def _add(self, struct: type[base.Object]) -> None:
        """The struct and everything it holds."""
        name = names.of_struct(struct)
        if name in self.made:
            return
        schema: Object = {"type": "object", "description": inspect.getdoc(struct) or ""}
        self.made[name] = schema
        if required := field_rules.required(struct.__name__):
            schema["required"] = list(required)
        if struct.__name__ in topology.ATOMIC_STRUCTS:
            schema["x-kubernetes-map-type"] = "atomic"
        schema["properties"] = {
            field.name: self._property(struct, field)
            for field in sorted(fields_of(struct).values(), key=lambda field: field.name)
        }

    def _property(self, struct: type[base.Object], field: Field) -> Object:
        of_kind = self._texts[descriptions.RESOURCE] if issubclass(struct, Resource) else {}
        text = {**of_kind, **self._texts.get(struct.__name__, {})}.get(field.name)
        made = self._type(field.type)
        if text is not None:
            made["description"] = text
        default = field_rules.rule(field_rules.DEFAULTS, struct.__name__, field.name)
        if default is not None:
            made["default"] = default
        words = field_rules.rule(field_rules.ENUMS, struct.__name__, field.name)
        if words is not None:
            made["enum"] = list(words)
        return made | _topology(f"{struct.__name__}.{field.name}", field)

    def _type(self, kind: Type) -> Object:
        if kind.shape is Shape.STRUCT:
            assert kind.struct is not None
            self._add(kind.struct)
            return _reference(names.of_struct(kind.struct))
        if kind.shape is Shape.LIST:
            assert kind.item is not None
            return {"type": "array", "items": self._type(kind.item)}
        if kind.shape is Shape.MAP:
            assert kind.item is not None
            if kind.item.shape is Shape.ANY:
                return self._type(kind.item)
            return {"type": "object", "additionalProperties": self._type(kind.item)}
        if kind.shape in NAMED:
            name, schema = NAMED[kind.shape]
            self.made[name] = schema
            return _reference(name)
        return dict(SCALARS[kind.shape])


def _reference(name: str) -> Object:
    """In allOf, because beside a bare reference nothing else would count."""
    return {"allOf": [{"$ref": f"{names.REFERENCE}{name}"}]}


def _topology(place: str, field: Field) -> Object:
    """What counts as one value, and how the items of a list are told apart: for appliers and for patches."""
    rules: Object = {}
    if field.type.shape is Shape.LIST:
        rules["x-kubernetes-list-type"] = "atomic"
        if place in topology.KEYS:
            rules["x-kubernetes-list-type"] = "map"
            rules["x-kubernetes-list-map-keys"] = list(topology.KEYS[place])
        elif place in topology.SETS:
            rules["x-kubernetes-list-type"] = "set"
    elif place in topology.ATOMIC_MAPS:
        rules["x-kubernetes-map-type"] = "atomic"
    if strategy := topology.patch_strategy(place):
        rules["x-kubernetes-patch-strategy"] = strategy
    if key := topology.patch_key(place):
        rules["x-kubernetes-patch-merge-key"] = key
    return rules
