"""What Go does not write: a field marked `omitempty` in which there is nothing.

A client may send `hostNetwork: false`, `labels: {}` or `env: []`. On a cluster nobody finds these again, so
`diff` shows no difference, and a JSON patch that adds to such a map is refused. Zero, false and "" count as
nothing unless the field is a pointer in Go, an empty list or map always does; a struct is something, even
with nothing in it. Which field is what is in the tables of protobuf and of server-side apply.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from minikubelet.api.protobuf.messages import Field, by_name, message_name, table
from minikubelet.v1.field_rules import required
from minikubelet.v1.topology import ALWAYS_PRESENT

Object = dict[str, Any]

SCALARS = "siby"  # texts, integers, booleans, bytes; the others are structs


def omit_empty(obj: Object) -> Object:
    """The object, changed: of the kinds that protobuf knows."""
    name = message_name(obj["apiVersion"], obj["kind"])
    if name is not None:
        _omit(obj, name)
    return obj


def _omit(struct: Object, name: str) -> None:
    fields, always = by_name(name), _always(name)
    for key, value in list(struct.items()):
        field = fields.get(key)
        if field is None:
            continue
        if not value and key not in always and _may_be_omitted(field):
            del struct[key]
        elif field.type in table():
            for inner in value if field.is_list else [value]:
                _omit(inner, field.type)


def _may_be_omitted(field: Field) -> bool:
    return field.is_list or field.is_map or (field.type in SCALARS and not field.is_pointer)


@cache
def _always(name: str) -> frozenset[str]:
    return frozenset((*required(name), *ALWAYS_PRESENT.get(name, ())))
