"""Where a pod may run: affinity, tolerations, spreading.

There is one node here, so these only decide between "runs" and "stays Pending".
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Int64, Object
from minikubelet.v1.meta import LabelSelector


class NodeSelectorRequirement(Object, kw_only=True):
    """One expression over a node's labels or fields."""

    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class NodeSelectorTerm(Object, kw_only=True):
    """Expressions that must all hold for a node."""

    match_expressions: list[NodeSelectorRequirement] | None = None
    match_fields: list[NodeSelectorRequirement] | None = None


class NodeSelector(Object, kw_only=True):
    """Terms of which one must hold."""

    node_selector_terms: list[NodeSelectorTerm] | None = None


class PreferredSchedulingTerm(Object, kw_only=True):
    """A term that is wished for, with a weight."""

    preference: NodeSelectorTerm | None = None
    weight: Int32 | None = None


class NodeAffinity(Object, kw_only=True):
    """Which nodes the pod may or should run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredSchedulingTerm] | None = None


class PodAffinityTerm(Object, kw_only=True):
    """Pods, by their labels, near which (by topology) the pod may run."""

    label_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None
    namespace_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    topology_key: str | None = None


class WeightedPodAffinityTerm(Object, kw_only=True):
    """A pod affinity term that is wished for, with a weight."""

    pod_affinity_term: PodAffinityTerm | None = None
    weight: Int32 | None = None


class PodAffinity(Object, kw_only=True):
    """Which pods to be near to."""

    required_during_scheduling_ignored_during_execution: list[PodAffinityTerm] | None = None
    preferred_during_scheduling_ignored_during_execution: list[WeightedPodAffinityTerm] | None = None


class PodAntiAffinity(Object, kw_only=True):
    """Which pods to keep away from."""

    required_during_scheduling_ignored_during_execution: list[PodAffinityTerm] | None = None
    preferred_during_scheduling_ignored_during_execution: list[WeightedPodAffinityTerm] | None = None


class Affinity(Object, kw_only=True):
    """The pod's wishes about where it runs."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class Toleration(Object, kw_only=True):
    """A taint the pod accepts, and for how long."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: Int64 | None = None


class TopologySpreadConstraint(Object, kw_only=True):
    """How evenly matching pods are spread over zones, nodes and the like."""

    label_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    max_skew: Int32 | None = None
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    topology_key: str | None = None
    when_unsatisfiable: str | None = None
