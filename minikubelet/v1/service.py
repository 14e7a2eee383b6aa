"""Service: one name and one address for all pods of a selector."""

from __future__ import annotations

from minikubelet.v1.base import Int32, IntOrString, Object
from minikubelet.v1.meta import Condition, Resource

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
HEADLESS = "None"  # as clusterIP: the name leads to the pods themselves


class ServicePort(Object, kw_only=True):
    """One port of a Service, and where it leads to in the pods."""

    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None
    port: Int32 | None = None
    target_port: IntOrString | None = None
    node_port: Int32 | None = None


class ClientIPConfig(Object, kw_only=True):
    """How long a client stays with its pod."""

    timeout_seconds: Int32 | None = None


class SessionAffinityConfig(Object, kw_only=True):
    """Settings of the affinity there is."""

    client_ip: ClientIPConfig | None = None


class ServiceSpec(Object, kw_only=True):
    """Which pods, by which address and ports."""

    ports: list[ServicePort] | None = None
    selector: dict[str, str] | None = None
    cluster_ip: str | None = None
    cluster_ips: list[str] | None = None
    type: str | None = None
    external_ips: list[str] | None = None
    session_affinity: str | None = None
    load_balancer_ip: str | None = None
    load_balancer_source_ranges: list[str] | None = None
    external_name: str | None = None
    external_traffic_policy: str | None = None
    health_check_node_port: Int32 | None = None
    publish_not_ready_addresses: bool | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    ip_families: list[str] | None = None
    ip_family_policy: str | None = None
    allocate_load_balancer_node_ports: bool | None = None
    load_balancer_class: str | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None


class PortStatus(Object, kw_only=True):
    """Whether a load balancer serves a port."""

    port: Int32 | None = None
    protocol: str | None = None
    error: str | None = None


class LoadBalancerIngress(Object, kw_only=True):
    """Where a load balancer listens."""

    ip: str | None = None
    hostname: str | None = None
    ip_mode: str | None = None
    ports: list[PortStatus] | None = None


class LoadBalancerStatus(Object, kw_only=True):
    """What a load balancer gave."""

    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(Object, kw_only=True):
    """What is known of a Service."""

    load_balancer: LoadBalancerStatus | None = None
    conditions: list[Condition] | None = None


class Service(Resource, kw_only=True):
    """One name and one address for all pods of a selector."""

    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None
