"""Manifests: from the bytes of a file to the objects in it.

YAML or JSON, several documents in a file, lists of objects taken apart. What text means is what kubectl makes
of it (sigs.k8s.io/yaml on go-yaml 2), which is not quite any YAML standard: bare yes, no, on, off, y, n are
booleans, `0644` is octal, `1:30` is a text, dates are texts, merge keys (`<<`) work. PyYAML's C parser only
finds the events; the values are made here, because a manifest comes from anywhere (threat A43) and this is
where it is bounded: bytes, nodes, depth; no tags, no key twice, no alias that contains itself. A file that
breaks a bound is refused before it is read to its end.

Errors name the file and the line and say what to do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import yaml

from minikubelet.errors import ManifestError

MAX_BYTES = 10 * 1024 * 1024  # as for a static pod; the API takes 3 MiB for one object
MAX_NODES = 500_000  # aliases count as often as they are used
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a manifest, and where it stands."""

    data: dict[str, Any]
    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}"


def read(stream: BinaryIO, source: str) -> list[Document]:
    """The objects in an open file, in order; none at all is not an error. Raises ManifestError."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ManifestError(
            f"cannot read {source}: larger than {MAX_BYTES >> 20} MiB; is this a manifest? If so, split it"
        )
    return parse(data, source)


def parse(data: bytes, source: str) -> list[Document]:
    """The objects in the bytes of a file. Raises ManifestError."""
    text = _text(data, source)
    documents = list(_documents(text, source))
    return [item for document in documents for item in _items(document)]


def _text(data: bytes, source: str) -> str:
    if b"\0" in data:
        raise ManifestError(f"cannot read {source}: it is a binary file, not YAML or JSON")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"cannot read {source}: line {line}: not UTF-8 text; save it as UTF-8") from error


def _documents(text: str, source: str) -> Iterator[Document]:
    values = _json_values(text, source) if text.lstrip().startswith("{") else None
    for value, line in values if values is not None else _yaml_values(text, source):
        if value is None:  # nothing between two "---"
            continue
        if not isinstance(value, dict):
            raise ManifestError(
                f"error parsing {source}: line {line}: expected an object with apiVersion and kind, "
                f"found {_a_kind(value)}"
            )
        yield Document(value, source, line)


def _items(document: Document) -> Iterator[Document]:
    """The objects of a list, or the object itself, with its kind looked at."""
    kind = document.data.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(document.data.get("items"), list):
        for item in document.data["items"]:
            if not isinstance(item, dict):
                _refuse(document, f"items of a {kind} must be objects, found {_a_kind(item)}")
            # Items of a typed list (PodList) may leave out what the list's kind says.
            inherited = (
                {} if kind == "List" else {"apiVersion": document.data.get("apiVersion"), "kind": kind[:-4]}
            )
            yield from _items(Document({**inherited, **item}, document.source, document.line))
        return
    unset = [name for name in ("apiVersion", "kind") if not document.data.get(name)]
    if unset:
        missing = ", ".join(f"{name} not set" for name in unset)
        _refuse(document, missing if len(unset) == 1 else f"[{missing}]")
    yield document


def _refuse(document: Document, cause: str) -> NoReturn:
    raise ManifestError(
        f'error validating "{document.source}": error validating data: {cause} (line {document.line})'
    )


def _a_kind(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "an object"


# JSON


def _json_values(text: str, source: str) -> list[tuple[Any, int]] | None:
    """Objects one after the other; None if it is no JSON after all: `{a: b}` is YAML."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    position, line, found = 0, 1, []
    try:
        while (start := _skip_space(text, position)) < len(text):
            line += text.count("\n", position, start)
            value, end = decoder.raw_decode(text, start)
            found.append((value, line))
            line += text.count("\n", start, end)
            position = end
    except json.JSONDecodeError:
        return None
    except RecursionError as error:
        raise ManifestError(f"error parsing {source}: nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise ManifestError(f"error parsing {source}: json: {error}") from error
    for value, _ in found:
        _check_bounds(value, source)
    return found


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f'key "{name}" is set twice; remove one')
        made[name] = value
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _check_bounds(value: Any, source: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise ManifestError(f"error parsing {source}: nested deeper than {MAX_DEPTH} levels")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


# YAML


def _yaml_values(text: str, source: str) -> Iterator[tuple[Any, int]]:
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(events, source)
                first = next(events)
                yield builder.value(first), first.start_mark.line + 1
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark is not None else ""
        cause = f"yaml: {line}{error.problem or error.context}"
        raise ManifestError(f"error parsing {source}: error converting YAML to JSON: {cause}") from error
    except yaml.YAMLError as error:  # characters YAML does not allow
        raise ManifestError(
            f"cannot read {source}: it is a binary file, not YAML or JSON ({error})"
        ) from error


@dataclass(frozen=True, slots=True)
class _Anchor:
    value: Any
    nodes: int


class _Builder:
    """Makes the values of one document from the parser's events, within the bounds."""

    def __init__(self, events: Iterator[Any], source: str) -> None:
        self._events = events
        self._source = source
        self._anchors: dict[str, _Anchor | None] = {}  # None: still being made
        self._nodes = 0
        self._depth = 0

    def value(self, event: Any) -> Any:
        """The value that begins with this event."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(event, 1)
        if event.tag is not None:
            self._fail(event, f"tags are not allowed; remove {_short_tag(event.tag)}")
        before = self._nodes
        if event.anchor:
            self._anchors[event.anchor] = None
        made = self._make(event)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(made, self._nodes - before + 1)
        return made

    def _make(self, event: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        made = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()
        self._depth -= 1
        return made

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            self._fail(event, f"unknown anchor '{event.anchor}' referenced")
        anchor = self._anchors[event.anchor]
        if anchor is None:
            self._fail(event, f"anchor '{event.anchor}' value contains itself")
        self._count(event, anchor.nodes)
        return anchor.value

    def _sequence(self) -> list[Any]:
        made = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            made.append(self.value(event))
        return made

    def _mapping(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if _is_merge_key(event):
                self._count(event, 1)
                merged = {**self._to_merge(), **merged}
                continue
            key = self._key(event)
            if key in made:
                self._fail(event, f'key "{key}" already set in map; remove one')
            made[key] = self.value(next(self._events))
        return {**merged, **made}

    def _to_merge(self) -> dict[str, Any]:
        event = next(self._events)
        value = self.value(event)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self._fail(event, "map merge requires map or sequence of maps as the value")
        merged: dict[str, Any] = {}
        for part in reversed(parts):  # the first one wins
            merged |= part
        return merged

    def _key(self, event: Any) -> str:
        """Keys become texts, as in JSON."""
        key = self.value(event)
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, (str, int, float)):
            return str(key)
        self._fail(event, f"a key must be a text, not {_a_kind(key)}")

    def _scalar(self, event: Any) -> Any:
        if not event.implicit[0]:  # quoted or block style
            return event.value
        try:
            return resolve(event.value)
        except ValueError as error:
            self._fail(event, str(error))

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._fail(
                event, f"document contains excessive aliasing or more than {MAX_NODES} values; split it"
            )

    def _fail(self, event: Any, problem: str) -> NoReturn:
        raise ManifestError(
            f"error parsing {self._source}: error converting YAML to JSON: "
            f"yaml: line {event.start_mark.line + 1}: {problem}"
        )


def _is_merge_key(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


# What a bare word means (go-yaml 2, resolve.go).

WORDS: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
NOT_IN_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)", re.ASCII)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


def resolve(text: str) -> Any:
    """The value of a bare scalar."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if NOT_IN_JSON.fullmatch(text):
        raise ValueError(f"{text} has no place in JSON; quote it to make it a text")
    plain = text.replace("_", "")
    if INTEGER.fullmatch(plain) and len(plain) <= 70:
        return _integer(plain)
    if FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{text} is too large a number; quote it to make it a text")
        # JSON knows one kind of number: 1e3 and 3.0 are as good as 1000 and 3.
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return text


def _integer(plain: str) -> int:
    sign = -1 if plain[0] == "-" else 1
    digits = plain.lstrip("+-")
    octal = re.fullmatch(r"0[oO]?([0-7]+)", digits)
    return sign * (int(octal[1], 8) if octal else int(digits, 0))
