"""Does a set of labels match a LabelSelector? Pure, as apimachinery's `LabelSelectorAsSelector`.

An absent selector matches nothing, an empty one everything. A key that is not there is in no set of values,
so `NotIn` holds for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minikubelet.v1.meta import LabelSelector

Labels = Mapping[str, str]


def matches(selector: LabelSelector | None, labels: Labels) -> bool:
    """Every pair and every expression of the selector holds."""
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in (selector.match_labels or {}).items()) and all(
        holds(one.operator, labels.get(one.key or ""), one.values or ())
        for one in selector.match_expressions or ()
    )


def holds(operator: str | None, value: str | None, values: Iterable[str]) -> bool:
    """One expression; `value` is the label's, None when there is no such label."""
    match operator:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
