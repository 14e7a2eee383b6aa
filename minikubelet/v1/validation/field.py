"""The shapes of a field error, in the API server's format (kubelet-behaviour 8.1).

One function per type; each gives a `FieldError` whose message is everything behind the path. Values are
printed as Go does: texts quoted, numbers and booleans bare, nil as `null`, objects as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from minikubelet.errors import FieldError
from minikubelet.v1.base import Object
from minikubelet.v1.wire import format_time, to_dict

Errors = Iterator[FieldError]

NOT_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than zero"
IMMUTABLE = "field is immutable"


def required(path: str, detail: str = "") -> FieldError:
    """Something must be there."""
    return FieldError(path, "Required", _with("Required value", detail))


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """What is there is wrong."""
    return FieldError(path, "Invalid", _with(f"Invalid value: {shown(value)}", detail))


def duplicate(path: str, value: Any) -> FieldError:
    """It is there already."""
    return FieldError(path, "Duplicate", f"Duplicate value: {shown(value)}")


def unsupported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """Not one of the values there are, given in the order to print."""
    listed = ", ".join(shown(choice) for choice in supported)
    return FieldError(path, "Unsupported", f"Unsupported value: {shown(value)}: supported values: {listed}")


def forbidden(path: str, detail: str) -> FieldError:
    """It must not be there."""
    return FieldError(path, "Forbidden", _with("Forbidden", detail))


def not_found(path: str, value: Any) -> FieldError:
    """It names something that does not exist."""
    return FieldError(path, "NotFound", f"Not found: {shown(value)}")


def too_long(path: str, limit: int) -> FieldError:
    """In bytes."""
    return FieldError(path, "TooLong", f"Too long: may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    """In items."""
    return FieldError(path, "TooMany", f"Too many: {count}: must have at most {limit} items")


def each_invalid(path: str, value: Any, details: Iterable[str]) -> Errors:
    """One error per detail, as for the parts of a name."""
    return (invalid(path, value, detail) for detail in details)


def not_negative(path: str, value: int | None) -> Errors:
    """Absent counts as zero."""
    if value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def one_of(path: str, value: str | None, choices: tuple[str, ...]) -> Errors:
    """A word of a fixed set, which must be there."""
    if not value:
        yield required(path)
    elif value not in choices:
        yield unsupported(path, value, choices)


def shown(value: Any) -> str:
    """A value as Go prints it in such an error."""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Object):
        value = to_dict(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _with(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text
