"""What a write to `pods/resize` may change: cpu and memory, of containers and of the pod as a whole, within
the pod's QoS class (kubelet-behaviour 6.12).
"""

from __future__ import annotations

from collections.abc import Mapping

from minikubelet.v1.container import Container, ResourceRequirements
from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.qos import COMPUTE, qos_class
from minikubelet.v1.status import PodStatus
from minikubelet.v1.validation.field import Errors, forbidden, invalid
from minikubelet.v1.validation.pod import MIRROR, pod_body_errors
from minikubelet.v1.wire import from_dict, to_dict

STATIC = "static pods cannot be resized"
CLASS_CHANGED = "Pod QOS Class may not change as a result of resizing"
ONLY_COMPUTE = "only cpu and memory resources are mutable"


def resize_errors(new: Pod, old: Pod) -> Errors:
    """What is wrong with resizing `old` to `new`."""
    new_spec, old_spec = new.spec or PodSpec(), old.spec or PodSpec()
    if MIRROR in ((old.metadata or ObjectMeta()).annotations or {}):
        yield forbidden("", STATIC)
        return
    yield from pod_body_errors(new)
    present = (old.status or PodStatus()).qos_class or qos_class(old)
    if qos_class(new) != present:
        yield invalid("spec", present, CLASS_CHANGED)
    moved = [*_order("containers", new_spec, old_spec), *_order("initContainers", new_spec, old_spec)]
    yield from moved
    if moved:
        return
    yield from _removed("spec.resources", new_spec.resources, old_spec.resources)
    for field in ("initContainers", "containers"):
        pairs = zip(_containers(new_spec, field), _containers(old_spec, field), strict=True)
        for index, (after, before) in enumerate(pairs):
            yield from _removed(f"spec.{field}[{index}].resources", after.resources, before.resources)
    if to_dict(_without_compute(new_spec, old_spec)) != to_dict(old_spec):
        yield forbidden("spec", ONLY_COMPUTE)


def _containers(spec: PodSpec, field: str) -> list[Container]:
    return (spec.containers if field == "containers" else spec.init_containers) or []


def _order(field: str, new: PodSpec, old: PodSpec) -> Errors:
    """The same containers, in the same order."""
    after, before = _containers(new, field), _containers(old, field)
    if len(after) != len(before):
        yield forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")
        return
    for index, (one, former) in enumerate(zip(after, before, strict=True)):
        if one.name != former.name:
            detail = f"{field} may not be renamed or reordered on resize"
            yield forbidden(f"spec.{field}[{index}].name", detail)


def _removed(path: str, new: ResourceRequirements | None, old: ResourceRequirements | None) -> Errors:
    """What was asked for once cannot be unsaid, only changed."""
    for which in ("requests", "limits"):
        if _amounts(old, which).keys() - _amounts(new, which).keys():
            yield forbidden(f"{path}.{which}", f"resource {which} cannot be removed")


def _without_compute(new: PodSpec, old: PodSpec) -> PodSpec:
    """`new` with cpu, memory and the policies of resizing as in `old`: the rest must be as it was."""
    munged = from_dict(PodSpec, to_dict(new))
    munged.resources = _with_old_compute(munged.resources, old.resources)
    for field in ("containers", "initContainers"):
        pairs = zip(_containers(munged, field), _containers(old, field), strict=True)
        for after, before in pairs:
            after.resources = _with_old_compute(after.resources, before.resources)
            after.resize_policy = before.resize_policy
    return munged


def _with_old_compute(
    new: ResourceRequirements | None, old: ResourceRequirements | None
) -> ResourceRequirements | None:
    others = {
        which: {name: text for name, text in _amounts(new, which).items() if name not in COMPUTE}
        | {name: text for name, text in _amounts(old, which).items() if name in COMPUTE}
        for which in ("requests", "limits")
    }
    if old is None and not any(others.values()):
        return None
    return ResourceRequirements(
        requests=others["requests"] or (old.requests if old else None),
        limits=others["limits"] or (old.limits if old else None),
        claims=new.claims if new else None,
    )


def _amounts(resources: ResourceRequirements | None, which: str) -> Mapping[str, str]:
    if resources is None:
        return {}
    return (resources.requests if which == "requests" else resources.limits) or {}
