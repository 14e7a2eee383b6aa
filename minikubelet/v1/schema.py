"""The type information of core/v1, read from the structs themselves.

`fields_of(PodSpec)` says for every JSON name what may stand there. Three readers share it, so that they can
never disagree: the strict decoder (`v1.decode`), the table of supported fields (`v1.support`) and the OpenAPI
document of the API. Go's names of the types are kept because the API server's error texts contain them.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any

import msgspec

from minikubelet.v1.base import Object


class Shape(Enum):
    """What stands at a place in JSON."""

    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    QUANTITY = "quantity"
    INT_OR_STRING = "int-or-string"
    TIME = "date-time"
    MICRO_TIME = "micro-time"
    BYTES = "byte"  # base64 text
    ANY = "any"
    STRUCT = "struct"
    LIST = "list"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Type:
    """A shape, with the struct behind it or the type of its items."""

    shape: Shape
    struct: type[Object] | None = None
    item: Type | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct."""

    name: str  # as in JSON
    attribute: str
    type: Type


@cache
def fields_of(struct: type[Object]) -> dict[str, Field]:
    """The fields of a struct by JSON name, in the order they are declared."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {
        field.encode_name: Field(field.encode_name, field.name, _type_of(hints[field.name]))
        for field in msgspec.structs.fields(struct)
    }


def walk(struct: type[Object], path: str = "") -> Iterator[tuple[str, type[Object], Field]]:
    """Every field below a struct, with its path: `spec.containers[*].image`. Types contain no cycles."""
    for field in fields_of(struct).values():
        here = f"{path}.{field.name}" if path else field.name
        yield here, struct, field
        inner = field.type
        while inner.item is not None:
            here += "[*]"
            inner = inner.item
        if inner.struct is not None:
            yield from walk(inner.struct, here)


SCALARS = {str: Shape.STRING, bool: Shape.BOOL, int: Shape.INT64, datetime: Shape.TIME, Any: Shape.ANY}


def _type_of(hint: Any) -> Type:
    """From a Python annotation; None beside the type only says that every field is optional."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return _type_of(members[0]) if len(members) == 1 else Type(Shape.INT_OR_STRING)
    if typing.get_origin(hint) is Annotated:
        _, meta = typing.get_args(hint)
        return Type(Shape(meta.extra["format"]))
    if typing.get_origin(hint) is list:
        return Type(Shape.LIST, item=_type_of(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is dict:
        return Type(Shape.MAP, item=_type_of(typing.get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, Object):
        return Type(Shape.STRUCT, struct=hint)
    return Type(SCALARS[hint])


# Go's names, as they appear in "cannot unmarshal … into Go struct field … of type …".

SCALAR_NAMES = {
    Shape.STRING: "string",
    Shape.INT32: "int32",
    Shape.INT64: "int64",
    Shape.BOOL: "bool",
    Shape.QUANTITY: "resource.Quantity",
    Shape.INT_OR_STRING: "intstr.IntOrString",
    Shape.TIME: "v1.Time",
    Shape.MICRO_TIME: "v1.MicroTime",
    Shape.BYTES: "[]uint8",
    Shape.ANY: "v1.FieldsV1",
}

# Texts with a type of their own in Go; "*" is the field wherever it occurs.
NAMED_TEXTS = {
    ("*", "uid"): "types.UID",
    ("*", "restartPolicy"): "v1.RestartPolicy",
    ("Container", "restartPolicy"): "v1.ContainerRestartPolicy",
    ("EphemeralContainer", "restartPolicy"): "v1.ContainerRestartPolicy",
    ("ContainerResizePolicy", "restartPolicy"): "v1.ResourceResizeRestartPolicy",
    ("ContainerResizePolicy", "resourceName"): "v1.ResourceName",
    ("*", "dnsPolicy"): "v1.DNSPolicy",
    ("*", "imagePullPolicy"): "v1.PullPolicy",
    ("*", "pullPolicy"): "v1.PullPolicy",
    ("*", "preemptionPolicy"): "v1.PreemptionPolicy",
    ("*", "protocol"): "v1.Protocol",
    ("*", "terminationMessagePolicy"): "v1.TerminationMessagePolicy",
    ("*", "scheme"): "v1.URIScheme",
    ("*", "effect"): "v1.TaintEffect",
    ("Toleration", "operator"): "v1.TolerationOperator",
    ("NodeSelectorRequirement", "operator"): "v1.NodeSelectorOperator",
    ("LabelSelectorRequirement", "operator"): "v1.LabelSelectorOperator",
    ("EmptyDirVolumeSource", "medium"): "v1.StorageMedium",
    ("HostPathVolumeSource", "type"): "v1.HostPathType",
    ("*", "mountPropagation"): "v1.MountPropagationMode",
    ("*", "recursiveReadOnly"): "v1.RecursiveReadOnlyMode",
    ("SecurityContext", "procMount"): "v1.ProcMountType",
    ("SeccompProfile", "type"): "v1.SeccompProfileType",
    ("AppArmorProfile", "type"): "v1.AppArmorProfileType",
    ("PodSecurityContext", "fsGroupChangePolicy"): "v1.PodFSGroupChangePolicy",
    ("PodSecurityContext", "supplementalGroupsPolicy"): "v1.SupplementalGroupsPolicy",
    ("Lifecycle", "stopSignal"): "v1.Signal",
    ("PodOS", "name"): "v1.OSName",
    ("PodStatus", "phase"): "v1.PodPhase",
    ("Secret", "type"): "v1.SecretType",
}


def go_name(struct: type[Object], field: Field) -> str:
    """Go's name of a field's type."""
    if field.type.shape is Shape.STRING:
        return NAMED_TEXTS.get((struct.__name__, field.name)) or NAMED_TEXTS.get(("*", field.name), "string")
    return go_type_name(field.type)


def go_type_name(type_: Type) -> str:
    """Go's name of a type without regard to where it stands."""
    if type_.shape is Shape.STRUCT:
        assert type_.struct is not None
        return f"v1.{type_.struct.__name__}"
    if type_.shape is Shape.LIST:
        assert type_.item is not None
        return f"[]{go_type_name(type_.item)}"
    if type_.shape is Shape.MAP:
        assert type_.item is not None
        quantities = type_.item.shape is Shape.QUANTITY
        return "v1.ResourceList" if quantities else f"map[string]{go_type_name(type_.item)}"
    return SCALAR_NAMES[type_.shape]
