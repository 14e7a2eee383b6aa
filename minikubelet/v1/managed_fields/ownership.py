"""How the sets of all managers change with a write: structured-merge-diff's Updater.

update  the writer takes what it changed from everybody, and nobody keeps what is gone
apply   the applier owns what its configuration says; what it said before, says no more, and nobody else
        owns is removed; what others own and it would change is a conflict, unless forced
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minikubelet.v1.managed_fields import values
from minikubelet.v1.managed_fields.managers import Manager, Managers, Owned
from minikubelet.v1.managed_fields.paths import EMPTY, FieldSet
from minikubelet.v1.managed_fields.values import Comparison
from minikubelet.v1.topology import Node

Object = dict[str, Any]
Conflicts = dict[Manager, FieldSet]


class Conflicting(Exception):
    """What others own and an apply would change."""

    def __init__(self, conflicts: Conflicts) -> None:
        super().__init__("conflicts")
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True)
class Application:
    """A configuration of a manager: the fields it speaks of, and those of them that it can own."""

    manager: Manager
    fields: FieldSet
    tracked: FieldSet
    api_version: str
    now: str


def update(
    before: Managers,
    comparison: Comparison,
    manager: Manager,
    tracked: Callable[[FieldSet], FieldSet],
    now: str,
) -> Managers:
    """After an object was written: its writer owns what it added and modified."""
    taken = tracked(frozenset(comparison.modified | comparison.added))
    after = _released(before, taken | frozenset(comparison.removed))
    if taken:
        kept = after[manager].fields if manager in after else EMPTY
        after[manager] = Owned(taken | kept, manager.api_version, now)
    return after


def apply(
    change: Application, live: Object, config: Object, before: Managers, node: Node, *, force: bool
) -> tuple[Object, Managers]:
    """The object as the configuration wants it, and who owns it then. Raises Conflicting."""
    last = before[change.manager].fields if change.manager in before else EMPTY
    after = {**before, change.manager: Owned(change.fields, change.api_version, change.now)}
    merged = _pruned(values.merge(live, config, node), last, after, node)
    comparison = values.compare(live, merged, node)
    changed = frozenset(comparison.modified | comparison.added)
    others = {manager: owned for manager, owned in after.items() if manager != change.manager}
    conflicts = {manager: both for manager, owned in others.items() if (both := owned.fields & changed)}
    if conflicts and not force:
        raise Conflicting(conflicts)
    released = _released(others, changed | frozenset(comparison.removed))
    if change.tracked:
        released[change.manager] = Owned(change.tracked, change.api_version, change.now)
    return merged, released


def _released(managers: Managers, fields: FieldSet) -> Managers:
    """Without these fields, and without managers that have none left."""
    return {
        manager: dataclasses.replace(owned, fields=left)
        for manager, owned in managers.items()
        if (left := owned.fields - fields)
    }


def _pruned(merged: Object, last: FieldSet, after: Managers, node: Node) -> Object:
    """Without what the applier listed last time, and nobody lists or owns now.

    Three steps, as a list item may go although another manager owns a field inside it: take away all that was
    listed; put back what anybody owns; put back what was never the applier's.
    """
    if not last:
        return merged
    last = values.named_fields(last, node)
    owned = values.named_fields(frozenset().union(*(one.fields for one in after.values())), node)

    def set_in(obj: Object) -> FieldSet:
        return values.named_fields(values.field_set(obj, node), node)

    everything = set_in(merged)
    pruned = values.without(merged, last, node) or {}
    pruned = values.without(merged, everything - (set_in(pruned) | owned), node) or {}
    kept: Object = values.without(merged, (everything - set_in(pruned)) & last, node)
    return kept
