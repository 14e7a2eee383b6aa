"""JSON Patch, RFC 6902: add, remove, replace, move, copy, test; all or nothing.

Bounded as in the API server: the number of operations, and what all copies together may weigh, since twenty
copies of a thing into itself would make a million of it.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from minikubelet.errors import ApiError, RequestEntityTooLarge

Object = dict[str, Any]

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 << 20  # bytes of JSON


class Unprocessable(ApiError):
    """A JSON patch that does not fit the object. The API server does not say why."""

    code, reason = 422, "Invalid"

    def __init__(self) -> None:
        super().__init__("the server rejected our request due to an error in our request")


def json_patch(target: Object, operations: list[Any]) -> Any:
    """The patched document. Raises RequestEntityTooLarge, Unprocessable."""
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(operations)}"
        )
    patching = _Patching(copy.deepcopy(target))
    for operation in operations:
        try:
            patching.apply(operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise Unprocessable from error
    return patching.document


@dataclass(slots=True)
class _Patching:
    """A document on its way; raises KeyError, IndexError, TypeError, … when an operation does not fit."""

    document: Any
    copied: int = 0

    def apply(self, operation: Object) -> None:
        path = _pointer(operation["path"])
        match operation["op"]:
            case "add":
                self._add(path, copy.deepcopy(operation["value"]))
            case "remove":
                self._remove(path)
            case "replace":
                _value(self.document, path)
                if path:
                    self._remove(path)
                self._add(path, copy.deepcopy(operation["value"]))
            case "move":
                source = _pointer(operation["from"])
                value = _value(self.document, source)
                if path[: len(source)] == source and path != source:
                    raise ValueError("into itself")
                self._remove(source)
                self._add(path, value)
            case "copy":
                value = _value(self.document, _pointer(operation["from"]))
                self.copied += len(msgspec.json.encode(value))
                if self.copied > MAX_COPIED:
                    raise ValueError("too much is copied")
                self._add(path, copy.deepcopy(value))
            case "test":
                _test(self.document, path, operation.get("value"))
            case other:
                raise ValueError(f"no such operation: {other}")

    def _add(self, path: list[str], value: Any) -> None:
        if not path:
            self.document = value
            return
        parent, last = _value(self.document, path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
        else:
            parent[last] = value

    def _remove(self, path: list[str]) -> None:
        if not path:
            raise ValueError("the whole document cannot be removed")
        parent, last = _value(self.document, path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.pop(_index(last, len(parent) - 1))
        else:
            del parent[last]


def _test(document: Any, path: list[str], value: Any) -> None:
    """What is not there is as good as null."""
    try:
        present = _value(document, path)
    except (KeyError, IndexError):
        present = None
    if not _same(present, value):
        raise ValueError("the test failed")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return bool(one == other) and msgspec.json.encode(one, order="sorted") == msgspec.json.encode(
        other, order="sorted"
    )


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"not a JSON pointer: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(part, len(document) - 1)] if isinstance(document, list) else document[part]
    return document


def _index(part: str, last: int) -> int:
    """A list index without signs or leading zeros, at most `last`."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", part) or int(part) > last:
        raise IndexError(part)
    return int(part)
