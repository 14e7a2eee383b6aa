"""From JSON data to a struct, naming every mistake at once (kubelet-behaviour 8.2).

The API server stops at the first wrong type. Here one walk over the data and the schema collects all of them,
together with all unknown and all duplicate fields, in the server's own words, so that a reader who knows
those messages meets nothing new. What we add (where exactly, did you mean …) follows in brackets behind the
stock text.

Go's rules for JSON hold: null is the same as absent, names are case-sensitive, a number given for a quantity
is taken as its text. Three ways to treat unknown and duplicate fields, as in `fieldValidation`: Strict
refuses them, Warn reports and drops them, Ignore drops them. Wrong types are refused always.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from minikubelet.errors import BadRequest
from minikubelet.v1.base import Object
from minikubelet.v1.meta import Resource
from minikubelet.v1.scalars import INT_BITS, SCALARS
from minikubelet.v1.schema import Field, Shape, Type, fields_of, go_name, go_type_name
from minikubelet.v1.wire import from_dict

FieldValidation = Literal["Strict", "Warn", "Ignore"]
MAX_DEPTH = 100

R = TypeVar("R", bound=Resource)

_HALF = re.compile("[\ud800-\udfff]")
_PERHAPS_HALF = re.compile(_HALF.pattern + r"|\\u[dD][89a-fA-F]")


class JSONObject(dict[str, Any]):
    """A JSON object that remembers which of its names were given twice."""

    duplicates: tuple[str, ...] = ()


def parse_json(data: bytes | str) -> Any:
    """JSON, with duplicate names kept in mind for `decode`. Raises BadRequest.

    Half of a surrogate pair is no character and could not be written down again; as in Go it becomes U+FFFD.
    """
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        return _without_halves(value) if _PERHAPS_HALF.search(text) else value
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"the object provided is unrecognized: json: {cause}") from error


def _object(pairs: list[tuple[str, Any]]) -> JSONObject:
    made = JSONObject(pairs)
    if len(made) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        made.duplicates = tuple(name for name, times in counted.items() if times > 1)
    return made


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, JSONObject):
        made = JSONObject((_without_halves(name), _without_halves(item)) for name, item in value.items())
        made.duplicates = tuple(_without_halves(name) for name in value.duplicates)
        return made
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def decode(data: Any, kind: type[R], validation: FieldValidation = "Strict") -> tuple[R, list[str]]:
    """The struct and the warnings for the client. Raises BadRequest with every mistake in one message."""
    _check_kind(data, kind)
    mistakes = Mistakes()
    clean = _struct(data, kind, _Place("", "", kind.__name__), mistakes)
    name = kind.__name__
    prefix = f'{name} in version "{kind.API_VERSION.rpartition("/")[2]}" cannot be handled as a {name}: '
    strict = list(dict.fromkeys(mistakes.strict)) if validation == "Strict" else []
    if mistakes.types or strict:
        raise BadRequest(prefix + _message(mistakes, strict))
    warnings = list(dict.fromkeys(mistakes.strict)) if validation == "Warn" else []
    return from_dict(kind, clean), warnings


@dataclass(slots=True)
class Mistakes:
    """What was found: `types` are always fatal, `strict` depends on the mode, `hints` explain both."""

    types: list[str] = field(default_factory=list)
    strict: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def _message(mistakes: Mistakes, strict: list[str]) -> str:
    parts = list(mistakes.types)
    if strict:
        parts.append("strict decoding error: " + ", ".join(strict))
    hints = f" ({'; '.join(mistakes.hints)})" if mistakes.hints else ""
    return ", ".join(parts) + hints


def _check_kind(data: Any, kind: type[Resource]) -> None:
    if not isinstance(data, dict):
        raise BadRequest(
            f"json: cannot unmarshal {_json_kind(data)} into Go value of type v1.{kind.__name__}"
        )
    version, given = data.get("apiVersion"), data.get("kind")
    if version is not None and version != kind.API_VERSION:
        raise BadRequest(
            f"the API version in the data ({version}) does not match "
            f"the expected API version ({kind.API_VERSION})"
        )
    if given is not None and given != kind.__name__:
        raise BadRequest(f'{given} in version "v1" cannot be handled as a {kind.__name__}')


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk is: with indexes for people, without for Go, and the struct Go would name."""

    path: str
    go_path: str
    struct: str

    def child(self, name: str) -> _Place:
        return _Place(
            f"{self.path}.{name}" if self.path else name,
            f"{self.go_path}.{name}" if self.go_path else name,
            self.struct,
        )

    def item(self, key: int | str) -> _Place:
        return _Place(f"{self.path}[{key}]", self.go_path, self.struct)

    def inside(self, struct: str) -> _Place:
        return _Place(self.path, self.go_path, struct)


