"""Services and their endpoints (apis/core/validation, apis/discovery/validation)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address

from minikubelet.v1 import endpoint_slice, endpoints
from minikubelet.v1.base import IntOrString
from minikubelet.v1.endpoint_slice import EndpointSlice
from minikubelet.v1.endpoints import Endpoints, EndpointSubset
from minikubelet.v1.service import (
    CLUSTER_IP,
    EXTERNAL_NAME,
    HEADLESS,
    LOAD_BALANCER,
    NODE_PORT,
    Service,
    ServicePort,
    ServiceSpec,
)
from minikubelet.v1.validation import names
from minikubelet.v1.validation.field import (
    IMMUTABLE,
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    one_of,
    required,
    too_many,
    unsupported,
)
from minikubelet.v1.validation.metadata import label_errors

TYPES = (CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)  # as they are listed in a message
PROTOCOLS = ("SCTP", "TCP", "UDP")
POLICIES = ("Cluster", "Local")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
MAX_STICKY = 86400  # seconds
KUBELET_PORT = 10250
MAX_ADDRESSES, MAX_ENDPOINTS, MAX_SLICE_PORTS = 100, 1000, 20000


def service_errors(service: Service) -> Errors:
    spec = service.spec or ServiceSpec()
    headless = spec.cluster_ip == HEADLESS
    if not spec.ports and not headless and spec.type != EXTERNAL_NAME:
        yield required("spec.ports")
    yield from _type_rules(spec, headless)
    seen: set[str] = set()
    for index, port in enumerate(spec.ports or ()):
        yield from _port(f"spec.ports[{index}]", port, seen, named=len(spec.ports or ()) > 1)
    yield from label_errors("spec.selector", spec.selector)
    yield from _affinity(spec)
    yield from _families(spec)
    yield from _cluster_ips(spec)
    for index, address in enumerate(spec.external_ips or ()):
        yield from _address(f"spec.externalIPs[{index}]", address)
    yield from one_of("spec.type", spec.type, TYPES)
    yield from _ports_together(spec)
    yield from _policies(spec)


def service_update_errors(new: Service, old: Service) -> Errors:
    """The address stays for as long as there is one."""
    spec, before = new.spec or ServiceSpec(), old.spec or ServiceSpec()
    if EXTERNAL_NAME in (spec.type, before.type) or not before.cluster_ips:
        return
    if not spec.cluster_ips:
        yield invalid("spec.clusterIPs", spec.cluster_ips, "primary clusterIP can not be unset")
    elif spec.cluster_ips[0] != before.cluster_ips[0]:
        yield invalid("spec.clusterIPs[0]", spec.cluster_ips, "may not change once set")


def endpoints_errors(found: Endpoints) -> Errors:
    for index, subset in enumerate(found.subsets or ()):
        yield from _subset(f"subsets[{index}]", subset)


def endpoint_slice_errors(found: EndpointSlice) -> Errors:
    yield from one_of("addressType", found.address_type, ("FQDN", "IPv4", "IPv6"))
    if len(found.endpoints or ()) > MAX_ENDPOINTS:
        yield too_many("endpoints", len(found.endpoints or ()), MAX_ENDPOINTS)
        return
    for index, endpoint in enumerate(found.endpoints or ()):
        path = f"endpoints[{index}]"
        if not endpoint.addresses:
            yield required(f"{path}.addresses", "must contain at least 1 address")
        elif len(endpoint.addresses) > MAX_ADDRESSES:
            yield too_many(f"{path}.addresses", len(endpoint.addresses), MAX_ADDRESSES)
        for place, address in enumerate(endpoint.addresses or ()):
            yield from _slice_address(f"{path}.addresses[{place}]", found.address_type or "", address)
        if endpoint.hostname is not None:
            yield from each_invalid(f"{path}.hostname", endpoint.hostname, names.dns_label(endpoint.hostname))
    yield from _endpoint_ports("ports", found.ports or ())


def endpoint_slice_update_errors(new: EndpointSlice, old: EndpointSlice) -> Errors:
    if new.address_type != old.address_type:
        yield invalid("addressType", new.address_type, IMMUTABLE)


def _type_rules(spec: ServiceSpec, headless: bool) -> Errors:
    if spec.type == LOAD_BALANCER:
        for index, port in enumerate(spec.ports or ()):
            if port.port == KUBELET_PORT:
                detail = f"may not expose port {KUBELET_PORT} externally since it is used by kubelet"
                yield invalid(f"spec.ports[{index}]", port.port, detail)
    if headless and spec.type in (LOAD_BALANCER, NODE_PORT):
        yield invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {spec.type} services")
    if spec.type == EXTERNAL_NAME:
        yield from _external_name(spec)


def _external_name(spec: ServiceSpec) -> Errors:
    # The name may be written with a dot at its end, as fully qualified ones are.
    name = (spec.external_name or "").removesuffix(".")
    if name:
        yield from each_invalid("spec.externalName", name, names.dns_subdomain(name))
    else:
        yield required("spec.externalName")


def _port(path: str, port: ServicePort, seen: set[str], *, named: bool) -> Errors:
    if not port.name:
        if named:
            yield required(f"{path}.name")
    else:
        yield from each_invalid(f"{path}.name", port.name, names.dns_label(port.name))
        if port.name in seen:
            yield duplicate(f"{path}.name", port.name)
        seen.add(port.name)
    yield from each_invalid(f"{path}.port", port.port or 0, names.port_number(port.port or 0))
    yield from one_of(f"{path}.protocol", port.protocol, PROTOCOLS)
    yield from _target_port(f"{path}.targetPort", port.target_port if port.target_port is not None else 0)
    if port.app_protocol is not None:
        yield from each_invalid(
            f"{path}.appProtocol", port.app_protocol, names.qualified_name(port.app_protocol)
        )


def _target_port(path: str, target: IntOrString) -> Errors:
    details = names.port_number(target) if isinstance(target, int) else names.port_name(target)
    yield from each_invalid(path, target, details)


def _affinity(spec: ServiceSpec) -> Errors:
    yield from one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"))
    config = spec.session_affinity_config
    if spec.session_affinity == "ClientIP":
        client = config.client_ip if config else None
        seconds = (client.timeout_seconds if client else None) or 0
        if not 0 < seconds <= MAX_STICKY:
            path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid(path, seconds, f"must be greater than 0 and less than {MAX_STICKY}")
    elif spec.session_affinity == "None" and config is not None:
        detail = "must not be set when session affinity is None"
        yield forbidden("spec.sessionAffinityConfig", detail)


def _families(spec: ServiceSpec) -> Errors:
    """This network has IPv4 and nothing else."""
    if spec.type == EXTERNAL_NAME:
        for name, value in (
            ("ipFamilies", spec.ip_families),
            ("ipFamilyPolicy", spec.ip_family_policy),
            ("clusterIPs", spec.cluster_ips),
        ):
            if value:
                yield forbidden(f"spec.{name}", "may not be set for ExternalName services")
        return
    for index, family in enumerate(spec.ip_families or ()):
        path = f"spec.ipFamilies[{index}]"
        if family not in FAMILIES:
            yield unsupported(path, family, FAMILIES)
        elif family in (spec.ip_families or [])[:index]:
            yield duplicate(path, family)
        elif family != "IPv4":
            yield invalid(path, family, "not configured on this cluster")
    policy = spec.ip_family_policy
    if policy not in FAMILY_POLICIES:
        yield unsupported("spec.ipFamilyPolicy", policy, FAMILY_POLICIES)
    elif policy == "RequireDualStack":
        yield invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")


def _cluster_ips(spec: ServiceSpec) -> Errors:
    if spec.type == EXTERNAL_NAME:
        return
    addresses = spec.cluster_ips or []
    if spec.cluster_ip != (addresses[0] if addresses else None) and (spec.cluster_ip or addresses):
        detail = (
            "first value must match `clusterIP`"
            if spec.cluster_ip
            else "must be empty when `clusterIP` is not specified"
        )
        yield invalid("spec.clusterIPs", addresses, detail)
    if len(addresses) > 1:
        detail = (
            "may only hold up to 2 values"
            if len(addresses) > 2
            else ("may only be set when `ipFamilyPolicy` is 'RequireDualStack' or 'PreferDualStack'")
        )
        yield invalid("spec.clusterIPs", addresses, detail)
    for index, address in enumerate(addresses):
        path = f"spec.clusterIPs[{index}]"
        if address == HEADLESS:
            if index or len(addresses) > 1:
                yield invalid(path, address, "may not be set to 'None' when there are other addresses")
        elif details := _not_an_address(address):
            yield from each_invalid(path, address, details)
        elif ip_address(address).version != 4:
            yield invalid(path, address, "expected an IPv4 value as indicated by `ipFamilies[0]`")


def _address(path: str, address: str) -> Errors:
    """Of another machine, as the rest of the network sees it."""
    details = _not_an_address(address)
    yield from each_invalid(path, address, details)
    if not details:
        yield from _special(path, address)


def _not_an_address(text: str) -> list[str]:
    """Without the leading zeros of old manifests of pods: who reads them as octal goes elsewhere."""
    try:
        ip_address(text)
    except ValueError:
        return [names.IP_TEXT]
    return names.ip_address(text)


def _special(path: str, text: str) -> Errors:
    address = ip_address(text)
    if address.is_unspecified:
        yield invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        yield invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        yield invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast and isinstance(address, IPv4Address) and address.packed[:3] == b"\xe0\0\0":
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        yield invalid(path, text, detail)


def _ports_together(spec: ServiceSpec) -> Errors:
    """No two of them mean the same."""
    nodes: set[tuple[str | None, int]] = set()
    own: set[tuple[str | None, int | None]] = set()
    for index, port in enumerate(spec.ports or ()):
        path = f"spec.ports[{index}]"
        if spec.type == CLUSTER_IP and port.node_port:
            yield forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
        if port.node_port and (port.protocol, port.node_port) in nodes:
            yield duplicate(f"{path}.nodePort", port.node_port)
        nodes.add((port.protocol, port.node_port or 0))
        if (port.protocol, port.port) in own:
            yield duplicate(path, ServicePort(port=port.port, protocol=port.protocol))
        own.add((port.protocol, port.port))


def _policies(spec: ServiceSpec) -> Errors:
    external, internal = spec.external_traffic_policy, spec.internal_traffic_policy
    outside = spec.type in (NODE_PORT, LOAD_BALANCER) or bool(spec.external_ips)
    if external is not None and not outside:
        detail = "may only be set for externally-accessible services"
        yield invalid("spec.externalTrafficPolicy", external, detail)
    elif external is not None and external not in POLICIES:
        yield unsupported("spec.externalTrafficPolicy", external, POLICIES)
    if spec.health_check_node_port and not (spec.type == LOAD_BALANCER and external == "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", spec.health_check_node_port, detail)
    if spec.type != EXTERNAL_NAME and internal not in POLICIES:
        yield unsupported("spec.internalTrafficPolicy", internal, POLICIES)
    if spec.allocate_load_balancer_node_ports is not None and spec.type != LOAD_BALANCER:
        detail = "may only be used when `type` is 'LoadBalancer'"
        yield forbidden("spec.allocateLoadBalancerNodePorts", detail)
    if spec.load_balancer_class is not None and spec.type != LOAD_BALANCER:
        yield forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
    if spec.traffic_distribution is not None and spec.traffic_distribution not in DISTRIBUTIONS:
        yield unsupported("spec.trafficDistribution", spec.traffic_distribution, DISTRIBUTIONS)


def _subset(path: str, subset: EndpointSubset) -> Errors:
    if not subset.addresses and not subset.not_ready_addresses:
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for field, addresses in (
        ("addresses", subset.addresses),
        ("notReadyAddresses", subset.not_ready_addresses),
    ):
        for index, address in enumerate(addresses or ()):
            place = f"{path}.{field}[{index}]"
            yield from _address(f"{place}.ip", address.ip or "")
            if address.hostname:
                yield from each_invalid(
                    f"{place}.hostname", address.hostname, names.dns_label(address.hostname)
                )
    yield from _endpoint_ports(f"{path}.ports", subset.ports or (), named=len(subset.ports or ()) > 1)


def _endpoint_ports(
    path: str,
    ports: Iterable[endpoints.EndpointPort | endpoint_slice.EndpointPort],
    *,
    named: bool = False,
) -> Errors:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place, name = f"{path}[{index}]", port.name or ""
        if name:
            yield from each_invalid(f"{place}.name", name, names.dns_label(name))
        elif named:
            yield required(f"{place}.name")
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        if port.port is not None:
            yield from each_invalid(f"{place}.port", port.port, names.port_number(port.port))
        if port.protocol is not None and port.protocol not in PROTOCOLS:
            yield unsupported(f"{place}.protocol", port.protocol, PROTOCOLS)


def _slice_address(path: str, kind: str, address: str) -> Errors:
    if kind == "FQDN":
        yield from each_invalid(path, address, names.dns_subdomain(address))
        return
    details = _not_an_address(address)
    if not details and ip_address(address).version != (6 if kind == "IPv6" else 4):
        details = [f"must be a valid {kind} address"]
    yield from each_invalid(path, address, details)
    if not details:
        yield from _special(path, address)
