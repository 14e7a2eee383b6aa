"""Strategic merge patch: a merge that knows the types.

Some lists are really maps: their items merge by a key, which Kubernetes writes beside each Go field and
`v1.topology` repeats. Everything else follows from the directives in the patch, which kubectl writes:

    $patch: replace | delete             this map or list as it stands here; this map or list item away
    $retainKeys: [a, b]                  only these fields stay
    $deleteFromPrimitiveList/f: [v]      these values leave the list f
    $setElementOrder/f: [..]             the order of the list f
"""

from __future__ import annotations

import copy
import json
from collections import deque
from typing import Any

from minikubelet.errors import BadRequest
from minikubelet.v1.base import Object as Struct
from minikubelet.v1.schema import Field, Shape, fields_of
from minikubelet.v1.topology import PATCHED_AS_SETS, REPLACED_BY_PATCH, patch_key

Object = dict[str, Any]

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
ELEMENT_ORDER = "$setElementOrder/"


def strategic_merge(target: Object, patch: Object, kind: type[Struct]) -> Object:
    """`target`, an object of this kind, as the patch wants it. Raises BadRequest."""
    return _merge_map(copy.deepcopy(target), copy.deepcopy(patch), kind)


def _merge_map(target: Object, patch: Object, struct: type[Struct] | None) -> Object:
    if DIRECTIVE in patch:
        return _directed(patch)
    _retain_keys(target, patch)
    removals = _take(patch, DELETE_FROM, "invalid patch format of primitive list")
    orders = _take(patch, ELEMENT_ORDER, "invalid patch format of setElementOrder list")
    for key, values in removals.items():
        if isinstance(target.get(key), list):
            gone = {_token(value) for value in values}
            target[key] = [value for value in target[key] if _token(value) not in gone]
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge_field(target.get(key), value, _field(struct, key), orders.get(key))
    for key in orders.keys() - patch.keys():
        if isinstance(target.get(key), list):
            target[key] = _merge_field(target[key], [], _field(struct, key), orders[key])
    return target


def _directed(patch: Object) -> Object:
    directive = patch.pop(DIRECTIVE)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    raise BadRequest(f"unknown patch type: {directive} in map: {patch}")


def _retain_keys(target: Object, patch: Object) -> None:
    if RETAIN_KEYS not in patch:
        return
    retained = patch.pop(RETAIN_KEYS)
    if not isinstance(retained, list):
        raise BadRequest("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((DELETE_FROM, ELEMENT_ORDER)) and key not in retained:
            raise BadRequest("invalid patch format of retainKeys")
    for key in [key for key in target if key not in retained]:
        del target[key]


def _take(patch: Object, prefix: str, mistake: str) -> dict[str, list[Any]]:
    """Remove the directives of one kind from the patch: field → value."""
    found = {key.removeprefix(prefix): patch.pop(key) for key in list(patch) if key.startswith(prefix)}
    if not all(isinstance(value, list) for value in found.values()):
        raise BadRequest(mistake)
    return found


def _field(struct: type[Struct] | None, key: str) -> tuple[type[Struct], Field] | None:
    """A field of a struct, and whose it is; of a map and of what nobody knows there is none."""
    if struct is None or key not in fields_of(struct):
        return None
    return struct, fields_of(struct)[key]


def _merge_field(
    old: Any, new: Any, field: tuple[type[Struct], Field] | None, order: list[Any] | None
) -> Any:
    place = f"{field[0].__name__}.{field[1].name}" if field is not None else ""
    inner = field[1].type if field is not None else None
    if isinstance(new, dict):
        if place in REPLACED_BY_PATCH or (inner is not None and inner.shape is Shape.ANY):
            return new
        return _merge_map(old if isinstance(old, dict) else {}, new, inner.struct if inner else None)
    if not isinstance(new, list):
        return new
    present = old if isinstance(old, list) else []
    if place in PATCHED_AS_SETS:
        known = {_token(value) for value in present}
        merged = present + [value for value in dict.fromkeys(map(_hashable, new)) if value not in known]
        return _ordered(merged, new if order is None else order, present, None)
    key = patch_key(place)
    if key is None:
        return new
    assert inner is not None
    return _merge_list(present, new, order, key, inner.item.struct if inner.item else None)


def _hashable(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise BadRequest("lists of lists are not supported")
    return value


def _merge_list(
    old: list[Any], new: list[Any], order: list[Any] | None, key: str, struct: type[Struct] | None
) -> list[Any]:
    for item in (*new, *(order or ())):
        if not isinstance(item, dict):
            raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
        if key not in item and item.get(DIRECTIVE) != "replace":
            raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
    plain = [item for item in new if DIRECTIVE not in item]
    if order is not None:
        _check_order(plain, order, key)
    remaining = _directed_list(old, [item for item in new if DIRECTIVE in item], key)
    if any(item.get(DIRECTIVE) == "replace" for item in new):
        return plain
    merged = list(remaining)
    places = _places(merged, key)
    for item in plain:
        place = places.setdefault(_token(item[key]), len(merged))
        if place == len(merged):
            merged.append(_merge_map({}, item, struct))
        else:
            merged[place] = _merge_map(merged[place], item, struct)
    return _ordered(merged, plain if order is None else order, remaining, key)


def _directed_list(items: list[Any], directives: list[Object], key: str) -> list[Any]:
    deleted = set()
    for directive in directives:
        if directive[DIRECTIVE] == "delete":
            deleted.add(_token(directive[key]))
        elif directive[DIRECTIVE] == "merge":
            raise BadRequest("merging lists cannot yet be specified in the patch")
        elif directive[DIRECTIVE] != "replace":
            raise BadRequest(f"unknown patch type: {directive[DIRECTIVE]} in map: {directive}")
    return [item for item in items if _token(item.get(key)) not in deleted]


def _check_order(items: list[Any], order: list[Any], key: str) -> None:
    """What the patch says of its items must be in the order that it asks for."""
    wanted = iter([item[key] for item in order])
    if not all(item[key] in wanted for item in items):
        raise BadRequest(
            f"The order in patch list:\n{items}\n doesn't match {ELEMENT_ORDER} list:\n{order}\n"
        )


def _ordered(items: list[Any], order: list[Any], old: list[Any], key: str | None) -> list[Any]:
    """What the patch names in its order, and the rest before what followed it in the present list."""
    wanted, before = _places(order, key), _places(old, key)
    both = [(_identity(item, key), item) for item in items]
    named = deque(sorted((one for one in both if one[0] in wanted), key=lambda one: wanted[one[0]]))
    rest = deque(one for one in both if one[0] not in wanted)
    result: list[Any] = []
    while named and rest:
        first, other = rest[0][0], named[0][0]
        known = first in before and other in before
        result.append((rest if known and before[first] < before[other] else named).popleft()[1])
    return result + [item for _, item in (*named, *rest)]


def _places(items: list[Any], key: str | None) -> dict[Any, int]:
    """Where each item stands first. A list may have as many items as a body can hold: none is searched."""
    return {_identity(items[at], key): at for at in reversed(range(len(items)))}


def _identity(item: Any, key: str | None) -> Any:
    return _token(item.get(key) if key is not None and isinstance(item, dict) else item)


def _token(value: Any) -> Any:
    """Equal for what is equal, and always hashable."""
    return (json.dumps(value, sort_keys=True),) if isinstance(value, dict | list) else value
