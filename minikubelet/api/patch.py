"""The three ways to say what to change: JSON Patch, JSON Merge Patch and Kubernetes' strategic merge patch.

Each is a pure function from (object, patch) to a new object; nothing of either is shared with the result.
What cannot be applied is Unprocessable (422) for JSON Patch, as the API server has it, and BadRequest where
the patch itself makes no sense.

Strategic merge knows that some lists are really maps. Which, and by which key, Kubernetes writes beside
each Go field; here it is one table by field name, which is unambiguous for the kinds served.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from minikubelet.errors import ApiError, BadRequest

Object = dict[str, Any]

MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "podIPs": ("ip",),
    "hostIPs": ("ip",),
    "conditions": ("type",),
    "addresses": ("type",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey",),
}
PRIMITIVE_MERGE = frozenset({"finalizers"})


class Unprocessable(ApiError):
    """A JSON patch that does not fit the object."""

    code, reason = 422, "Invalid"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# JSON Patch, RFC 6902.


def json_patch(target: Object, operations: Any) -> Any:
    """add, remove, replace, move, copy, test; all or nothing."""
    if not isinstance(operations, list) or not all(isinstance(step, dict) for step in operations):
        raise BadRequest(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        )
    document: Any = copy.deepcopy(target)
    for step in operations:
        try:
            document = _apply(document, step)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Unprocessable("the server rejected our request due to an error in our request") from error
    return document


def _apply(document: Any, step: Object) -> Any:
    """One operation; raises KeyError, IndexError, TypeError or ValueError when it does not fit."""
    operation, path = step["op"], _pointer(step["path"])
    if operation == "add":
        return _add(document, path, copy.deepcopy(step["value"]))
    if operation == "remove":
        return _remove(document, path)
    if operation == "replace":
        _value(document, path)
        return _add(_remove(document, path), path, copy.deepcopy(step["value"]))
    if operation in ("move", "copy"):
        value = copy.deepcopy(_value(document, _pointer(step["from"])))
        if operation == "move":
            document = _remove(document, _pointer(step["from"]))
        return _add(document, path, value)
    if operation == "test":
        if _value(document, path) != step["value"]:
            raise ValueError(f"test of {step['path']} failed")
        return document
    raise ValueError(f"no such operation: {operation}")


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
    if not re.fullmatch(r"0|[1-9]\d*", part) or int(part) > last:
        raise IndexError(part)
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _value(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent, last = _value(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.pop(_index(last, len(parent) - 1))
    else:
        del parent[last]
    return document


# Strategic merge.


def strategic_merge(target: Object, patch: Object) -> Object:
    """Merge `patch` into `target` with the directives kubectl writes ($patch, $setElementOrder, …)."""
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: the patch is not an object")
    return _merge_map(copy.deepcopy(target), copy.deepcopy(patch))


def _merge_map(target: Object, patch: Object) -> Object:
    directive = patch.pop("$patch", None)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"unrecognized directive in patch: $patch: {directive}")
    retained = patch.pop("$retainKeys", None)
    orders = _take(patch, "$setElementOrder/")
    removals = _take(patch, "$deleteFromPrimitiveList/")
    for key, values in removals.items():
        if key in target:
            target[key] = [value for value in target[key] if value not in values]
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge_field(key, target.get(key), value, orders.get(key))
    for key in orders.keys() - patch.keys():
        if isinstance(target.get(key), list):
            target[key] = _merge_field(key, target[key], [], orders[key])
    if retained is not None:
        return {key: value for key, value in target.items() if key in retained}
    return target


def _take(patch: Object, prefix: str) -> Object:
    """Remove the directives of one kind from the patch: field → value."""
    found = [key for key in patch if key.startswith(prefix)]
    return {key.removeprefix(prefix): patch.pop(key) for key in found}


def _merge_field(key: str, old: Any, new: Any, order: list[Any] | None) -> Any:
    if isinstance(new, dict):
        return _merge_map(old if isinstance(old, dict) else {}, new)
    if not isinstance(new, list):
        return new
    present = old if isinstance(old, list) else []
    if key in PRIMITIVE_MERGE:
        return _ordered(present + [value for value in new if value not in present], present, order, None)
    merge_key = _merge_key(key, [*new, *present, *(order or ())])
    return new if merge_key is None else _merge_list(present, new, order, merge_key)


def _merge_key(field: str, items: list[Any]) -> str | None:
    """The key by which the list is a map; None: it is replaced as a whole."""
    for candidate in MERGE_KEYS.get(field, ()):
        if any(isinstance(item, dict) and candidate in item for item in items):
            return candidate
    return MERGE_KEYS.get(field, (None,))[0]


def _merge_list(old: list[Any], new: list[Any], order: list[Any] | None, key: str) -> list[Any]:
    if any(not isinstance(item, dict) for item in new):
        raise BadRequest(f"map: {new} does not contain declared merge key: {key}")
    if {"$patch": "replace"} in new:
        return [item for item in new if item != {"$patch": "replace"}]
    merged = list(old)
    for item in new:
        if key not in item:
            raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, present in enumerate(merged) if present.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [present for present in merged if present.get(key) != item[key]]
        elif place is None:
            merged.append(_merge_map({}, item))
        else:
            merged[place] = _merge_map(merged[place], item)
    return _ordered(merged, old, order, key)


def _ordered(items: list[Any], old: list[Any], order: list[Any] | None, key: str | None) -> list[Any]:
    """In the order the patch asks for; items it does not know stay behind the neighbour they had before."""
    if order is None:
        return items

    def identity(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    before = [identity(item) for item in old]
    known = sorted((i for i in items if identity(i) in wanted), key=lambda i: wanted.index(identity(i)))
    result: list[Any] = []
    for unknown in (i for i in items if identity(i) not in wanted):
        place = before.index(identity(unknown)) if identity(unknown) in before else len(before)
        while known and identity(known[0]) in before and before.index(identity(known[0])) < place:
            result.append(known.pop(0))
        result.append(unknown)
    return result + known
