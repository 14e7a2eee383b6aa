"""The Pod: what is wanted (PodSpec) and what is (PodStatus, in `status`).

Read this first. A pod is the smallest thing Kubernetes runs: a group of containers that share network, IPC
and UTS namespaces and volumes, are placed on one node together, and live and die together.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Int64, Object, ResourceList
from minikubelet.v1.container import Container, EphemeralContainer, ResourceRequirements
from minikubelet.v1.meta import LocalObjectReference, ObjectMeta, Resource
from minikubelet.v1.scheduling import Affinity, Toleration, TopologySpreadConstraint
from minikubelet.v1.security import PodSecurityContext
from minikubelet.v1.status import PodStatus
from minikubelet.v1.volume import Volume


class HostAlias(Object, kw_only=True):
    """An extra line of the pod's /etc/hosts."""

    hostnames: list[str] | None = None
    ip: str | None = None


class PodDNSConfigOption(Object, kw_only=True):
    """One option of the pod's /etc/resolv.conf."""

    name: str | None = None
    value: str | None = None


class PodDNSConfig(Object, kw_only=True):
    """What is added to the /etc/resolv.conf that dnsPolicy makes."""

    nameservers: list[str] | None = None
    options: list[PodDNSConfigOption] | None = None
    searches: list[str] | None = None


class PodOS(Object, kw_only=True):
    """The operating system the pod is for; the kubelet checks it."""

    name: str | None = None


class PodReadinessGate(Object, kw_only=True):
    """A condition that must be True, beside the containers', for the pod to be Ready."""

    condition_type: str | None = None


class PodResourceClaim(Object, kw_only=True):
    """A resource claim, by name or template, that containers of the pod may use."""

    name: str | None = None
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSchedulingGate(Object, kw_only=True):
    """While one is present the scheduler leaves the pod alone."""

    name: str | None = None


class PodSchedulingGroup(Object, kw_only=True):
    """The group of pods this pod is scheduled with."""

    pod_group_name: str | None = None


class PodSpec(Object, kw_only=True):
    """What is wanted of a pod."""

    volumes: list[Volume] | None = None
    init_containers: list[Container] | None = None
    containers: list[Container] | None = None
    ephemeral_containers: list[EphemeralContainer] | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: Int64 | None = None
    active_deadline_seconds: Int64 | None = None
    dns_policy: str | None = None
    node_selector: dict[str, str] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    node_name: str | None = None
    host_network: bool | None = None
    host_pid: bool | None = None
    host_ipc: bool | None = None
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    hostname: str | None = None
    subdomain: str | None = None
    affinity: Affinity | None = None
    scheduler_name: str | None = None
    tolerations: list[Toleration] | None = None
    host_aliases: list[HostAlias] | None = None
    priority_class_name: str | None = None
    priority: Int32 | None = None
    dns_config: PodDNSConfig | None = None
    readiness_gates: list[PodReadinessGate] | None = None
    runtime_class_name: str | None = None
    enable_service_links: bool | None = None
    preemption_policy: str | None = None
    overhead: ResourceList | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    set_hostname_as_fqdn: bool | None = None
    os: PodOS | None = None
    host_users: bool | None = None
    scheduling_gates: list[PodSchedulingGate] | None = None
    resource_claims: list[PodResourceClaim] | None = None
    resources: ResourceRequirements | None = None
    hostname_override: str | None = None
    scheduling_group: PodSchedulingGroup | None = None


class PodTemplateSpec(Object, kw_only=True):
    """What pods made from a template look like."""

    metadata: ObjectMeta | None = None
    spec: PodSpec | None = None


class PodTemplate(Resource, kw_only=True):
    """A stored template of pods."""

    template: PodTemplateSpec | None = None


class Pod(Resource, kw_only=True):
    """Containers that run together on one node and share network, IPC, host name and volumes."""

    spec: PodSpec | None = None
    status: PodStatus | None = None
