"""Pod affinity and anti-affinity: which pods a pod must, or must not, be together with. Pure.

"Together" means in one domain of `topologyKey`, a label of nodes. Here there is one node: with the label all
its pods are one domain, without it there is none. Anti-affinity is asked in both directions: what the new pod
does not want beside it, and whether a pod that is here already does not want the new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.v1 import Pod, PodAffinityTerm
from minikubelet.v1.label_selectors import matches

from .node_info import NodeInfo, labels_of, namespace_of, spec_of


def affinity_holds(pod: Pod, node: NodeInfo) -> bool:
    """The node has every topology key, and a pod that all terms mean is here. The first of a series of pods
    that want to be together has nobody to be with: it may go ahead if it means itself.
    """
    terms = affinity_terms(pod)
    if not all(term.topology_key in node.labels for term in terms):
        return False
    if not terms or any(_all_mean(terms, pod, other.pod, node) for other in node.pods):
        return True
    return _all_mean(terms, pod, pod, node)


def anti_affinity_holds(pod: Pod, node: NodeInfo) -> bool:
    """Nobody is here that the pod does not want beside it."""
    return not any(
        means(term, pod, other.pod, node)
        for term in anti_affinity_terms(pod)
        if term.topology_key in node.labels
        for other in node.pods
    )


def nobody_objects(pod: Pod, node: NodeInfo) -> bool:
    """No pod that is here does not want this one beside it."""
    return not any(
        means(term, other.pod, pod, node)
        for other in node.pods
        for term in anti_affinity_terms(other.pod)
        if term.topology_key in node.labels
    )


def means(term: PodAffinityTerm, owner: Pod, other: Pod, node: NodeInfo) -> bool:
    """Does the term, which stands in `owner`'s manifest, mean the other pod?"""
    return _namespace_fits(term, owner, namespace_of(other), node) and matches(
        term.label_selector, labels_of(other)
    )


def _namespace_fits(term: PodAffinityTerm, owner: Pod, namespace: str, node: NodeInfo) -> bool:
    """Without a word about namespaces the owner's is meant."""
    if not term.namespaces and term.namespace_selector is None:
        return namespace == namespace_of(owner)
    return namespace in (term.namespaces or ()) or matches(
        term.namespace_selector, node.namespaces.get(namespace, {})
    )


def _all_mean(terms: Sequence[PodAffinityTerm], owner: Pod, other: Pod, node: NodeInfo) -> bool:
    return all(means(term, owner, other, node) for term in terms)


def affinity_terms(pod: Pod) -> Sequence[PodAffinityTerm]:
    affinity = spec_of(pod).affinity
    wished = affinity.pod_affinity if affinity else None
    return (wished.required_during_scheduling_ignored_during_execution if wished else None) or ()


def anti_affinity_terms(pod: Pod) -> Sequence[PodAffinityTerm]:
    affinity = spec_of(pod).affinity
    unwanted = affinity.pod_anti_affinity if affinity else None
    return (unwanted.required_during_scheduling_ignored_during_execution if unwanted else None) or ()
