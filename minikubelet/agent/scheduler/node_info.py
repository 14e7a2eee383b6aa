"""What a scheduling decision looks at: the node, the pods on it, the labels of the namespaces. Plain data.

The words are kube-scheduler's: a `NodeInfo` is a node with its pods. What every decision needs of a pod again
and again, its requests, is added up once (`PlacedPod.of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minikubelet.v1 import Node, Pod, PodSpec, Taint, from_dict

from .claims import ClaimInfo
from .resources import Amounts, amounts, requests_of

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlacedPod:
    """A pod that is on the node, or is about to be."""

    pod: Pod
    requests: Amounts

    @classmethod
    def of(cls, pod: Pod) -> PlacedPod:
        return cls(pod, requests_of(pod))


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`pods`: those that are not over. `namespaces`: name → labels.
    `claims`: (namespace, name) → what is known of it."""

    name: str
    labels: Labels = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: Amounts = field(default_factory=dict)
    pods: tuple[PlacedPod, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    claims: Mapping[tuple[str, str], ClaimInfo] = field(default_factory=dict)

    @classmethod
    def of(cls, node: dict[str, Any]) -> NodeInfo:
        """The node as stored, still without pods."""
        read = from_dict(Node, node)
        spec, metadata, status = read.spec, read.metadata, read.status
        return cls(
            name=(metadata.name if metadata else None) or "",
            labels=(metadata.labels if metadata else None) or {},
            taints=tuple((spec.taints if spec else None) or ()),
            unschedulable=bool(spec and spec.unschedulable),
            allocatable=amounts((status.allocatable if status else None) or {}),
        )


def is_resizing(pod: Pod) -> bool:
    """Then what it counts for changes with its status (`qos.effective_requests`)."""
    conditions = (pod.status.conditions if pod.status else None) or ()
    return any(one.type in ("PodResizePending", "PodResizeInProgress") for one in conditions)


def spec_of(pod: Pod) -> PodSpec:
    assert pod.spec is not None
    return pod.spec


def labels_of(pod: Pod) -> Labels:
    return (pod.metadata.labels if pod.metadata else None) or {}


def namespace_of(pod: Pod) -> str:
    return (pod.metadata.namespace if pod.metadata else None) or ""


def priority_of(pod: Pod) -> int:
    return (pod.spec.priority if pod.spec else None) or 0
