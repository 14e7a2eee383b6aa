"""Objects seen as trees of fields: which are set, which changed, merge two, take fields away.

These are the four operations of structured-merge-diff, on the dicts of the store and by the topology of their
kind (`v1.topology`). Values have been decoded before, so that their types are right. Nothing is changed in
place; results may share sub-trees with what they were made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minikubelet.v1.managed_fields import paths
from minikubelet.v1.managed_fields.paths import FieldSet, Path
from minikubelet.v1.topology import ALWAYS_PRESENT, KEY_DEFAULTS, LEAF, Grain, Node, children

_ABSENT: Any = object()  # null is a value, too


class Ambiguous(ValueError):
    """Two items of a list cannot be told apart, or one says none of its keys; the message has the path."""


@dataclass(slots=True)
class Comparison:
    """What lies between two objects, as paths."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


# Which fields are set.


def check_distinct(value: Any, node: Node, path: Path = ()) -> None:
    """In an applied configuration every item of a list must be told apart from the others: else Ambiguous."""
    if node.grain in (Grain.KEYED, Grain.SET):
        for at, item in enumerate(value or ()):
            for key in node.keys:
                if key not in item and key not in KEY_DEFAULTS:
                    raise Ambiguous(
                        f"{paths.text(path)}: element {at}: associative list with keys has an element that "
                        f'omits key field "{key}" (and doesn\'t have default value)'
                    )
        for element, items in _grouped(value, node).items():
            if len(items) > 1:
                raise Ambiguous(f"{paths.text(path)}: duplicate entries for key {paths.text((element,))}")
            check_distinct(items[0], node.item or LEAF, (*path, element))
    elif node.grain is not Grain.LEAF:
        for name, below, child in _fields(value, node):
            check_distinct(below, child, (*path, paths.field(name)))


def field_set(value: Any, node: Node) -> FieldSet:
    """The fields that are set in an object, or that an applied configuration speaks of."""
    found: set[Path] = set()
    _collect(value, node, (), found)
    return frozenset(found)


def _collect(value: Any, node: Node, path: Path, found: set[Path]) -> None:
    if node.grain is Grain.LEAF:
        found.add(path)
    elif node.grain in (Grain.KEYED, Grain.SET):
        for element, items in _grouped(value, node).items():
            _collect(items[0], node.item or LEAF, (*path, element), found)
            found.add((*path, element))
    else:
        for name, below, child in _fields(value, node):
            here = (*path, paths.field(name))
            _collect(below, child, here, found)
            if below in (None, {}) or node.grain is Grain.MAP:
                found.add(here)


def named_fields(members: FieldSet, node: Node) -> FieldSet:
    """With them every field of a struct that leads to one of them: whose parts are owned is owned itself."""
    found = set(members)
    for path in members:
        place: Node | None = node
        for depth, element in enumerate(path):
            if place is None:
                break
            if place.grain is Grain.STRUCT and element.startswith("f:"):
                found.add(path[: depth + 1])
            place = _below(place, element)
    return frozenset(found)


def _below(node: Node, element: str) -> Node | None:
    if node.grain is Grain.STRUCT:
        assert node.struct is not None
        return children(node.struct).get(element[2:])
    return node.item


# What changed.


def compare(old: Any, new: Any, node: Node) -> Comparison:
    """The fields that `new` adds, changes and no longer has."""
    comparison = Comparison()
    _compare(old, new, node, (), comparison)
    return comparison


def _compare(old: Any, new: Any, node: Node, path: Path, found: Comparison) -> None:
    if node.grain is Grain.LEAF or (_is_empty(old) and _is_empty(new)):
        _compare_leaf(old, new, path, found)
        return
    if node.grain in (Grain.KEYED, Grain.SET):
        _compare_items(old, new, node, path, found)
    else:
        before, after = _with_blanks(old, node), _with_blanks(new, node)
        for name in before | after:
            _compare(before.get(name, _ABSENT), after.get(name, _ABSENT), _child(node, name),
                     (*path, paths.field(name)), found)  # fmt: skip
    if old is _ABSENT:
        found.added.add(path)
    elif new is _ABSENT:
        found.removed.add(path)


def _is_empty(value: Any) -> bool:
    return value is _ABSENT or not value


