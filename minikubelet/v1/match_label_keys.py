"""matchLabelKeys and mismatchLabelKeys of a new pod become expressions of the selector beside them.

`matchLabelKeys: [app]` in a pod with the label app=web means "pods with the same app as this one": `app In
(web)`. A key the pod has no label for, or beside no selector, means nothing. As in the API server's strategy
for new pods, so that schedulers look at selectors only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minikubelet.v1.meta import LabelSelector, LabelSelectorRequirement
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.scheduling import PodAffinityTerm


def merge_match_label_keys(pod: Pod) -> None:
    """Changes the selectors of a new pod in place."""
    labels = (pod.metadata.labels if pod.metadata else None) or {}
    spec = pod.spec or PodSpec()
    for constraint in spec.topology_spread_constraints or ():
        _merge(constraint.label_selector, "In", constraint.match_label_keys or (), labels)
    for term in _terms(spec):
        _merge(term.label_selector, "In", term.match_label_keys or (), labels)
        _merge(term.label_selector, "NotIn", term.mismatch_label_keys or (), labels)


def _merge(
    selector: LabelSelector | None, operator: str, keys: Iterable[str], labels: dict[str, str]
) -> None:
    if selector is None:
        return
    added = [
        LabelSelectorRequirement(key=key, operator=operator, values=[labels[key]])
        for key in keys
        if key in labels
    ]
    if added:
        selector.match_expressions = [*(selector.match_expressions or ()), *added]


def _terms(spec: PodSpec) -> Iterator[PodAffinityTerm]:
    affinity = spec.affinity
    for kind in (affinity.pod_affinity, affinity.pod_anti_affinity) if affinity else ():
        if kind is not None:
            yield from kind.required_during_scheduling_ignored_during_execution or ()
            for wished in kind.preferred_during_scheduling_ignored_during_execution or ():
                if wished.pod_affinity_term is not None:
                    yield wished.pod_affinity_term
