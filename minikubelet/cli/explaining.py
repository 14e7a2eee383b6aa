"""What `explain` prints, from an OpenAPI document: kubectl's plain text, blank for blank."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/"
WIDTH = 76
MOST_WORDS = 4  # of an enum in a list of fields


class NoSuchField(Exception):
    """The path leads nowhere; the name of the field."""


class Document:
    """The schemas of one group version."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas: dict[str, Schema] = document["components"]["schemas"]

    def of_kind(self, group: str, version: str, kind: str) -> Schema:
        wanted = {"group": group, "version": version, "kind": kind}
        for schema in self._schemas.values():
            if wanted in schema.get("x-kubernetes-group-version-kind", ()):
                return schema
        raise KeyError(kind)

    def explain(self, schema: Schema, path: list[str], *, recursive: bool) -> str:
        """The text below the header. NoSuchField."""
        lines: list[str] = []
        for at, name in enumerate(path):
            schema = self._step(schema, name, path)
            if at == len(path) - 1:
                words = _words(schema, long=True)
                lines += [f"FIELD: {name} <{self._type(schema)}>", *(words or [""]), ""]
        about = "".join(f"{text}\n" for text in self._descriptions(schema)) or "<empty>"
        lines += ["DESCRIPTION:", _indented(_wrapped(about))]
        fields = list(self._fields(schema, 1, recursive, ()))
        return "\n".join([*lines, *(["FIELDS:", *fields] if fields else [])]) + "\n"

    def _step(self, schema: Schema, name: str, path: list[str]) -> Schema:
        """The field of that name, in the items if this is a list or map."""
        for inner in self._alternatives(schema):
            found: Schema | None = inner.get("properties", {}).get(name)
            if found is not None:
                return found
        raise NoSuchField(path[-1])

    def _alternatives(self, schema: Schema) -> Iterator[Schema]:
        """The schema and everything it may stand for."""
        yield schema
        if "$ref" in schema:
            yield from self._alternatives(self._schemas[schema["$ref"].removeprefix(REFERENCE)])
        for inner in schema.get("allOf", ()):
            yield from self._alternatives(inner)
        for name in ("items", "additionalProperties"):
            if name in schema:
                yield from self._alternatives(schema[name])

    def _descriptions(self, schema: Schema) -> Iterator[str]:
        """Of the field, and of what it holds."""
        for inner in self._alternatives(schema):
            if inner.get("description"):
                yield inner["description"]

    def _type(self, schema: Schema) -> str:
        if "items" in schema:
            return f"[]{self._type(schema['items'])}"
        if "additionalProperties" in schema:
            return f"map[string]{self._type(schema['additionalProperties'])}"
        for inner in schema.get("allOf", ()):
            return self._type(inner)
        if "$ref" in schema:
            inner = self._schemas[schema["$ref"].removeprefix(REFERENCE)]
            named = inner.get("type", "object") == "object"
            return schema["$ref"].rpartition(".")[2] if named else str(inner["type"])
        return str(schema.get("type", "Object"))

    def _fields(self, schema: Schema, level: int, recursive: bool, above: tuple[int, ...]) -> Iterator[str]:
        """One entry for each field; `above` are the schemas this one is in: a type may hold itself."""
        pad = "  " * level
        for inner in self._alternatives(schema):
            if "properties" not in inner:
                continue
            for name, field in sorted(inner["properties"].items()):
                required = " -required-" if name in inner.get("required", ()) else ""
                yield f"{pad}{name}\t<{self._type(field)}>{required}"
                yield from (f"{pad}{words}" for words in _words(field, long=False))
                if not recursive:
                    about = "".join(self._descriptions(field) and [next(self._descriptions(field))])
                    yield _indented(_wrapped(about)) + "\n"
                elif id(inner) not in above:
                    yield from self._fields(field, level + 1, True, (*above, id(inner)))
            return


def _words(schema: Schema, *, long: bool) -> list[str]:
    """The values an enum allows."""
    words = [str(word) if word != "" else '""' for word in schema.get("enum", ())]
    if not words:
        return []
    if long:
        return ["ENUM:", *(f"    {word}" for word in words)]
    more = ", ...." if len(words) > MOST_WORDS else ""
    return [f"enum: {', '.join(words[:MOST_WORDS])}{more}"]


def _wrapped(text: str) -> str:
    lines = [
        textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "    " + text.replace("\n", "\n    ")
