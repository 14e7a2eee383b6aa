"""YAML as kubectl reads it: the values of the documents in a text.

What text means is what kubectl makes of it (sigs.k8s.io/yaml on go-yaml 2), which is not quite any YAML
standard: bare yes, no, on, off, y, n are booleans, `0644` is octal, `1:30` and dates are texts, merge keys
(`<<`) work. PyYAML's C parser only finds the events; the values are made here, within bounds: no tags, no key
twice, no alias that contains itself, aliases counted as often as they are used (threat A43).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from minikubelet.errors import ManifestError

MAX_NODES = 500_000  # aliases count as often as they are used
MAX_DEPTH = 100


def yaml_values(text: str, source: str) -> Iterator[tuple[Any, int]]:
    """The value of each document, and the line it begins on. Raises ManifestError."""
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
        self._fail(event, f"a key must be a text, not {a_kind(key)}")

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


def a_kind(value: Any) -> str:
    """What a value is, for error messages."""
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
