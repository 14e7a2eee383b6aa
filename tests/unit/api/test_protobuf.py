"""Protobuf bodies: what kubectl sends is read, and no bytes do any harm."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.protobuf import decode
from minikubelet.api.protobuf.messages import KINDS, message, table
from minikubelet.errors import ApiError, BadRequest, UnsupportedMediaType
from minikubelet.v1.wire import format_micro_time, format_time
from tests.stock_kubectl import NEWEST
from tests.unit.api import compiled_protos


def field(number, value):
    """One field of a message: a number, a text, bytes or a sub-message."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def envelope(kind, raw, version="v1"):
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, raw)


def test_a_configmap():
    metadata = field(1, "c") + field(3, "") + field(11, field(1, "app") + field(2, "web"))
    raw = field(1, metadata) + field(2, field(1, "key") + field(2, "value" * 50)) + field(4, 0)
    assert decode(envelope("ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "labels": {"app": "web"}},
        "data": {"key": "value" * 50},
        "immutable": False,
    }


def test_a_secret_keeps_its_bytes():
    raw = field(1, field(1, "s")) + field(2, field(1, "k") + field(2, b"\xff\x00")) + field(3, "Opaque")
    assert decode(envelope("Secret", raw))["data"] == {"k": "/wA="}


def test_negative_numbers():
    assert decode(envelope("DeleteOptions", field(1, (1 << 64) - 1)))["gracePeriodSeconds"] == -1


def test_unknown_fields_are_skipped():
    raw = field(1, field(1, "c") + field(15, "later")) + b"\x79" + bytes(8) + b"\x7d" + bytes(4)
    assert decode(envelope("ConfigMap", raw))["metadata"] == {"name": "c"}


def test_an_unknown_kind_is_named():
    with pytest.raises(UnsupportedMediaType, match='"Gadget"'):
        decode(envelope("Gadget", b""))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="json"),
        pytest.param(envelope("ConfigMap", b"")[:-1], id="cut"),
        pytest.param(envelope("ConfigMap", b"\xff" * 20), id="endless number"),
        pytest.param(envelope("ConfigMap", field(1, 5)), id="number for a message"),
        pytest.param(envelope("ConfigMap", field(1, field(1, b"\xff"))), id="not UTF-8"),
    ],
)
def test_bytes_that_make_no_sense_are_refused(body):
    with pytest.raises(BadRequest):
        decode(body)


@given(st.binary(), st.sampled_from(sorted(KINDS)))
def test_no_bytes_do_any_harm(raw, kind):
    for body in (raw, b"k8s\0" + raw, envelope(kind, raw)):
        with contextlib.suppress(ApiError):
            json.dumps(decode(body))


# Against the real thing: kubectl has Kubernetes' .proto files compiled in.

SCALARS = {
    FieldDescriptor.TYPE_STRING: "s",
    FieldDescriptor.TYPE_BYTES: "y",
    FieldDescriptor.TYPE_BOOL: "b",
    FieldDescriptor.TYPE_INT32: "i",
    FieldDescriptor.TYPE_INT64: "i",
}
SHAPES = {
    "Quantity": "q",
    "IntOrString": "x",
    "Time": "t",
    "MicroTime": "u",
    "FieldsV1": "f",
    "ExtraValue": "e",
}


def type_of(field):
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return SCALARS[field.type]
    if field.message_type.GetOptions().map_entry:
        return type_of(field.message_type.fields_by_name["value"])
    return SHAPES.get(field.message_type.name, field.message_type.name)


def json_name(field, known):
    """As in JSON: one field is spelled otherwise, and what is inlined has no name."""
    return known.name if known.name in ("", "uid") else field.name


@pytest.mark.kubectl(since=27)
def test_the_table_is_what_kubectl_has_compiled_in():
    compared = 0
    for name in table():
        try:
            official = compiled_protos.descriptor(NEWEST.path, name)
        except KeyError:
            assert NEWEST.minor < 33, name
            continue
        ours = message(name)
        for field in official.fields:
            if field.number not in ours:
                assert NEWEST.minor != 33 or field.message_type.name == "RawExtension", (name, field.name)
                continue
            known = ours[field.number]
            is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
            # Old ones spell an initialism in their own way.
            assert json_name(field, known).lower() == known.name.lower(), (name, field.name)
            if NEWEST.minor >= 32:  # messages have been renamed since the oldest
                assert type_of(field) == known.type.rpartition(".")[2], (name, field.name)
            assert is_map == known.is_map, (name, field.name)
            assert (field.is_repeated and not is_map) == known.is_list, (name, field.name)
            compared += 1
    assert compared > 500


