"""The entries of `metadata.managedFields`: who set which fields, how, through which part of the API, when."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from minikubelet.v1.managed_fields import paths
from minikubelet.v1.managed_fields.paths import FieldSet

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATE_MANAGERS = 10
ANCIENT_CHANGES = "ancient-changes"  # who has the fields of updates beyond that number


class Manager(NamedTuple):
    """Who. An applier is the same in every version of the API; an updater is one per version."""

    name: str
    operation: str
    subresource: str = ""
    api_version: str = ""

    def __str__(self) -> str:
        """As conflicts name it."""
        described = f'"{self.name}"'
        if self.subresource:
            described += f' with subresource "{self.subresource}"'
        return described if self.operation == APPLY else f"{described} using {self.api_version}"


@dataclass(frozen=True, slots=True)
class Owned:
    """What, and since when (RFC 3339)."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managers = dict[Manager, Owned]


def applier(name: str, subresource: str) -> Manager:
    return Manager(name, APPLY, subresource)


def updater(name: str, subresource: str, api_version: str) -> Manager:
    return Manager(name, UPDATE, subresource, api_version)


def decode(entries: Any) -> Managers:
    """The entries of an object. ValueError when one of them is none."""
    managers: Managers = {}
    for entry in entries or ():
        operation, version = entry.get("operation"), entry.get("apiVersion")
        if operation not in (APPLY, UPDATE) or not version or entry.get("fieldsType") != "FieldsV1":
            raise ValueError("no entry of managedFields")
        manager = Manager(
            entry.get("manager", ""),
            operation,
            entry.get("subresource", ""),
            version if operation == UPDATE else "",
        )
        fields = paths.from_fields(entry.get("fieldsV1") or {})
        managers[manager] = Owned(fields, version, entry.get("time", ""))
    return managers


def encode(managers: Managers) -> list[dict[str, Any]]:
    """Appliers first, then by time, name, version and subresource."""

    def order(item: tuple[Manager, Owned]) -> tuple[str, ...]:
        manager, owned = item
        return manager.operation, owned.time, manager.name, owned.api_version, manager.subresource

    return [_entry(manager, owned) for manager, owned in sorted(managers.items(), key=order)]


def _entry(manager: Manager, owned: Owned) -> dict[str, Any]:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": owned.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": paths.to_fields(owned.fields),
        "subresource": manager.subresource,
    }
    return {key: value for key, value in entry.items() if value != ""}


def is_reset(entries: Any) -> bool:
    """Whether a client wants them all gone: `[]` or `[{}]`. (Leaving them out changes nothing.)"""
    return entries in ([], [{}])


def same_but_for_time(one: Iterable[dict[str, Any]], other: Iterable[dict[str, Any]]) -> bool:
    def timeless(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
        return sorted(kept, key=lambda entry: [str(entry.get(key)) for key in Manager._fields])

    return timeless(one) == timeless(other)


def capped(managers: Managers) -> Managers:
    """At most ten updaters: the oldest ones of each version become one."""
    oldest = sorted(
        (manager for manager in managers if manager.operation == UPDATE),
        key=lambda manager: (managers[manager].time, manager),
    )
    surplus, result = len(oldest) - MAX_UPDATE_MANAGERS, dict(managers)
    first: dict[str, Manager] = {}
    for manager in oldest:
        if surplus <= 0:
            break
        if (before := first.setdefault(manager.api_version, manager)) is manager:
            continue
        bucket = updater(ANCIENT_CHANGES, "", manager.api_version)
        if bucket not in result:
            result[bucket] = result.pop(before)
        newer = result.pop(manager)
        result[bucket] = dataclasses.replace(newer, fields=newer.fields | result[bucket].fields)
        surplus -= 1
    return result
