"""Small objects that surround pods: Namespace, ServiceAccount, Lease."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, MicroTime, Object, Time
from minikubelet.v1.meta import LocalObjectReference, ObjectReference, Resource


class NamespaceSpec(Object, kw_only=True):
    """What must be done before a namespace is gone."""

    finalizers: list[str] | None = None


class NamespaceCondition(Object, kw_only=True):
    """One statement about a namespace that is being removed."""

    type: str | None = None
    status: str | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class NamespaceStatus(Object, kw_only=True):
    """Active or Terminating."""

    conditions: list[NamespaceCondition] | None = None
    phase: str | None = None


class Namespace(Resource, kw_only=True):
    """A scope for names."""

    spec: NamespaceSpec | None = None
    status: NamespaceStatus | None = None


class ServiceAccount(Resource, kw_only=True):
    """An identity for the processes in a pod."""

    secrets: list[ObjectReference] | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    automount_service_account_token: bool | None = None


class LeaseSpec(Object, kw_only=True):
    """Who holds a lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: Int32 | None = None
    acquire_time: MicroTime | None = None
    renew_time: MicroTime | None = None
    lease_transitions: Int32 | None = None
    strategy: str | None = None
    preferred_holder: str | None = None


class Lease(Resource, kw_only=True):
    """A lock with an expiry; nodes renew one as their heartbeat."""

    API_VERSION: ClassVar[str] = "coordination.k8s.io/v1"

    spec: LeaseSpec | None = None
