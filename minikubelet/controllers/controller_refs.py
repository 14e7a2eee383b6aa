"""Who controls what: the owner reference with `controller: true`, and how it is given and taken.

An object belongs to one controller at most. A controller adopts what its selector matches and nobody
controls, and releases what its selector matches no longer (client-go's ControllerRefManager).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minikubelet.store import Store
from minikubelet.v1 import LabelSelector, from_dict
from minikubelet.v1.label_selectors import matches

Object = dict[str, Any]
Key = tuple[str, str]


def controller_of(obj: Object) -> Object | None:
    """The reference to what controls it."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: Object = owner
            return found
    return None


def controller_ref(owner: Object) -> Object:
    """The reference its objects get."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(obj: Object, owner: Object) -> bool:
    ref = controller_of(obj)
    return ref is not None and ref["uid"] == owner["metadata"]["uid"]


def selects(owner: Object, obj: Object) -> bool:
    """Whether the owner's `spec.selector` matches."""
    selector = from_dict(LabelSelector, owner["spec"].get("selector") or {})
    return matches(selector, obj["metadata"].get("labels") or {})


@dataclass(frozen=True, slots=True)
class Claims:
    """What is an owner's, what could be, and what is no longer."""

    own: list[Object]
    adopt: list[Object]
    release: list[Object]


def claims(owner: Object, candidates: Iterable[Object]) -> Claims:
    """Pure: nothing is changed. An owner that is being deleted neither adopts nor releases."""
    found = Claims([], [], [])
    going = "deletionTimestamp" in owner["metadata"]
    for obj in candidates:
        ref = controller_of(obj)
        if ref is None:
            if not going and "deletionTimestamp" not in obj["metadata"] and selects(owner, obj):
                found.adopt.append(obj)
        elif ref["uid"] == owner["metadata"]["uid"]:
            if selects(owner, obj):
                found.own.append(obj)
            elif not going:
                found.release.append(obj)
    return found


def claim(store: Store, resource: str, owner: Object, candidates: Iterable[Object]) -> list[Object]:
    """What is the owner's, after it has adopted and released."""
    found = claims(owner, candidates)
    adopted = []
    for obj in found.adopt:
        adopted.append(store.modify(resource, *_place(obj), lambda it: _add(it, owner)))
    for obj in found.release:
        store.modify(resource, *_place(obj), lambda it: remove_owner(it, owner["metadata"]["uid"]))
    return found.own + adopted


def _add(obj: Object, owner: Object) -> None:
    obj["metadata"]["ownerReferences"] = [
        *(obj["metadata"].get("ownerReferences") or ()),
        controller_ref(owner),
    ]


def remove_owner(obj: Object, uid: str) -> None:
    """Forget one owner; for `Store.modify`."""
    left = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] != uid]
    obj["metadata"].pop("ownerReferences", None)
    if left:
        obj["metadata"]["ownerReferences"] = left


def concerned(store: Store, resource: str, kind: str, obj: Object) -> Iterator[Key]:
    """The owners of one kind that something concerns: its controller, or all who might adopt it."""
    namespace = obj["metadata"].get("namespace", "")
    ref = controller_of(obj)
    if ref is not None:
        if ref["kind"] == kind:
            yield namespace, ref["name"]
        return
    for owner in store.list(resource, namespace)[0]:
        if selects(owner, obj):
            yield namespace, owner["metadata"]["name"]


def _place(obj: Object) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
