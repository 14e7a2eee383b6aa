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


def to_text(selector: LabelSelector | None) -> str:
    """`app=web,tier in (a,b)`: as people and query parameters write it (metav1.FormatLabelSelector)."""
    if selector is None:
        return "<none>"
    terms = [(key, f"{key}={value}") for key, value in (selector.match_labels or {}).items()]
    for one in selector.match_expressions or ():
        key, values = one.key or "", ",".join(sorted(one.values or ()))
        shapes = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        terms.append((key, shapes.get(one.operator or "", key)))
    return ",".join(text for _, text in sorted(terms)) or "<none>"


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