def _struct(data: dict[str, Any], kind: type[Object], place: _Place, mistakes: Mistakes) -> dict[str, Any]:
    """The data without what does not belong; mistakes are noted and left out."""
    fields = fields_of(kind)
    for name in getattr(data, "duplicates", ()):
        mistakes.strict.append(f'duplicate field "{place.child(str(name)).path}"')
    clean: dict[str, Any] = {}
    for name, value in data.items():
        here = place.child(str(name))
        known = fields.get(name)
        if known is None:
            _note_unknown(str(name), fields, here, mistakes)
        elif value is not None:
            decoded = _field(value, known, kind, here, mistakes)
            if decoded is not None:
                clean[name] = decoded
    return clean


def _note_unknown(name: str, fields: dict[str, Field], here: _Place, mistakes: Mistakes) -> None:
    mistakes.strict.append(f'unknown field "{here.path}"')
    folded = {known.lower(): known for known in fields}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    if close:
        parent = here.path[: -len(name)]
        mistakes.hints.append(f'did you mean "{parent}{folded[close[0]]}"?')


def _field(value: Any, known: Field, kind: type[Object], place: _Place, mistakes: Mistakes) -> Any:
    return _value(value, known.type, go_name(kind, known), place, mistakes)


def _value(value: Any, type_: Type, go: str, place: _Place, mistakes: Mistakes) -> Any:
    """The value as its type wants it, or None when it is wrong."""
    if place.path.count(".") > MAX_DEPTH:
        mistakes.types.append(f"exceeded max depth (at {place.path[:60]}…)")
        return None
    match type_.shape:
        case Shape.STRUCT:
            if isinstance(value, dict):
                assert type_.struct is not None
                return _struct(value, type_.struct, place.inside(type_.struct.__name__), mistakes)
        case Shape.LIST:
            if isinstance(value, list):
                return _list(value, type_, place, mistakes)
        case Shape.MAP:
            if isinstance(value, dict):
                return _map(value, type_, place, mistakes)
        case Shape.ANY:
            return value
        case _:
            return _scalar(value, type_.shape, go, place, mistakes)
    _note_type(value, go, place, mistakes)
    return None


def _list(value: list[Any], type_: Type, place: _Place, mistakes: Mistakes) -> list[Any]:
    assert type_.item is not None
    go = go_type_name(type_.item)
    items = [
        _value(_zero(type_.item) if item is None else item, type_.item, go, place.item(index), mistakes)
        for index, item in enumerate(value)
    ]
    return [item for item in items if item is not None]


def _map(value: dict[str, Any], type_: Type, place: _Place, mistakes: Mistakes) -> dict[str, Any]:
    assert type_.item is not None
    for name in getattr(value, "duplicates", ()):
        mistakes.strict.append(f'duplicate field "{place.child(str(name)).path}"')
    go = go_type_name(type_.item)
    items = {
        key: _value(_zero(type_.item) if item is None else item, type_.item, go, place.item(key), mistakes)
        for key, item in value.items()
    }
    return {key: item for key, item in items.items() if item is not None}


def _zero(type_: Type) -> Any:
    """What Go makes of null inside a list or map."""
    zeros: dict[Shape, Any] = {
        Shape.STRUCT: {}, Shape.LIST: [], Shape.MAP: {}, Shape.BOOL: False,
        Shape.INT32: 0, Shape.INT64: 0, Shape.INT_OR_STRING: 0, Shape.QUANTITY: "0",
    }  # fmt: skip
    return zeros.get(type_.shape, "")


def _scalar(value: Any, shape: Shape, go: str, place: _Place, mistakes: Mistakes) -> Any:
    if shape in INT_BITS:
        return _integer(value, shape, go, place, mistakes)
    accepted, make = SCALARS[shape]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        _note_type(value, go, place, mistakes)
        return None
    try:
        return make(value)
    except ValueError as error:
        mistakes.types.append(str(error))
        mistakes.hints.append(f"at {place.path}: {_shown(value)}")
        return None


def _integer(value: Any, shape: Shape, go: str, place: _Place, mistakes: Mistakes) -> int | None:
    bits = INT_BITS[shape]
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    ):
        return value
    _note_type(value, go, place, mistakes, number_matters=True)
    return None


def _note_type(
    value: Any, go: str, place: _Place, mistakes: Mistakes, *, number_matters: bool = False
) -> None:
    given = _json_kind(value)
    if given == "number" and number_matters:
        given = f"number {json.dumps(value)}"
    mistakes.types.append(
        f"json: cannot unmarshal {given} into Go struct field {place.struct}.{place.go_path} of type {go}"
    )
    mistakes.hints.append(f"at {place.path}: {_shown(value)}{_why(value, go)}")


def _why(value: Any, go: str) -> str:
    """The one mistake everybody makes: YAML 1.1 reads bare yes, no, on, off, y, n and numbers as no text."""
    if go in ("string", "map[string]string") and isinstance(value, (bool, int, float)):
        return ", put it in quotes to make it a text (bare yes, no, on, off are booleans in YAML)"
    return ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _json_kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"
