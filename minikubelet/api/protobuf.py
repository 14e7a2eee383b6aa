"""Request bodies in Kubernetes' protobuf, which kubectl sends from 1.32 on for `create configmap` and its
like.

There is no fall-back to JSON on the client's side, so they must be read; answers may always be JSON. Only
two wire types occur (varint, length-delimited), and a table per message says which field number is what.
The tables are data for the kinds kubectl makes by itself; an unknown kind is answered 415 with its name.

    body = "k8s\\0" + Unknown{1: TypeMeta{1: apiVersion, 2: kind}, 2: raw object}
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minikubelet.errors import BadRequest, UnsupportedMediaType

Object = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Message:
    """One message: field number → (JSON name, type). The empty name merges a sub-message into its parent."""

    fields: dict[int, tuple[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list of something."""

    item: Any


@dataclass(frozen=True, slots=True)
class Map:
    """A map from text to something."""

    value: Any


# Scalars: how the bytes or the number of a field become a JSON value. False and "" are dropped, except where
# a pointer in Go makes them mean something (OPTIONAL).
TEXT, BYTES, INT, BOOL, OPTIONAL_BOOL = "text", "bytes", "int", "bool", "optional bool"
INT_OR_TEXT = "int or text"  # a message: {1: which, 2: number, 3: text}

OWNER = Message(
    {
        1: ("kind", TEXT),
        3: ("name", TEXT),
        4: ("uid", TEXT),
        5: ("apiVersion", TEXT),
        6: ("controller", OPTIONAL_BOOL),
        7: ("blockOwnerDeletion", OPTIONAL_BOOL),
    }
)
METADATA = Message(
    {
        1: ("name", TEXT),
        2: ("generateName", TEXT),
        3: ("namespace", TEXT),
        5: ("uid", TEXT),
        6: ("resourceVersion", TEXT),
        11: ("labels", Map(TEXT)),
        12: ("annotations", Map(TEXT)),
        13: ("ownerReferences", Repeated(OWNER)),
        14: ("finalizers", Repeated(TEXT)),
    }
)
NAME_REFERENCE = Message({1: ("name", TEXT)})
SERVICE_PORT = Message(
    {
        1: ("name", TEXT),
        2: ("protocol", TEXT),
        3: ("port", INT),
        4: ("targetPort", INT_OR_TEXT),
        5: ("nodePort", INT),
        6: ("appProtocol", TEXT),
    }
)
# Those fields that a command of kubectl can set.
SERVICE_SPEC = Message(
    {
        1: ("ports", Repeated(SERVICE_PORT)),
        2: ("selector", Map(TEXT)),
        3: ("clusterIP", TEXT),
        4: ("type", TEXT),
        5: ("externalIPs", Repeated(TEXT)),
        7: ("sessionAffinity", TEXT),
        8: ("loadBalancerIP", TEXT),
        9: ("loadBalancerSourceRanges", Repeated(TEXT)),
        10: ("externalName", TEXT),
        11: ("externalTrafficPolicy", TEXT),
        12: ("healthCheckNodePort", INT),
        13: ("publishNotReadyAddresses", BOOL),
        17: ("ipFamilyPolicy", TEXT),
        18: ("clusterIPs", Repeated(TEXT)),
        19: ("ipFamilies", Repeated(TEXT)),
        20: ("allocateLoadBalancerNodePorts", OPTIONAL_BOOL),
        21: ("loadBalancerClass", TEXT),
        22: ("internalTrafficPolicy", TEXT),
        23: ("trafficDistribution", TEXT),
    }
)

KINDS: dict[str, Message] = {
    "ConfigMap": Message(
        {
            1: ("metadata", METADATA),
            2: ("data", Map(TEXT)),
            3: ("binaryData", Map(BYTES)),
            4: ("immutable", OPTIONAL_BOOL),
        }
    ),
    "Secret": Message(
        {
            1: ("metadata", METADATA),
            2: ("data", Map(BYTES)),
            3: ("type", TEXT),
            4: ("stringData", Map(TEXT)),
            5: ("immutable", OPTIONAL_BOOL),
        }
    ),
    "Namespace": Message({1: ("metadata", METADATA)}),
    "ServiceAccount": Message(
        {
            1: ("metadata", METADATA),
            3: ("imagePullSecrets", Repeated(NAME_REFERENCE)),
            4: ("automountServiceAccountToken", OPTIONAL_BOOL),
        }
    ),
    "Service": Message({1: ("metadata", METADATA), 2: ("spec", SERVICE_SPEC)}),
    "DeleteOptions": Message(
        {
            1: ("gracePeriodSeconds", INT),
            2: ("preconditions", Message({1: ("uid", TEXT), 2: ("resourceVersion", TEXT)})),
            4: ("propagationPolicy", TEXT),
            5: ("dryRun", Repeated(TEXT)),
        }
    ),
}


def decode(body: bytes) -> Object:
    """The object with its kind and apiVersion. BadRequest when the bytes make no sense, 415 for other
    kinds.
    """
    if not body.startswith(MAGIC):
        raise BadRequest(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        identity = {number: _scalar(TEXT, value) for number, value in _fields(envelope.get(1, b""))}
        message = KINDS.get(identity.get(2, ""))
        if message is None:
            raise UnsupportedMediaType(
                f'protobuf bodies of kind "{identity.get(2, "")}" are not supported, send application/json'
            )
        return {"apiVersion": identity.get(1, ""), "kind": identity[2], **_message(message, envelope[2])}
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BadRequest(f"unable to decode the protobuf body: {error!r}") from None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, int or bytes) of one message. IndexError when it ends too early."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value: Any
            value, position = _varint(data, position)
        elif wire in (LENGTH, FIXED64, FIXED32):
            length = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
            if wire == LENGTH:
                length, position = _varint(data, position)
            if position + length > len(data):
                raise IndexError("a field ends behind the message")
            value, position = data[position : position + length], position + length
        else:
            raise TypeError(f"wire type {wire}")
        yield number, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise IndexError("a number is too long")


def _message(message: Message, data: bytes) -> Object:
    result: Object = {}
    for number, raw in _fields(data):
        if number not in message.fields:
            continue
        name, kind = message.fields[number]
        if isinstance(kind, Repeated):
            result.setdefault(name, []).append(_value(kind.item, raw))
        elif isinstance(kind, Map):
            entry = dict(_fields(raw))
            key = _scalar(TEXT, entry.get(1, b""))
            result.setdefault(name, {})[key] = _value(kind.value, entry.get(2, b""))
        else:
            value = _value(kind, raw)
            if name == "":
                result.update(value)
            elif value not in ("", False, None) or kind == OPTIONAL_BOOL:
                result[name] = value
    return result


def _value(kind: Any, raw: Any) -> Any:
    if kind == INT_OR_TEXT:
        which = dict(_fields(raw))
        return _scalar(TEXT, which.get(3, b"")) if which.get(1) else _scalar(INT, which.get(2, 0))
    return _message(kind, raw) if isinstance(kind, Message) else _scalar(kind, raw)


def _scalar(kind: str, raw: Any) -> Any:
    if kind == TEXT:
        return raw.decode() if isinstance(raw, bytes) else _wrong(raw)
    if kind == BYTES:
        return base64.b64encode(raw).decode()
    if not isinstance(raw, int):
        return _wrong(raw)
    if kind in (BOOL, OPTIONAL_BOOL):
        return bool(raw)
    return raw - (1 << 64) if raw >= 1 << 63 else raw


def _wrong(raw: Any) -> Any:
    raise TypeError(f"a field has the wrong wire type: {raw!r}")
