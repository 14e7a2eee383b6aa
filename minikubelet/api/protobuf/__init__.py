"""Request bodies in Kubernetes' protobuf, which kubectl sends from 1.32 on for what it makes by itself:
`create configmap`, `create deployment`, `debug --copy-to`, `auth can-i`.

There is no fall-back to JSON on the client's side, so they must be read; answers may always be JSON. What the
field numbers mean is a table (`messages`), the bytes are read by `wire`; an unknown kind is answered 415 with
its name.

    body = "k8s\\0" + Unknown{1: TypeMeta{1: apiVersion, 2: kind}, 2: raw object}
"""

from __future__ import annotations

from typing import Any

from minikubelet.api.protobuf import values, wire
from minikubelet.api.protobuf.messages import message_of
from minikubelet.errors import BadRequest, UnsupportedMediaType

Object = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"


def decode(body: bytes) -> Object:
    """The object with its kind and apiVersion, as JSON would have it. BadRequest when the bytes make no
    sense, UnsupportedMediaType for other kinds.
    """
    if not body.startswith(MAGIC):
        raise BadRequest(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = dict(wire.fields(body[len(MAGIC) :]))
        identity = {number: wire.text(value) for number, value in wire.fields(envelope.get(1, b""))}
        version, kind = identity.get(1, ""), identity.get(2, "")
        message = message_of(version, kind)
        if message is None:
            raise UnsupportedMediaType(
                f'protobuf bodies of kind "{kind}" are not supported, send application/json'
            )
        return {"apiVersion": version, "kind": kind, **values.read(message, envelope[2])}
    except (wire.Malformed, KeyError) as error:
        raise BadRequest(f"unable to decode the protobuf body: {error}") from None
