"""nodeSelector and node affinity: does the node carry what the pod asks for? Pure.

Preferred terms choose among nodes; with one node there is nothing to choose, so they have no say.
"""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.v1 import NodeSelectorRequirement, NodeSelectorTerm, Pod
from minikubelet.v1.label_selectors import holds

from .node_info import Labels, spec_of


def matches_node(pod: Pod, name: str, labels: Labels) -> bool:
    """All of nodeSelector, and one of the required terms if there are any."""
    selector = spec_of(pod).node_selector or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    terms = required_terms(pod)
    return terms is None or any(_term_matches(term, name, labels) for term in terms)


def required_terms(pod: Pod) -> Sequence[NodeSelectorTerm] | None:
    """None: nothing is required. No terms at all match no node."""
    affinity = spec_of(pod).affinity
    node = affinity.node_affinity if affinity else None
    required = node.required_during_scheduling_ignored_during_execution if node else None
    return None if required is None else required.node_selector_terms or ()


def named_nodes(pod: Pod) -> set[str] | None:
    """The nodes that the required terms name by `metadata.name`; None: some term names none, all are asked.

    An empty set means terms that contradict themselves.
    """
    terms = required_terms(pod)
    if not terms:
        return None
    named: set[str] = set()
    for term in terms:
        sets = [
            set(field.values or ())
            for field in term.match_fields or ()
            if (field.key, field.operator) == ("metadata.name", "In")
        ]
        if not sets:
            return None
        named |= set.intersection(*sets)
    return named


def _term_matches(term: NodeSelectorTerm, name: str, labels: Labels) -> bool:
    """An empty term matches nothing."""
    expressions, fields = term.match_expressions or (), term.match_fields or ()
    if not expressions and not fields:
        return False
    return all(_expression_holds(one, labels) for one in expressions) and all(
        one.key == "metadata.name" and holds(one.operator, name, one.values or ()) for one in fields
    )


def _expression_holds(expression: NodeSelectorRequirement, labels: Labels) -> bool:
    value, values = labels.get(expression.key or ""), expression.values or []
    if expression.operator in ("Gt", "Lt"):
        return _compares(expression.operator, value, values)
    return holds(expression.operator, value, values)


def _compares(operator: str, value: str | None, values: Sequence[str]) -> bool:
    """Both sides must be whole numbers."""
    try:
        mine, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return mine > bound if operator == "Gt" else mine < bound
