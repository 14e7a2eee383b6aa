"""What `apply` sends: the difference between a manifest and the object in the API, as kubectl's three-way
merge.

Three objects take part: what was applied last (kept in an annotation), what is in the API now, and the
manifest. A field of the manifest wins; a field that was applied before and is no longer in the manifest goes;
everything else, such as defaults and labels set by others, stays. Lists whose items have a name are merged
item by item. The result is sent as a JSON merge patch with whole lists; an empty one is `unchanged` and is
not sent. All pure.
"""

from __future__ import annotations

import copy
import json
from typing import Any

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"

# core/v1's merge keys, by the list's field name. Other lists are replaced whole.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
}

Object = dict[str, Any]


def last_applied(item: Object) -> Object | None:
    """The manifest this object was last applied from."""
    text = (item.get("metadata", {}).get("annotations") or {}).get(ANNOTATION)
    try:
        return dict(json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


def with_annotation(manifest: Object) -> Object:
    """The manifest, carrying itself; byte for byte what kubectl writes, so that both tools can take turns."""
    item: Object = without_nulls(manifest)
    annotations = item["metadata"].setdefault("annotations", {})
    annotations.pop(ANNOTATION, None)
    text = json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    for char in "<>&\u2028\u2029":  # as Go's encoder
        text = text.replace(char, f"\\u{ord(char):04x}")
    annotations[ANNOTATION] = text
    return item


def patch(manifest: Object, current: Object) -> Object:
    """The JSON merge patch that makes `current` what the manifest (with its annotation) wants; {} if it is
    so already.
    """
    wanted = merged(current, last_applied(current) or {}, manifest)
    wanted.pop("status", None)
    return difference({key: value for key, value in current.items() if key != "status"}, wanted)


def merged(current: Object, original: Object, wanted: Object) -> Object:
    """`current` after everything `wanted` says, without what only `original` said."""
    result = {key: value for key, value in current.items() if key in wanted or key not in original}
    for key, value in wanted.items():
        result[key] = _merged_value(key, current.get(key), original.get(key), value)
    return copy.deepcopy(result)


def difference(current: Object, wanted: Object) -> Object:
    """The merge patch (RFC 7396) from one to the other."""
    changes: Object = {key: None for key in current if key not in wanted}
    for key, value in wanted.items():
        before = current.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            inner = difference(before, value)
            if inner:
                changes[key] = inner
        elif before != value or type(before) is not type(value):
            changes[key] = value
    return changes


def without_nulls(value: Any) -> Any:
    """A copy in which no field is null: a null in a manifest says nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _merged_value(key: str, current: Any, original: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict):
        return merged(_dict(current), _dict(original), wanted)
    merge_key = MERGE_KEYS.get(key)
    if merge_key and _keyed(wanted, merge_key) and _keyed(current, merge_key):
        return _merged_list(merge_key, current, original, wanted)
    return wanted


def _merged_list(merge_key: str, current: Any, original: Any, wanted: Any) -> list[Any]:
    """The manifest's items in its order, then those that someone else has added."""
    now = {item[merge_key]: item for item in current}
    before = {item[merge_key]: item for item in original} if _keyed(original, merge_key) else {}
    result = [merged(now.get(item[merge_key], {}), before.get(item[merge_key], {}), item) for item in wanted]
    mine = {item[merge_key] for item in wanted} | before.keys()
    return result + [item for item in current if item[merge_key] not in mine]


def _keyed(items: Any, merge_key: str) -> bool:
    """Whether every item is an object with a plain, unique key."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return False
    keys = [item.get(merge_key) for item in items]
    return all(isinstance(key, str | int) for key in keys) and len(set(keys)) == len(keys)


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}
