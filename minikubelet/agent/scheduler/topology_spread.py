"""topologySpreadConstraints: is the pod's domain too full compared to the emptiest? Pure.

    skew = matching pods in the domain, with the new one − matching pods in the emptiest domain

One node is one domain, so both counts are the same and the skew is at most 1, unless `minDomains` asks for
more domains than there are: then the emptiest counts as empty. `ScheduleAnyway` chooses among nodes and has
no say here. (`nodeAffinityPolicy` and `nodeTaintsPolicy` say which nodes are domains at all; a node that they
would leave out has been refused before by the filters for affinity and taints.)
"""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.v1 import Pod, TopologySpreadConstraint
from minikubelet.v1.label_selectors import matches

from .node_info import NodeInfo, labels_of, namespace_of, spec_of


def lacks_topology_key(pod: Pod, node: NodeInfo) -> bool:
    """The node is in no domain of some constraint."""
    return any(one.topology_key not in node.labels for one in hard_constraints(pod))


def is_spread(pod: Pod, node: NodeInfo) -> bool:
    """No constraint would be broken."""
    return all(skew(one, pod, node) <= (one.max_skew or 1) for one in hard_constraints(pod))


def skew(constraint: TopologySpreadConstraint, pod: Pod, node: NodeInfo) -> int:
    """With the pod on this node. Pods of other namespaces and pods that are ending do not count."""
    here = sum(
        namespace_of(other.pod) == namespace_of(pod)
        and not _is_ending(other.pod)
        and matches(constraint.label_selector, labels_of(other.pod))
        for other in node.pods
    )
    itself = matches(constraint.label_selector, labels_of(pod))
    emptiest = here if (constraint.min_domains or 1) <= 1 else 0
    return here + itself - emptiest


def hard_constraints(pod: Pod) -> Sequence[TopologySpreadConstraint]:
    return [
        one
        for one in spec_of(pod).topology_spread_constraints or ()
        if one.when_unsatisfiable == "DoNotSchedule"
    ]


def _is_ending(pod: Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletion_timestamp is not None
