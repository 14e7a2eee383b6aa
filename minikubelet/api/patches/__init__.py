"""The ways to say what to change: JSON Patch, JSON Merge Patch and Kubernetes' strategic merge patch.

    json_patch   RFC 6902: operations, all or nothing
    merge_patch  RFC 7386: maps merge, null deletes, all else replaces
    strategic    merge that knows the types: lists merge by key, `$patch` and its relatives

Each is a pure function from an object and a patch to a new object; nothing of either is shared with the
result. What comes out must be an object again, and what cannot be decoded then is answered as the API server
does: Invalid in the field `patch`, with the patch or the patched object as its value (`Patch.refused`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from minikubelet.errors import ApiError, BadRequest, FieldError, Invalid

Object = dict[str, Any]
Change = Callable[[Object], Object]

MAX_SHOWN = 4096  # characters of a patch in a message


@dataclass(frozen=True, slots=True)
class Patch:
    """A change that came as a patch. `shown` is what messages show of it, if not the patched object."""

    apply: Callable[[Object], Any]
    shown: Any = None

    def __call__(self, obj: Object) -> Object:
        changed = self.apply(obj)
        if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
            raise BadRequest("the patched object is no object any more")
        return changed

    def refused(self, changed: Object, error: BadRequest) -> ApiError:
        """The answer when the patched object cannot be decoded."""
        shown = msgspec.json.encode(changed).decode() if self.shown is None else _go_text(self.shown)
        if len(shown) > MAX_SHOWN:
            shown = f"{shown[:MAX_SHOWN]}…"
        cause = error.message.partition(" cannot be handled as a ")[2].partition(": ")[2] or error.message
        value = msgspec.json.encode(shown).decode()
        return Invalid.of("", "", [FieldError("patch", "Invalid", f"Invalid value: {value}: {cause}")])


def _go_text(value: Any) -> str:
    """As Go prints a decoded JSON value: `map[a:1 b:[x y]]`."""
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(_go_text, value))}]"
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
    return str(value)
