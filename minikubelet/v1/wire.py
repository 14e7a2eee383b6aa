"""Between structs and JSON: `to_dict` for what goes out, `from_dict` for what was checked before.

Strict reading of what a user wrote is `v1.decode`; this is for data that is known to be good, such as the
store's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from minikubelet.v1.base import Object
from minikubelet.v1.meta import Resource

# Go's metav1.MicroTime; every other time has whole seconds.
MICRO_TIMES = frozenset({"eventTime", "lastObservedTime", "acquireTime", "renewTime"})

S = TypeVar("S", bound=Object)


def to_dict(struct: Object) -> dict[str, Any]:
    """JSON-ready: dicts, lists, numbers, texts. An object with a life of its own always says its kind."""
    data: dict[str, Any] = _wire("", msgspec.to_builtins(struct, builtin_types=(datetime,)))
    if not isinstance(struct, Resource):
        return data
    identity = {"apiVersion": struct.API_VERSION, "kind": type(struct).__name__}
    return {**identity, **data}


def from_dict(kind: type[S], data: dict[str, Any]) -> S:
    """Data that was checked before, as a struct; unknown fields are dropped."""
    return msgspec.convert(data, kind, strict=False)


def learn(kinds: Iterable[type[Object]]) -> None:
    """Before there are threads that call `from_dict`: msgspec looks at the fields of a struct when it first
    makes one, and when two threads do so at once, it shows the one what the other has half done, and crashes.
    """
    for kind in kinds:
        msgspec.json.Decoder(kind)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as the API shows times."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(value: datetime) -> str:
    """RFC 3339 in UTC with six fractional digits, for events and leases."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _wire(name: str, value: Any) -> Any:
    """Write times the way the API does; all else stays."""
    if isinstance(value, dict):
        return {key: _wire(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wire(name, item) for item in value]
    if isinstance(value, datetime):
        return format_micro_time(value) if name in MICRO_TIMES else format_time(value)
    return value
