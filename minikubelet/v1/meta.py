"""ObjectMeta, which every stored object has, and the small shapes objects refer to each other with."""

from __future__ import annotations

from typing import Any, ClassVar

from minikubelet.v1.base import Int64, Object, Time


class OwnerReference(Object, kw_only=True):
    """The object this one belongs to; when the owner goes, this goes."""

    name: str | None = None
    api_version: str | None = None
    block_owner_deletion: bool | None = None
    controller: bool | None = None
    kind: str | None = None
    uid: str | None = None


class ManagedFieldsEntry(Object, kw_only=True):
    """Which manager set which fields, for server-side apply."""

    api_version: str | None = None
    fields_type: str | None = None
    fields_v1: dict[str, Any] | None = None
    manager: str | None = None
    operation: str | None = None
    subresource: str | None = None
    time: Time | None = None


class ObjectMeta(Object, kw_only=True):
    """What every stored object has: name, namespace, uid, labels, annotations and the server's own stamps."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: Int64 | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: Int64 | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None
    managed_fields: list[ManagedFieldsEntry] | None = None
    self_link: str | None = None


class LabelSelectorRequirement(Object, kw_only=True):
    """One expression over labels: In, NotIn, Exists or DoesNotExist."""

    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class LabelSelector(Object, kw_only=True):
    """A query over labels; all parts must hold, an empty selector matches everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[LabelSelectorRequirement] | None = None


class LocalObjectReference(Object, kw_only=True):
    """The name of an object in the same namespace."""

    name: str | None = None


class ObjectReference(Object, kw_only=True):
    """A pointer to any object, or to one field of it."""

    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    api_version: str | None = None
    resource_version: str | None = None
    field_path: str | None = None


class TypedLocalObjectReference(Object, kw_only=True):
    """The kind and name of an object in the same namespace."""

    name: str | None = None
    api_group: str | None = None
    kind: str | None = None


class TypedObjectReference(Object, kw_only=True):
    """The kind, name and namespace of an object."""

    name: str | None = None
    api_group: str | None = None
    kind: str | None = None
    namespace: str | None = None


class Condition(Object, kw_only=True):
    """One statement about an object."""

    type: str | None = None
    status: str | None = None
    observed_generation: Int64 | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class Resource(Object, kw_only=True):
    """An object with a life of its own: it has a kind, a name and a place in the store."""

    API_VERSION: ClassVar[str] = "v1"

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta | None = None