class Filled:
    """A message of the real library with a value in every field, and the JSON that it stands for."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def message(self, descriptor, known, depth=0):
        made, value = compiled_protos.new(descriptor), {}
        for field in descriptor.fields:
            if field.number not in known:
                continue
            ours = known[field.number]
            if depth > 12:
                continue
            inner = self.put(made, field, ours, depth)
            if ours.name:
                value[ours.name] = inner
            else:
                value |= inner
        return made, value

    def put(self, made, field, ours, depth):
        self.count += 1
        if ours.is_map:
            entry = field.message_type.fields_by_name["value"]
            target = getattr(made, field.name)
            if entry.type == FieldDescriptor.TYPE_MESSAGE:
                one, value = self.one(entry, ours, depth)
                target["key"].CopyFrom(one)
            else:
                one, value = self.one(entry, ours, depth)
                target["key"] = one
            return {"key": value}
        one, value = self.one(field, ours, depth)
        if ours.is_list:
            getattr(made, field.name).append(one)
            return [value]
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(made, field.name).CopyFrom(one)
        else:
            setattr(made, field.name, one)
        return value

    def one(self, field, ours, depth):
        """The value for the library, and in JSON."""
        n = self.count
        match ours.type:
            case "s":
                return f"text {n}", f"text {n}"
            case "y":
                return b"\xff%d" % n, base64.b64encode(b"\xff%d" % n).decode()
            case "b":
                return True, True
            case "i":
                number = n if n % 2 else -n
                return number, number
        shape = compiled_protos.new(field.message_type)
        match ours.type:
            case "q":
                shape.string = f"{n}Mi"
                return shape, f"{n}Mi"
            case "x":
                shape.type, shape.intVal, shape.strVal = n % 2, n, f"port-{n}"
                return shape, f"port-{n}" if n % 2 else n
            case "t" | "u" as kind:
                shape.seconds, shape.nanos = n, 5000
                return shape, (format_time if kind == "t" else format_micro_time)(
                    datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=n, microseconds=5)
                )
            case "f":
                shape.Raw = b'{"f:x":{}}'
                return shape, {"f:x": {}}
            case "e":
                shape.items.append(f"extra {n}")
                return shape, [f"extra {n}"]
        return self.message(field.message_type, message(ours.type), depth + 1)


@pytest.mark.kubectl(since=27)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_a_kind_is_read_as_the_official_library_writes_it(kind):
    try:
        descriptor = compiled_protos.descriptor(NEWEST.path, kind)
    except KeyError:
        assert NEWEST.minor < 32, kind
        return
    filled, value = Filled(NEWEST.path).message(descriptor, message(kind))
    assert decode(envelope(kind, filled.SerializeToString())) == {"apiVersion": "v1", "kind": kind, **value}


def test_zero_is_a_value_only_where_go_has_a_pointer():
    replicas = envelope("Deployment", field(2, field(1, 0) + field(5, 0)), "apps/v1")
    assert decode(replicas)["spec"] == {"replicas": 0}
    port = field(2, field(2, field(6, field(2, 0) + field(3, 80))))
    assert decode(envelope("Pod", port))["spec"]["containers"] == [{"ports": [{"containerPort": 80}]}]


def test_an_event_is_one_of_two_kinds():
    raw = field(4, "me")
    assert decode(envelope("Event", raw, "events.k8s.io/v1"))["reportingController"] == "me"
    assert decode(envelope("Event", field(3, "why")))["reason"] == "why"


def test_numbers_of_a_list_may_be_packed():
    groups = field(2, field(14, field(4, b"\x05\x07")))
    assert decode(envelope("Pod", groups))["spec"]["securityContext"] == {"supplementalGroups": [5, 7]}


@pytest.mark.parametrize("kind", ["Container", "PodSpec", "", "events.Event"])
def test_only_whole_objects_are_bodies(kind):
    with pytest.raises(UnsupportedMediaType):
        decode(envelope(kind, b""))
