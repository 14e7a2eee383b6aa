"""PersistentVolumeClaim: a request for storage, bound to a volume by somebody else."""

from __future__ import annotations

from minikubelet.v1.base import Object, ResourceList, Time
from minikubelet.v1.meta import LabelSelector, Resource, TypedLocalObjectReference, TypedObjectReference


class VolumeResourceRequirements(Object, kw_only=True):
    """How much storage is asked for."""

    limits: ResourceList | None = None
    requests: ResourceList | None = None


class PersistentVolumeClaimSpec(Object, kw_only=True):
    """What storage is asked for."""

    access_modes: list[str] | None = None
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements | None = None
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str | None = None


class PersistentVolumeClaimCondition(Object, kw_only=True):
    """One statement about a claim."""

    type: str | None = None
    status: str | None = None
    last_probe_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class ModifyVolumeStatus(Object, kw_only=True):
    """Progress of a change of the volume's attributes."""

    status: str | None = None
    target_volume_attributes_class_name: str | None = None


class PersistentVolumeClaimStatus(Object, kw_only=True):
    """What a claim got."""

    access_modes: list[str] | None = None
    allocated_resource_statuses: dict[str, str] | None = None
    allocated_resources: ResourceList | None = None
    capacity: ResourceList | None = None
    conditions: list[PersistentVolumeClaimCondition] | None = None
    current_volume_attributes_class_name: str | None = None
    modify_volume_status: ModifyVolumeStatus | None = None
    phase: str | None = None


class PersistentVolumeClaim(Resource, kw_only=True):
    """A request for storage."""

    spec: PersistentVolumeClaimSpec | None = None
    status: PersistentVolumeClaimStatus | None = None
