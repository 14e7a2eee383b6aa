"""Limits of a namespace: ResourceQuota and LimitRange.

Clients ask for them (`describe namespace`), so that their lists are there. They are always empty: what would
not be kept cannot be made.
"""

from __future__ import annotations

from minikubelet.v1.base import Object, ResourceList
from minikubelet.v1.meta import Resource


class ScopedResourceSelectorRequirement(Object, kw_only=True):
    """One expression over scopes."""

    operator: str | None = None
    scope_name: str | None = None
    values: list[str] | None = None


class ScopeSelector(Object, kw_only=True):
    """Which objects a quota counts, by their scopes."""

    match_expressions: list[ScopedResourceSelectorRequirement] | None = None


class ResourceQuotaSpec(Object, kw_only=True):
    """How much a namespace may have."""

    hard: ResourceList | None = None
    scopes: list[str] | None = None
    scope_selector: ScopeSelector | None = None


class ResourceQuotaStatus(Object, kw_only=True):
    """How much of it is used."""

    hard: ResourceList | None = None
    used: ResourceList | None = None


class ResourceQuota(Resource, kw_only=True):
    """The most a namespace may have of each resource."""

    spec: ResourceQuotaSpec | None = None
    status: ResourceQuotaStatus | None = None


class LimitRangeItem(Object, kw_only=True):
    """Bounds and defaults for one type of object."""

    default: ResourceList | None = None
    default_request: ResourceList | None = None
    max: ResourceList | None = None
    max_limit_request_ratio: ResourceList | None = None
    min: ResourceList | None = None
    type: str | None = None


class LimitRangeSpec(Object, kw_only=True):
    """Bounds and defaults by type of object."""

    limits: list[LimitRangeItem] | None = None


class LimitRange(Resource, kw_only=True):
    """Bounds and defaults for what objects of a namespace ask for."""

    spec: LimitRangeSpec | None = None
