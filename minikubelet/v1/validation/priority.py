"""PriorityClass: names and values of the system are the system's, and a value is for good."""

from __future__ import annotations

from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.priority_class import (
    HIGHEST_USER_PRIORITY,
    SYSTEM_CLASSES,
    SYSTEM_PREFIX,
    PriorityClass,
)
from minikubelet.v1.validation.field import IMMUTABLE, Errors, forbidden, invalid, one_of

POLICIES = ("PreemptLowerPriority", "Never")


def priority_class_errors(one: PriorityClass) -> Errors:
    """What is wrong with the body of a new or changed class."""
    name, value = (one.metadata or ObjectMeta()).name or "", one.value or 0
    if name.startswith(SYSTEM_PREFIX):
        problem = _unknown_system_class(name, value, is_default=bool(one.global_default))
        if problem:
            reserved = f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only"
            yield forbidden("metadata.name", f"{reserved}. error: {problem}")
    elif value > HIGHEST_USER_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        yield forbidden("value", detail)
    if one.preemption_policy is not None:
        yield from one_of("preemptionPolicy", one.preemption_policy, POLICIES)


def priority_class_update_errors(new: PriorityClass, old: PriorityClass) -> Errors:
    """Pods have the value already: it stays."""
    if (new.value or 0) != (old.value or 0):
        yield forbidden("value", "may not be changed in an update.")
    if new.preemption_policy != old.preemption_policy:
        yield invalid("preemptionPolicy", new.preemption_policy, IMMUTABLE)


def _unknown_system_class(name: str, value: int, *, is_default: bool) -> str:
    known = {one.metadata.name: one for one in SYSTEM_CLASSES if one.metadata is not None}
    if name not in known:
        return f"{name} is not a known system priority class"
    if value != known[name].value:
        return f"value of {name} PriorityClass must be {known[name].value}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""
