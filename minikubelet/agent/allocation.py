"""What a pod was granted: the resources it was let in with, or the last resize that was taken
(kubelet-behaviour 6.12). Pure.

The spec says what is wanted. Everything the kubelet does for a pod, it does for the pod as it was granted:
cgroups, oom_score_adj, the downward API, the sums that others are measured against. `with_allocation` makes
that pod; `agent.resizes` decides when an allocation changes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.v1 import Container, Pod, PodSpec, ResourceRequirements, from_dict, to_dict


@dataclass(frozen=True, slots=True)
class Allocation:
    """`whole` of the pod, `containers` by name; who has no resources is not in it."""

    whole: ResourceRequirements | None
    containers: Mapping[str, ResourceRequirements]


def allocation_of(pod: Pod) -> Allocation:
    """All the pod asks for."""
    spec = pod.spec or PodSpec()
    named = {one.name or "": one.resources for one in _containers(spec) if one.resources is not None}
    return Allocation(spec.resources, named)


def with_allocation(pod: Pod, granted: Allocation) -> Pod:
    """The pod as it was granted; `pod` itself where that is what it asks for."""
    if allocation_of(pod) == granted:
        return pod
    assert pod.spec is not None
    made, spec = copy.copy(pod), copy.copy(pod.spec)
    spec.resources = granted.whole
    spec.containers = _granted(spec.containers, granted)
    spec.init_containers = _granted(spec.init_containers, granted)
    made.spec = spec
    return made


def _granted(containers: Sequence[Container] | None, granted: Allocation) -> list[Container] | None:
    if containers is None:
        return None
    made = [copy.copy(container) for container in containers]
    for container in made:
        container.resources = granted.containers.get(container.name or "")
    return made


def _containers(spec: PodSpec) -> Iterator[Container]:
    yield from spec.init_containers or ()
    yield from spec.containers or ()


def as_json(granted: Allocation) -> dict[str, Any]:
    """For the checkpoint."""
    return {
        "pod": None if granted.whole is None else to_dict(granted.whole),
        "containers": {name: to_dict(resources) for name, resources in granted.containers.items()},
    }


def from_json(data: Mapping[str, Any]) -> Allocation:
    """From a checkpoint. Raises KeyError, TypeError or ValueError when it is none."""
    whole = data["pod"]
    return Allocation(
        None if whole is None else from_dict(ResourceRequirements, whole),
        {name: from_dict(ResourceRequirements, one) for name, one in data["containers"].items()},
    )
