"""What Go writes where nothing was given: a field that must be there holds at least its zero value.

Specs are validated, so that a missing name is an error there. A status is believed as it is written, by
whoever may write it: a condition without a type becomes one of type "", as on a cluster, and every reader may
rely on the field. Pure; changes the dict it is given.
"""

from __future__ import annotations

from typing import Any

from minikubelet.v1 import field_rules
from minikubelet.v1.meta import Resource
from minikubelet.v1.schema import Shape, Type, fields_of

ZERO: dict[Shape, Any] = {Shape.STRING: "", Shape.INT32: 0, Shape.INT64: 0, Shape.BOOL: False}


def complete_status(obj: dict[str, Any], struct: type[Resource]) -> None:
    """Give everything below `status` the fields it cannot do without."""
    field = fields_of(struct).get("status")
    if field is not None and obj.get("status") is not None:
        _complete(obj["status"], field.type)


def _complete(value: Any, kind: Type) -> None:
    if kind.shape is Shape.LIST and kind.item is not None:
        for item in value:
            _complete(item, kind.item)
    elif kind.shape is Shape.STRUCT and kind.struct is not None:
        fields = fields_of(kind.struct)
        for name in field_rules.required(kind.struct.__name__):
            if fields[name].type.shape in ZERO:
                value.setdefault(name, ZERO[fields[name].type.shape])
        for name, inner in value.items():
            _complete(inner, fields[name].type)
