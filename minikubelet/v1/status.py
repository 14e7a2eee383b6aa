"""What the kubelet reports about a pod and its containers.

The spec is what somebody wants; the status is what the node sees. Only the pod worker writes it.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Int64, Object, ResourceList, Time
from minikubelet.v1.container import ResourceRequirements


class ContainerStateWaiting(Object, kw_only=True):
    """Not running yet: `reason` says why (ContainerCreating, CrashLoopBackOff, ErrImagePull …)."""

    reason: str | None = None
    message: str | None = None


class ContainerStateRunning(Object, kw_only=True):
    """Running since `started_at`."""

    started_at: Time | None = None


class ContainerStateTerminated(Object, kw_only=True):
    """Ran and ended: exit code or signal, reason, times, termination message."""

    exit_code: Int32 | None = None
    signal: Int32 | None = None
    reason: str | None = None
    message: str | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    container_id: str | None = None


class ContainerState(Object, kw_only=True):
    """One of waiting, running, terminated; none set means waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ImageVolumeStatus(Object, kw_only=True):
    """Which image a volume came from."""

    image_ref: str | None = None


class VolumeStatus(Object, kw_only=True):
    """State of one mounted volume."""

    image: ImageVolumeStatus | None = None


class VolumeMountStatus(Object, kw_only=True):
    """A mount as it came out."""

    name: str | None = None
    mount_path: str | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    volume_status: VolumeStatus | None = None


class LinuxContainerUser(Object, kw_only=True):
    """The ids the container's first process really got."""

    gid: Int64 | None = None
    supplemental_groups: list[Int64] | None = None
    uid: Int64 | None = None


class ContainerUser(Object, kw_only=True):
    """Who the container's first process runs as."""

    linux: LinuxContainerUser | None = None


class ResourceHealth(Object, kw_only=True):
    """Health of one device."""

    health: str | None = None
    message: str | None = None
    resource_id: str | None = None


class ResourceStatus(Object, kw_only=True):
    """Health of the devices behind one resource."""

    name: str | None = None
    resources: list[ResourceHealth] | None = None


class ContainerStatus(Object, kw_only=True):
    """What is known of one container: its state, the state before, and how often it restarted."""

    name: str | None = None
    state: ContainerState | None = None
    last_state: ContainerState | None = None
    ready: bool | None = None
    restart_count: Int32 | None = None
    image: str | None = None
    image_id: str | None = None
    container_id: str | None = None
    started: bool | None = None
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None
    volume_mounts: list[VolumeMountStatus] | None = None
    user: ContainerUser | None = None
    allocated_resources_status: list[ResourceStatus] | None = None
    stop_signal: str | None = None


class HostIP(Object, kw_only=True):
    """An address of the node."""

    ip: str | None = None


class PodIP(Object, kw_only=True):
    """An address of the pod."""

    ip: str | None = None


class PodCondition(Object, kw_only=True):
    """One yes-or-no statement about the pod, with the time it last changed."""

    type: str | None = None
    observed_generation: Int64 | None = None
    status: str | None = None
    last_probe_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class PodResourceClaimStatus(Object, kw_only=True):
    """Which claim a claim of the pod turned into."""

    name: str | None = None
    resource_claim_name: str | None = None


class ContainerExtendedResourceRequest(Object, kw_only=True):
    """Which request of a claim serves a container's extended resource."""

    container_name: str | None = None
    request_name: str | None = None
    resource_name: str | None = None


class PodExtendedResourceClaimStatus(Object, kw_only=True):
    """The claim made for the pod's extended resources."""

    request_mappings: list[ContainerExtendedResourceRequest] | None = None
    resource_claim_name: str | None = None


class NodeAllocatableResourceClaimStatus(Object, kw_only=True):
    """A claim that counts against the node's allocatable resources."""

    containers: list[str] | None = None
    resource_claim_name: str | None = None
    resources: ResourceList | None = None


class PodStatus(Object, kw_only=True):
    """What is known of a pod; written by the kubelet."""

    observed_generation: Int64 | None = None
    phase: str | None = None
    conditions: list[PodCondition] | None = None
    message: str | None = None
    reason: str | None = None
    nominated_node_name: str | None = None
    host_ip: str | None = None
    host_ips: list[HostIP] | None = None
    pod_ip: str | None = None
    pod_ips: list[PodIP] | None = None
    start_time: Time | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None
    qos_class: str | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None
    resize: str | None = None
    resource_claim_statuses: list[PodResourceClaimStatus] | None = None
    extended_resource_claim_status: PodExtendedResourceClaimStatus | None = None
    node_allocatable_resource_claim_statuses: list[NodeAllocatableResourceClaimStatus] | None = None
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None
