"""From the fields of a message to JSON values, by the table.

Go writes zero, false and the empty text of every field that is no pointer; in JSON they would not be there,
and so they are dropped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from minikubelet.api.protobuf.messages import Field, Message, message
from minikubelet.api.protobuf.wire import Malformed, Raw, content, fields, integer, packed, text
from minikubelet.v1.wire import format_micro_time, format_time

Object = dict[str, Any]

NOTHING = ("", 0, False, None)  # unless the field is a pointer


def read(known: Message, data: Raw) -> Object:
    """A message as a JSON object; fields that are not in the table are skipped. Raises Malformed."""
    result: Object = {}
    for number, raw in fields(data):
        field = known.get(number)
        if field is None:
            continue
        if field.is_list:
            result.setdefault(field.name, []).extend(_items(field, raw))
        elif field.is_map:
            entry = dict(fields(raw))
            result.setdefault(field.name, {})[text(entry.get(1, b""))] = _value(field.type, entry.get(2, b""))
        elif not field.name:
            result.update(read(message(field.type), raw))
        else:
            value = _value(field.type, raw)
            if field.is_pointer or isinstance(value, dict) or value not in NOTHING:
                result[field.name] = value
    return result


def _items(field: Field, raw: Raw) -> list[Any]:
    return list(packed(raw)) if field.type == "i" else [_value(field.type, raw)]


def _value(type_: str, raw: Raw) -> Any:
    scalar = _SCALARS.get(type_)
    return scalar(raw) if scalar is not None else read(message(type_), raw)


def _bytes(raw: Raw) -> str:
    return base64.b64encode(content(raw)).decode()


def _quantity(raw: Raw) -> str:
    return text(dict(fields(raw)).get(1, b"")) or "0"


def _int_or_string(raw: Raw) -> int | str:
    parts = dict(fields(raw))
    return text(parts.get(3, b"")) if parts.get(1, 0) else integer(parts.get(2, 0))


def _moment(raw: Raw) -> datetime | None:
    parts = dict(fields(raw))
    if not parts:
        return None  # Go's zero time
    seconds, nanoseconds = integer(parts.get(1, 0)), integer(parts.get(2, 0))
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except OverflowError:
        raise Malformed(f"a time is out of range: {seconds}") from None


def _time(raw: Raw) -> str | None:
    moment = _moment(raw)
    return format_time(moment) if moment is not None else None


def _micro_time(raw: Raw) -> str | None:
    moment = _moment(raw)
    return format_micro_time(moment) if moment is not None else None


def _fields_v1(raw: Raw) -> Any:
    try:
        return json.loads(content(dict(fields(raw)).get(1, b"{}")))
    except (ValueError, RecursionError):
        raise Malformed("FieldsV1 is no JSON") from None


def _texts(raw: Raw) -> list[str]:
    return [text(item) for number, item in fields(raw) if number == 1]


_SCALARS: dict[str, Callable[[Raw], Any]] = {
    "s": text,
    "i": integer,
    "b": lambda raw: bool(integer(raw)),
    "y": _bytes,
    "q": _quantity,
    "x": _int_or_string,
    "t": _time,
    "u": _micro_time,
    "f": _fields_v1,
    "e": _texts,
}
