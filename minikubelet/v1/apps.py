"""apps/v1: the kinds that keep a number of equal pods running."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, Int64, IntOrString, Object, Time
from minikubelet.v1.meta import LabelSelector, Resource
from minikubelet.v1.pod import PodTemplateSpec


class ReplicaSetSpec(Object, kw_only=True):
    """How many pods there should be, which they are, and what new ones look like."""

    replicas: Int32 | None = None
    min_ready_seconds: Int32 | None = None
    selector: LabelSelector | None = None
    template: PodTemplateSpec | None = None


class ReplicaSetCondition(Object, kw_only=True):
    """One statement about a ReplicaSet."""

    type: str | None = None
    status: str | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class ReplicaSetStatus(Object, kw_only=True):
    """How many pods there are."""

    replicas: Int32 | None = None
    fully_labeled_replicas: Int32 | None = None
    ready_replicas: Int32 | None = None
    available_replicas: Int32 | None = None
    terminating_replicas: Int32 | None = None
    observed_generation: Int64 | None = None
    conditions: list[ReplicaSetCondition] | None = None


class ReplicaSet(Resource, kw_only=True):
    """Keeps a number of pods of one template running."""

    API_VERSION: ClassVar[str] = "apps/v1"

    spec: ReplicaSetSpec | None = None
    status: ReplicaSetStatus | None = None


class RollingUpdateDeployment(Object, kw_only=True):
    """How far a rolling update may stray from the wanted number of pods."""

    max_unavailable: IntOrString | None = None
    max_surge: IntOrString | None = None


class DeploymentStrategy(Object, kw_only=True):
    """How new pods take the place of old ones."""

    type: str | None = None
    rolling_update: RollingUpdateDeployment | None = None


class DeploymentSpec(Object, kw_only=True):
    """The pods wanted, and the way to them."""

    replicas: Int32 | None = None
    selector: LabelSelector | None = None
    template: PodTemplateSpec | None = None
    strategy: DeploymentStrategy | None = None
    min_ready_seconds: Int32 | None = None
    revision_history_limit: Int32 | None = None
    paused: bool | None = None
    progress_deadline_seconds: Int32 | None = None


class DeploymentCondition(Object, kw_only=True):
    """One statement about a Deployment."""

    type: str | None = None
    status: str | None = None
    last_update_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class DeploymentStatus(Object, kw_only=True):
    """How far the rollout is."""

    observed_generation: Int64 | None = None
    replicas: Int32 | None = None
    updated_replicas: Int32 | None = None
    ready_replicas: Int32 | None = None
    available_replicas: Int32 | None = None
    unavailable_replicas: Int32 | None = None
    terminating_replicas: Int32 | None = None
    conditions: list[DeploymentCondition] | None = None
    collision_count: Int32 | None = None


class Deployment(Resource, kw_only=True):
    """Pods of a template that may change: a ReplicaSet for each state of it, and the roads between them."""

    API_VERSION: ClassVar[str] = "apps/v1"

    spec: DeploymentSpec | None = None
    status: DeploymentStatus | None = None
