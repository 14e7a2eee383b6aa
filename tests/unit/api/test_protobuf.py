"""Protobuf bodies: what kubectl sends is read, and no bytes do any harm."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.protobuf import decode
from minikubelet.errors import ApiError, BadRequest, UnsupportedMediaType


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


@given(st.binary(), st.sampled_from(["ConfigMap", "Secret", "Namespace", "DeleteOptions"]))
def test_no_bytes_do_any_harm(raw, kind):
    for body in (raw, b"k8s\0" + raw, envelope(kind, raw)):
        with contextlib.suppress(ApiError):
            decode(body)
