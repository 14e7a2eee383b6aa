"""Writes to a part of a pod that has a path of its own: `…/pods/NAME/ephemeralcontainers`, `…/resize`.

Such a write may change this part and nothing else, whatever else its body says; and it may change what an
ordinary update of the pod may not. Pure. (`status` belongs to every kind: `kinds.with_status`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import FieldError, Invalid
from minikubelet.v1 import Pod, from_dict, support, to_dict
from minikubelet.v1.defaults import set_defaults
from minikubelet.v1.validation.ephemeral import ephemeral_update_errors
from minikubelet.v1.validation.field import Errors
from minikubelet.v1.validation.resize import resize_errors

Object = dict[str, Any]

RESIZABLE = ("resources", "resizePolicy")  # of a container


@dataclass(frozen=True, slots=True)
class Subresource:
    """`take` moves the part from a client's pod into a copy of the stored one, `errors` looks at (new, old),
    and of what the node does not honour only what stands below `path` is told.
    """

    path: str
    take: Callable[[Object, Object], None]
    errors: Callable[[Pod, Pod], Errors]


def _take_ephemeral_containers(spec: Object, given: Object) -> None:
    spec.pop("ephemeralContainers", None)
    if given.get("ephemeralContainers"):
        spec["ephemeralContainers"] = given["ephemeralContainers"]


def _take_resources(spec: Object, given: Object) -> None:
    """Of every container, and of the pod as a whole. Other containers than there are, or in another order,
    are taken as they stand: validation has the words for them.
    """
    for field in ("containers", "initContainers"):
        new, old = given.get(field) or [], spec.get(field) or []
        if [one.get("name") for one in new] != [one.get("name") for one in old]:
            spec[field] = new
        elif old:
            spec[field] = [_resized(before, after) for before, after in zip(old, new, strict=True)]
    spec.pop("resources", None)
    if given.get("resources"):
        spec["resources"] = given["resources"]


def _resized(container: Object, given: Object) -> Object:
    kept = {key: value for key, value in container.items() if key not in RESIZABLE}
    return kept | {key: given[key] for key in RESIZABLE if key in given}


SUBRESOURCES: dict[str, Subresource] = {
    "ephemeralcontainers": Subresource(
        "spec.ephemeralContainers", _take_ephemeral_containers, ephemeral_update_errors
    ),
    "resize": Subresource("spec.resources", _take_resources, resize_errors),
}


def changed(name: str, given: Object, old: Object, warnings: list[str]) -> Object:
    """`old` with this part as in `given`, complete and valid. Raises Invalid."""
    part = SUBRESOURCES[name]
    merged = {**old, "metadata": dict(old["metadata"]), "spec": dict(old["spec"])}
    part.take(merged["spec"], given.get("spec") or {})
    if "resourceVersion" in given["metadata"]:
        merged["metadata"]["resourceVersion"] = given["metadata"]["resourceVersion"]
    pod = from_dict(Pod, merged)
    set_defaults(pod)
    errors: list[FieldError] = list(dict.fromkeys(part.errors(pod, from_dict(Pod, old))))
    told, unsupported = support.check(pod)
    warnings.extend(text for text in told if text.startswith(part.path))
    errors += [error for error in unsupported if error.path.startswith(part.path)]
    if errors:
        raise Invalid.of("Pod", old["metadata"]["name"], errors)
    return to_dict(pod)