def _compare_leaf(old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is _ABSENT:
        found.added.add(path)
    elif new is _ABSENT:
        found.removed.add(path)
    elif old != new:
        found.modified.add(path)


def _compare_items(old: Any, new: Any, node: Node, path: Path, found: Comparison) -> None:
    before, after = _grouped(old, node), _grouped(new, node)
    for element in before | after:
        was, now = before.get(element, []), after.get(element, [])
        here = (*path, element)
        if len(was) > 1 or len(now) > 1:  # cannot be told apart: one value
            _compare_leaf(was or _ABSENT, now or _ABSENT, here, found)
        else:
            _compare(was[0] if was else _ABSENT, now[0] if now else _ABSENT, node.item or LEAF, here, found)


def _with_blanks(value: Any, node: Node) -> dict[str, Any]:
    """The fields as Go would write them."""
    given: dict[str, Any] = value if isinstance(value, dict) else {}
    if value is _ABSENT or value is None or node.struct is None:
        return given
    blanks = ALWAYS_PRESENT.get(node.struct.__name__)
    return {**blanks, **given} if blanks else given


# Merging.


def merge(live: Any, config: Any, node: Node) -> Any:
    """`live` with everything that `config` says."""
    if node.grain is Grain.LEAF or config is None or live is None:
        return config
    if node.grain in (Grain.KEYED, Grain.SET):
        return _merge_items(live, config, node)
    merged = dict(live)
    for name, value, child in _fields(config, node):
        if name in live:
            merged[name] = merge(live[name], value, child)
        elif value != [] and (value != {} or child.grain is not Grain.MAP):  # an empty one is none
            merged[name] = value
    return merged


def _merge_items(live: list[Any], config: list[Any], node: Node) -> list[Any]:
    """The configuration's items in its order; the others keep their place before the item that followed."""
    wanted = {element: items[0] for element, items in _grouped(config, node).items()}
    present = [(_element(item, node), item) for item in live]
    known = dict(reversed(present))
    merged = {
        element: merge(known[element], item, node.item or LEAF) if element in known else item
        for element, item in wanted.items()
    }
    shared = iter([element for element in wanted if element in known])
    expected = next(shared, None)
    result: list[Any] = []
    waiting = list(wanted)
    for element, item in present:
        if element not in wanted:
            result.append(item)
        elif element == expected:
            while waiting and waiting[0] != element:
                result.append(merged[waiting.pop(0)])
            result.append(merged[waiting.pop(0)])
            expected = next(shared, None)
    return result + [merged[element] for element in waiting]


# Taking away.


def without(value: Any, gone: FieldSet, node: Node) -> Any:
    """`value` without these fields; what becomes empty by it is None."""
    if not gone or not value or node.grain is Grain.LEAF:
        return value
    below: dict[str, set[Path]] = {}
    for path in gone:
        below.setdefault(path[0], set())
        if len(path) > 1:
            below[path[0]].add(path[1:])
    if node.grain in (Grain.KEYED, Grain.SET):
        items = [
            without(item, frozenset(below.get(element, ())), node.item or LEAF)
            for item in value
            if ((element := _element(item, node)),) not in gone
        ]
        return items or None
    left = {
        name: without(item, frozenset(below.get(paths.field(name), ())), child)
        for name, item, child in _fields(value, node)
        if (paths.field(name),) not in gone
    }
    return left or None


# The parts of a value.


def _child(node: Node, name: str) -> Node:
    if node.grain is Grain.MAP:
        return node.item or LEAF
    assert node.struct is not None
    return children(node.struct).get(name, LEAF)


def _fields(value: Any, node: Node) -> Iterator[tuple[str, Any, Node]]:
    for name, item in (value or {}).items():
        yield name, item, _child(node, name)


def _element(item: Any, node: Node) -> str:
    """The path element of an item."""
    if node.grain is Grain.SET or not isinstance(item, dict):
        return paths.value(item)
    return paths.keys({key: item.get(key, KEY_DEFAULTS.get(key)) for key in node.keys})


def _grouped(value: Any, node: Node) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in value if isinstance(value, list) else ():
        groups.setdefault(_element(item, node), []).append(item)
    return groups
