"""Sets of field paths, and how `metadata.managedFields` writes them (FieldsV1).

A path is a tuple of elements, each as FieldsV1 spells it: `f:NAME` is a field or a key of a map, `k:{…}` an
item of a list by its keys, `v:…` an item of a set by its value. A set of paths is a frozenset, so that union,
difference and intersection are Python's own.

    ("f:spec", "f:containers", 'k:{"name":"main"}', "f:image")    .spec.containers[name="main"].image
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: FieldSet = frozenset()
MAX_DEPTH = 64  # of a path: the deepest field of any kind is at a third of it
_SELF = "."


def field(name: str) -> str:
    return f"f:{name}"


def keys(values: dict[str, Any]) -> str:
    """An item of a list, by the fields that tell it apart."""
    return f"k:{_canonical(values)}"


def value(item: Any) -> str:
    """An item of a set."""
    return f"v:{_canonical(item)}"


def to_fields(paths: FieldSet) -> dict[str, Any]:
    """FieldsV1: a tree of elements, in which `.` says that the element itself belongs to the set."""
    tree: dict[str, Any] = {}
    for path in sorted(paths, key=_order):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node[_SELF] = {}
    return _without_dots(tree)


def from_fields(tree: Any) -> FieldSet:
    """The paths of a FieldsV1 tree. ValueError when it is none."""
    return frozenset(_read(tree, ()))


def _read(tree: Any, prefix: Path) -> Iterable[Path]:
    if not isinstance(tree, dict) or len(prefix) > MAX_DEPTH:
        raise ValueError("no FieldsV1")
    for element, below in tree.items():
        if element == _SELF:
            if prefix:
                yield prefix
            continue
        path = (*prefix, _checked(element))
        if below == {}:
            yield path
        else:
            yield from _read(below, path)


def _checked(element: str) -> str:
    """An element in its one spelling."""
    kind, colon, rest = element.partition(":")
    if not colon or kind not in ("f", "k", "v", "i"):
        raise ValueError(f"no path element: {element!r}")
    if kind in ("f", "i"):
        return element
    decoded = json.loads(rest)
    if kind == "k" and not isinstance(decoded, dict):
        raise ValueError(f"no keys: {element!r}")
    return f"{kind}:{_canonical(decoded)}"


def _without_dots(tree: dict[str, Any]) -> dict[str, Any]:
    """A member without children is written as the empty object."""
    return {
        element: {} if below == {_SELF: {}} else _without_dots(below) if below else below
        for element, below in tree.items()
    }


def text(path: Path) -> str:
    """As conflicts name it: `.spec.containers[name="main"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return f"[{','.join(f'{key}={_canonical(part)}' for key, part in json.loads(rest).items())}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def sorted_paths(paths: FieldSet) -> list[Path]:
    """In the API server's order: at every level first the members, then what is below them."""
    return sorted(paths, key=_order)


def _order(path: Path) -> list[tuple[int, int, str]]:
    last = len(path) - 1
    return [(int(at < last), "fkvi".index(element[0]), element) for at, element in enumerate(path)]


def _canonical(item: Any) -> str:
    return json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
