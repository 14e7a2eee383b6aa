"""What may change in a pod that exists (kubelet-behaviour 7.8)."""

from __future__ import annotations

import json
from typing import Any

from minikubelet.v1.container import Container
from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.scheduling import Toleration
from minikubelet.v1.validation.field import Errors, forbidden, invalid, required
from minikubelet.v1.validation.metadata import metadata_update_errors
from minikubelet.v1.validation.names import between
from minikubelet.v1.validation.pod import MIRROR, pod_body_errors
from minikubelet.v1.wire import from_dict, to_dict

UPDATABLE = ",".join(
    [
        "`spec.containers[*].image`",
        "`spec.initContainers[*].image`",
        "`spec.activeDeadlineSeconds`",
        "`spec.tolerations` (only additions to existing tolerations)",
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    ]
)
ADDED_OR_REMOVED = "pod updates may not add or remove containers"


def pod_update_errors(new: Pod, old: Pod) -> Errors:
    """What is wrong with putting `new` in the place of `old`."""
    new_meta, old_meta = new.metadata or ObjectMeta(), old.metadata or ObjectMeta()
    new_spec, old_spec = new.spec or PodSpec(), old.spec or PodSpec()
    yield from metadata_update_errors(new_meta, old_meta)
    yield from pod_body_errors(new)
    yield from _mirror(new_meta, old_meta)
    for path, after, before in (
        ("spec.containers", new_spec.containers or [], old_spec.containers or []),
        ("spec.initContainers", new_spec.init_containers or [], old_spec.init_containers or []),
    ):
        if len(after) != len(before):
            yield forbidden(path, ADDED_OR_REMOVED)
            return
        yield from _images(path, after)
    yield from _deadline(new_spec.active_deadline_seconds, old_spec.active_deadline_seconds)
    yield from _tolerations(new_spec.tolerations or [], old_spec.tolerations or [])
    yield from _gates(new_spec, old_spec)
    yield from _everything_else(new_spec, old_spec)


def _mirror(new: ObjectMeta, old: ObjectMeta) -> Errors:
    path = f"metadata.annotations[{MIRROR}]"
    before, after = (old.annotations or {}).get(MIRROR), (new.annotations or {}).get(MIRROR)
    if before is None and after is not None:
        yield forbidden(path, "may not add mirror pod annotation")
    elif before != after:
        yield forbidden(path, "may not remove or update mirror pod annotation")


def _images(path: str, containers: list[Container]) -> Errors:
    for index, container in enumerate(containers):
        if not container.image:
            yield required(f"{path}[{index}].image")


def _deadline(new: int | None, old: int | None) -> Errors:
    """May be set, and brought nearer."""
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            yield invalid(path, None, "must not update from a positive integer to nil value")
    elif between(new, 0, 2**31 - 1):
        yield invalid(path, new, f"must be between 0 and {2**31 - 1}, inclusive")
    elif old is not None and old < new:
        yield invalid(path, new, "must be less than or equal to previous value")


def _tolerations(new: list[Toleration], old: list[Toleration]) -> Errors:
    """May be added; of the old ones only tolerationSeconds may change."""
    kept = [_without_seconds(toleration) for toleration in new]
    if any(_without_seconds(toleration) not in kept for toleration in old):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", detail)


def _without_seconds(toleration: Toleration) -> dict[str, Any]:
    data = to_dict(toleration)
    data.pop("tolerationSeconds", None)
    return data


def _gates(new: PodSpec, old: PodSpec) -> Errors:
    """May be removed, never added."""
    known = {gate.name for gate in old.scheduling_gates or ()}
    for index, gate in enumerate(new.scheduling_gates or ()):
        if gate.name not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", detail)


def _everything_else(new: PodSpec, old: PodSpec) -> Errors:
    """Put the old values where change is allowed; then nothing may differ."""
    allowed = from_dict(PodSpec, to_dict(new))
    for after, before in (
        (allowed.containers or [], old.containers or []),
        (allowed.init_containers or [], old.init_containers or []),
    ):
        for container, previous in zip(after, before, strict=True):
            container.image = previous.image
    allowed.active_deadline_seconds = old.active_deadline_seconds
    allowed.tolerations = old.tolerations
    allowed.scheduling_gates = old.scheduling_gates
    grace = old.termination_grace_period_seconds
    if grace is not None and grace < 0 and allowed.termination_grace_period_seconds == 1:
        allowed.termination_grace_period_seconds = grace
    if old.scheduling_gates and _only_added(new.node_selector or {}, old.node_selector or {}):
        allowed.node_selector = old.node_selector
    stored, wanted = to_dict(old), to_dict(allowed)
    if stored != wanted:
        difference = "\n".join(_difference("spec", stored, wanted))
        yield forbidden("spec", f"pod updates may not change fields other than {UPDATABLE}\n{difference}")


def _only_added(new: dict[str, str], old: dict[str, str]) -> bool:
    """A pod that waits at a scheduling gate may still be told where to run."""
    return new.items() >= old.items()


def _difference(path: str, before: Any, after: Any) -> list[str]:
    """One pair of lines for each value that differs."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted({*before, *after})
            for line in _difference(f"{path}.{key}", before.get(key), after.get(key))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for index, pair in enumerate(zip(before, after, strict=True))
            for line in _difference(f"{path}[{index}]", *pair)
        ]
    lines = []
    if before is not None:
        lines.append(f"- {path}: {json.dumps(before, ensure_ascii=False)}")
    if after is not None:
        lines.append(f"+ {path}: {json.dumps(after, ensure_ascii=False)}")
    return lines
