"""Manifests: from the bytes of a file to the objects in it.

YAML or JSON, several documents in a file, lists of objects taken apart. A manifest comes from anywhere
(threat A43), and this is where it is bounded: bytes, values, depth, no key twice; a file that breaks a bound
is refused before it is read to its end. What YAML means is `v1.yaml_values`.

Errors name the file and the line and say what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from minikubelet.errors import ManifestError
from minikubelet.v1.yaml_values import MAX_DEPTH, a_kind, yaml_values

MAX_BYTES = 10 * 1024 * 1024  # as for a static pod; the API takes 3 MiB for one object


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
    for value, line in values if values is not None else yaml_values(text, source):
        if value is None:  # nothing between two "---"
            continue
        if not isinstance(value, dict):
            raise ManifestError(
                f"error parsing {source}: line {line}: expected an object with apiVersion and kind, "
                f"found {a_kind(value)}"
            )
        yield Document(value, source, line)


def _items(document: Document) -> Iterator[Document]:
    """The objects of a list, or the object itself, with its kind looked at."""
    kind = document.data.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(document.data.get("items"), list):
        for item in document.data["items"]:
            if not isinstance(item, dict):
                _refuse(document, f"items of a {kind} must be objects, found {a_kind(item)}")
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
