"""Scalars of core/v1 in JSON: which Python types may stand for them, and which texts are good.

A maker takes what stands in the JSON and gives what is kept; ValueError carries the API server's words.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from minikubelet.v1.quantity import QuantityError, parse
from minikubelet.v1.schema import SCALAR_NAMES, Shape


def _quantity(value: str | float) -> str:
    """A number stands for its text; the text must parse, and stays as it was written."""
    text = value.strip() if isinstance(value, str) else _number_text(value)
    parse(text)
    return text


def _number_text(value: float) -> str:
    return json.dumps(value).replace("e+", "e")


def _time(value: str) -> str:
    """RFC 3339 with a zone; Go's complaint otherwise."""
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        layout = "2006-01-02T15:04:05Z07:00"
        raise ValueError(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    return value


def _bytes(value: str) -> str:
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"illegal base64 data at input byte {_first_bad_byte(value)}") from None
    return value


def _first_bad_byte(value: str) -> int:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n"
    for position, char in enumerate(value):
        if char not in alphabet and not (char == "=" and position >= len(value.rstrip("\r\n")) - 2):
            return position
    return len(value)


def _int_or_string(value: int | str) -> int | str:
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        raise ValueError(f"json: cannot unmarshal number {value} into Go value of type int32")
    return value


def _same(value: Any) -> Any:
    return value


INT_BITS = {Shape.INT32: 32, Shape.INT64: 64}
SCALARS: dict[Shape, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    Shape.STRING: ((str,), _same),
    Shape.BOOL: ((bool,), _same),
    Shape.QUANTITY: ((str, int, float), _quantity),
    Shape.INT_OR_STRING: ((int, str), _int_or_string),
    Shape.TIME: ((str,), _time),
    Shape.MICRO_TIME: ((str,), _time),
    Shape.BYTES: ((str,), _bytes),
}
assert issubclass(QuantityError, ValueError)
assert set(SCALARS) | set(INT_BITS) | {Shape.ANY} == set(SCALAR_NAMES)
