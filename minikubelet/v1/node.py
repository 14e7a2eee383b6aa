"""The Node: the machine as the API shows it.

Written by the agent: addresses, capacity and allocatable resources, conditions, versions, images.
"""

from __future__ import annotations

import msgspec

from minikubelet.v1.base import Int32, Int64, Object, ResourceList, Time
from minikubelet.v1.meta import Resource


class Taint(Object, kw_only=True):
    """Repels pods that do not tolerate it."""

    key: str | None = None
    value: str | None = None
    effect: str | None = None
    time_added: Time | None = None


class ConfigMapNodeConfigSource(Object, kw_only=True):
    """A ConfigMap with the kubelet's configuration (removed feature, still in the API)."""

    name: str | None = None
    kubelet_config_key: str | None = None
    namespace: str | None = None
    resource_version: str | None = None
    uid: str | None = None


class NodeConfigSource(Object, kw_only=True):
    """Where the kubelet's configuration comes from (removed feature, still in the API)."""

    config_map: ConfigMapNodeConfigSource | None = None


class NodeConfigStatus(Object, kw_only=True):
    """State of the kubelet's dynamic configuration (removed feature, still in the API)."""

    active: NodeConfigSource | None = None
    assigned: NodeConfigSource | None = None
    error: str | None = None
    last_known_good: NodeConfigSource | None = None


class NodeSpec(Object, kw_only=True):
    """What is wanted of a node."""

    pod_cidr: str | None = None
    pod_cidrs: list[str] | None = None
    provider_id: str | None = None
    unschedulable: bool | None = None
    taints: list[Taint] | None = None
    config_source: NodeConfigSource | None = None
    external_id: str | None = None


class NodeAddress(Object, kw_only=True):
    """An address of the node: InternalIP, ExternalIP, Hostname …"""

    type: str | None = None
    address: str | None = None


class NodeCondition(Object, kw_only=True):
    """One statement about the node: Ready, MemoryPressure, DiskPressure, PIDPressure."""

    type: str | None = None
    status: str | None = None
    last_heartbeat_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class DaemonEndpoint(Object, kw_only=True):
    """The port of a daemon of the node."""

    port: Int32 | None = msgspec.field(default=None, name="Port")


class NodeDaemonEndpoints(Object, kw_only=True):
    """Ports of the daemons of the node."""

    kubelet_endpoint: DaemonEndpoint | None = None


class NodeFeatures(Object, kw_only=True):
    """What the node's runtime can do."""

    supplemental_groups_policy: bool | None = None


class ContainerImage(Object, kw_only=True):
    """An image on the node."""

    names: list[str] | None = None
    size_bytes: Int64 | None = None


class NodeSwapStatus(Object, kw_only=True):
    """How much swap the node has."""

    capacity: Int64 | None = None


class NodeSystemInfo(Object, kw_only=True):
    """Identity and versions of the node."""

    machine_id: str | None = None
    system_uuid: str | None = None
    boot_id: str | None = None
    kernel_version: str | None = None
    os_image: str | None = None
    container_runtime_version: str | None = None
    kubelet_version: str | None = None
    kube_proxy_version: str | None = None
    operating_system: str | None = None
    architecture: str | None = None
    swap: NodeSwapStatus | None = None


class NodeRuntimeHandlerFeatures(Object, kw_only=True):
    """What one runtime handler can do."""

    recursive_read_only_mounts: bool | None = None
    user_namespaces: bool | None = None


class NodeRuntimeHandler(Object, kw_only=True):
    """A runtime handler of the node."""

    name: str | None = None
    features: NodeRuntimeHandlerFeatures | None = None


class AttachedVolume(Object, kw_only=True):
    """A volume attached to the node."""

    name: str | None = None
    device_path: str | None = None


class NodeStatus(Object, kw_only=True):
    """What is known of a node: addresses, capacity, conditions, images."""

    capacity: ResourceList | None = None
    allocatable: ResourceList | None = None
    phase: str | None = None
    conditions: list[NodeCondition] | None = None
    addresses: list[NodeAddress] | None = None
    daemon_endpoints: NodeDaemonEndpoints | None = None
    node_info: NodeSystemInfo | None = None
    images: list[ContainerImage] | None = None
    volumes_in_use: list[str] | None = None
    volumes_attached: list[AttachedVolume] | None = None
    config: NodeConfigStatus | None = None
    runtime_handlers: list[NodeRuntimeHandler] | None = None
    features: NodeFeatures | None = None
    declared_features: list[str] | None = None


class Node(Resource, kw_only=True):
    """A machine that runs pods."""

    spec: NodeSpec | None = None
    status: NodeStatus | None = None
