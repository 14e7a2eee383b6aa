"""What the API server fills in for a Service (apis/core/v1/defaults.go, registry/core/service), and which of
the fields that depend on its type go or stay when that is changed.

The addresses and ports that nobody asked for by number are chosen where the other Services are known
(`api.service_addresses`).
"""

from __future__ import annotations

from typing import Any

from minikubelet.v1.endpoints import Endpoints
from minikubelet.v1.service import (
    CLUSTER_IP,
    EXTERNAL_NAME,
    LOAD_BALANCER,
    NODE_PORT,
    ClientIPConfig,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

STICKY_SECONDS = 10800
NODE_PORT_TYPES = (NODE_PORT, LOAD_BALANCER)


def service_defaults(service: Service) -> None:
    spec = service.spec = service.spec or ServiceSpec()
    spec.type = spec.type or CLUSTER_IP
    spec.session_affinity = spec.session_affinity or "None"
    if spec.session_affinity == "ClientIP":
        _sticky(spec)
    for port in spec.ports or ():
        _port(port)
    if spec.type in NODE_PORT_TYPES:
        spec.external_traffic_policy = spec.external_traffic_policy or "Cluster"
    if spec.type == LOAD_BALANCER and spec.allocate_load_balancer_node_ports is None:
        spec.allocate_load_balancer_node_ports = True
    if spec.type != EXTERNAL_NAME:
        spec.internal_traffic_policy = spec.internal_traffic_policy or "Cluster"
        spec.ip_families = spec.ip_families or ["IPv4"]
        spec.ip_family_policy = spec.ip_family_policy or "SingleStack"
    if spec.cluster_ip and not spec.cluster_ips:
        spec.cluster_ips = [spec.cluster_ip]
    service.status = service.status or ServiceStatus(load_balancer=LoadBalancerStatus())


def endpoints_defaults(endpoints: Endpoints) -> None:
    for subset in endpoints.subsets or ():
        for port in subset.ports or ():
            port.protocol = port.protocol or "TCP"


def carry_over(new: dict[str, Any], old: dict[str, Any]) -> None:
    """What a changed Service keeps of the old one though its file does not say it: its address and its ports
    of the node. And what it does not keep though it says it, because its type no longer has it.
    """
    spec, before = new.get("spec") or {}, old["spec"]
    was, now = before["type"], spec.get("type") or CLUSTER_IP
    _same_address(spec, before, restore=EXTERNAL_NAME not in (was, now))
    if was in NODE_PORT_TYPES and now in NODE_PORT_TYPES:
        _same_node_ports(spec, before)
    for field, types in DEPENDING.items():
        if now not in types and was in types and spec.get(field) == before.get(field):
            spec.pop(field, None)
    if now not in NODE_PORT_TYPES and was in NODE_PORT_TYPES and _node_ports(spec) == _node_ports(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)


# Fields that only Services of some types have.
DEPENDING = {
    **dict.fromkeys(
        ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"),
        (CLUSTER_IP, *NODE_PORT_TYPES),
    ),
    "externalTrafficPolicy": NODE_PORT_TYPES,
    "allocateLoadBalancerNodePorts": (LOAD_BALANCER,),
    "loadBalancerClass": (LOAD_BALANCER,),
    "healthCheckNodePort": (LOAD_BALANCER,),
    "externalName": (EXTERNAL_NAME,),
}


def _sticky(spec: ServiceSpec) -> None:
    config = spec.session_affinity_config = spec.session_affinity_config or SessionAffinityConfig()
    config.client_ip = config.client_ip or ClientIPConfig()
    if config.client_ip.timeout_seconds is None:
        config.client_ip.timeout_seconds = STICKY_SECONDS


def _port(port: ServicePort) -> None:
    port.protocol = port.protocol or "TCP"
    if not port.target_port and port.port:
        port.target_port = port.port


def _same_address(spec: dict[str, Any], before: dict[str, Any], *, restore: bool) -> None:
    """It stands in two fields, of which many clients know one: the list follows."""
    if restore:
        for field in ("clusterIP", "clusterIPs"):
            if not spec.get(field) and field in before:
                spec[field] = before[field]
    address, same_list = spec.get("clusterIP"), spec.get("clusterIPs") == before.get("clusterIPs")
    if same_list and not address:
        spec.pop("clusterIPs", None)
    elif same_list and address != before.get("clusterIP"):
        spec["clusterIPs"] = [address]


def _same_node_ports(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """A port is told by its name: all else of it may have been changed."""
    known = {port.get("name", ""): port.get("nodePort") for port in before.get("ports") or ()}
    kept = {*_node_ports(spec)} & {*_node_ports(before)}
    for port in spec.get("ports") or ():
        same = known.get(port.get("name", ""))
        if same and not port.get("nodePort") and same not in kept:
            port["nodePort"] = same


def _node_ports(spec: dict[str, Any]) -> list[Any]:
    return [port.get("nodePort") for port in spec.get("ports") or ()]
