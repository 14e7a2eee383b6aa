"""What a Service asks for in vain on a node without a cloud and without a second node: told as warnings."""

from __future__ import annotations

from minikubelet.v1.service import LOAD_BALANCER, Service, ServiceSpec


def service_warnings(service: Service) -> list[str]:
    """One sentence for each field that has no effect here."""
    spec = service.spec or ServiceSpec()
    found = []
    if spec.external_ips:
        found.append("spec.externalIPs: this node does not take traffic for addresses of others")
    if spec.load_balancer_ip or (spec.type == LOAD_BALANCER and spec.load_balancer_class):
        found.append("spec.loadBalancerIP, spec.loadBalancerClass: there is no load balancer to ask")
    if spec.load_balancer_source_ranges:
        found.append(
            "spec.loadBalancerSourceRanges: there is no load balancer; the node port is open for everybody"
        )
    if spec.health_check_node_port:
        found.append("spec.healthCheckNodePort: nobody answers there, there is no load balancer to ask")
    return found
