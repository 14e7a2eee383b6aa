"""Services and their endpoints: what is filled in, what is wrong, in the API server's words."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.v1 import to_dict
from minikubelet.v1.decode import decode
from minikubelet.v1.defaults import set_defaults
from minikubelet.v1.endpoint_slice import EndpointSlice
from minikubelet.v1.endpoints import Endpoints
from minikubelet.v1.meta import Resource
from minikubelet.v1.service import Service
from minikubelet.v1.service_cautions import service_warnings
from minikubelet.v1.service_defaults import carry_over
from minikubelet.v1.validation import validate, validate_update

HTTP = {"port": 80}


def made(kind: type[Resource], name: str = "web", **fields: Any) -> Any:
    found, _ = decode({"metadata": {"name": name, "namespace": "default"}, **fields}, kind)
    set_defaults(found)
    return found


def errors(name: str = "web", **spec: Any) -> list[str]:
    return [str(error) for error in validate(made(Service, name, spec=spec))]


def test_a_service_gets_its_defaults() -> None:
    spec = to_dict(made(Service, spec={"ports": [HTTP], "selector": {"app": "web"}}))["spec"]

    assert spec == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"app": "web"},
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }


def test_what_the_types_get_besides() -> None:
    node_port = to_dict(made(Service, spec={"type": "NodePort", "ports": [HTTP]}))["spec"]
    balancer = to_dict(made(Service, spec={"type": "LoadBalancer", "ports": [HTTP]}))["spec"]
    external = to_dict(made(Service, spec={"type": "ExternalName", "externalName": "a.b"}))["spec"]
    sticky = to_dict(made(Service, spec={"ports": [HTTP], "sessionAffinity": "ClientIP"}))["spec"]

    assert node_port["externalTrafficPolicy"] == balancer["externalTrafficPolicy"] == "Cluster"
    assert balancer["allocateLoadBalancerNodePorts"] is True
    assert external == {"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}
    assert sticky["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"ports": [HTTP]}, [], id="good"),
        pytest.param({}, ["spec.ports: Required value"], id="no ports"),
        pytest.param({"clusterIP": "None"}, [], id="headless needs none"),
        pytest.param(
            {"ports": [{"port": 0}]},
            [
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
            id="port 0",
        ),
        pytest.param(
            {"ports": [{"port": 80, "protocol": "ICMP"}]},
            ['spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'],
            id="protocol",
        ),
        pytest.param(
            {"ports": [HTTP, {"port": 81, "name": "b"}]},
            ["spec.ports[0].name: Required value"],
            id="several ports have names",
        ),
        pytest.param(
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "a"}]},
            [
                'spec.ports[1].name: Duplicate value: "a"',
                'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}',
            ],
            id="twice the same",
        ),
        pytest.param(
            {"ports": [{"port": 80, "nodePort": 30080}]},
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
            id="node port of a ClusterIP",
        ),
        pytest.param(
            {"type": "Nonsense", "ports": [HTTP]},
            [
                'spec.type: Unsupported value: "Nonsense": supported values: "ClusterIP", "ExternalName", '
                '"LoadBalancer", "NodePort"'
            ],
            id="type",
        ),
        pytest.param(
            {"type": "NodePort", "clusterIP": "None", "ports": [HTTP]},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
            id="headless node port",
        ),
        pytest.param({"type": "ExternalName"}, ["spec.externalName: Required value"], id="alias of nothing"),
        pytest.param(
            {"type": "ExternalName", "externalName": "a.b.", "clusterIP": "10.96.0.9"},
            ["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
            id="alias with an address",
        ),
        pytest.param(
            {"ports": [HTTP], "clusterIP": "nonsense"},
            [
                'spec.clusterIPs[0]: Invalid value: "nonsense": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
            id="address",
        ),
        pytest.param(
            {"ports": [HTTP], "clusterIP": "010.96.0.5"},
            [
                'spec.clusterIPs[0]: Invalid value: "010.96.0.5": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
            id="octal?",
        ),
        pytest.param(
            {"ports": [HTTP], "clusterIP": "fd00::1"},
            [
                'spec.clusterIPs[0]: Invalid value: "fd00::1": expected an IPv4 value as indicated by '
                "`ipFamilies[0]`"
            ],
            id="the other family",
        ),
        pytest.param(
            {"ports": [HTTP], "ipFamilies": ["IPv6"]},
            ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
            id="IPv6",
        ),
        pytest.param(
            {"ports": [HTTP], "ipFamilyPolicy": "RequireDualStack"},
            [
                'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for '
                "dual-stack services"
            ],
            id="dual stack",
        ),
        pytest.param(
            {"ports": [HTTP], "externalTrafficPolicy": "Local"},
            [
                'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for '
                "externally-accessible services"
            ],
            id="traffic from outside of a ClusterIP",
        ),
        pytest.param(
            {
                "ports": [HTTP],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}},
            },
            [
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater "
                "than 0 and less than 86400"
            ],
            id="too sticky",
        ),
        pytest.param(
            {"ports": [HTTP], "externalIPs": ["127.0.0.1"]},
            [
                'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range '
                "(127.0.0.0/8, ::1/128)"
            ],
            id="external loopback",
        ),
    ],
)
def test_a_mistake_in_a_service_is_told_in_the_api_servers_words(
    spec: dict[str, Any], expected: list[str]
) -> None:
    assert errors(**spec) == expected


def test_a_name_begins_with_a_letter() -> None:
    (error,) = errors("9web", ports=[HTTP])

    assert error.startswith('metadata.name: Invalid value: "9web": a DNS-1035 label must consist of')


def test_the_address_cannot_be_changed() -> None:
    old = made(Service, spec={"ports": [HTTP], "clusterIP": "10.96.0.5"})
    new = made(Service, spec={"ports": [HTTP], "clusterIP": "10.96.0.6"})

    assert [str(error) for error in validate_update(new, old)] == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set'
    ]


def test_a_change_keeps_address_and_node_port_and_drops_what_the_new_type_has_not() -> None:
    before = {
        "type": "NodePort",
        "clusterIP": "10.96.0.5",
        "clusterIPs": ["10.96.0.5"],
        "ipFamilies": ["IPv4"],
        "externalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
    }
    same = {"spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    carry_over(same, {"spec": before})
    inside = {"spec": {**before, "type": "ClusterIP", "ports": [dict(before["ports"][0])]}}  # type: ignore[index]
    carry_over(inside, {"spec": before})
    alias = {"spec": {**before, "type": "ExternalName", "externalName": "a.b"}}
    carry_over(alias, {"spec": before})

    assert same["spec"]["clusterIP"] == "10.96.0.5"
    assert same["spec"]["ports"] == [{"port": 80, "nodePort": 30080}]
    assert "nodePort" not in inside["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in inside["spec"]
    assert inside["spec"]["clusterIP"] == "10.96.0.5"
    assert "clusterIP" not in alias["spec"]
    assert "ipFamilies" not in alias["spec"]


@pytest.mark.parametrize(
    "given",
    [{}, {"clusterIP": ""}, {"clusterIPs": ["10.96.0.5"]}, {"clusterIP": "10.96.0.5", "clusterIPs": []}],
)
def test_an_address_that_is_not_said_is_the_one_it_has(given: dict[str, Any]) -> None:
    """A patch of an empty one leaves the list as it was; both are whole again."""
    spec = {"type": "ClusterIP", **given}
    carry_over({"spec": spec}, {"spec": {"type": "ClusterIP", **ADDRESS}})
    assert {field: spec[field] for field in ADDRESS} == ADDRESS


ADDRESS = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}


def test_an_alias_has_no_address_though_only_one_of_two_fields_was_emptied() -> None:
    spec = {"type": "ExternalName", "externalName": "a.b", "clusterIPs": ["10.96.0.5"]}
    carry_over({"spec": spec}, {"spec": {"type": "ClusterIP", **ADDRESS}})
    assert spec == {"type": "ExternalName", "externalName": "a.b"}


def test_a_node_port_is_kept_by_the_name_of_its_port() -> None:
    before = [{"port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]
    after = [{"port": 8080, "protocol": "UDP"}, {"name": "b", "port": 82}, {"name": "c", "port": 81}]
    spec = {"type": "NodePort", **ADDRESS, "ports": after}
    carry_over({"spec": spec}, {"spec": {"type": "NodePort", **ADDRESS, "ports": before}})
    assert [port.get("nodePort") for port in after] == [30080, 30081, None]

    taken = [{"port": 80}, {"name": "c", "port": 81, "nodePort": 30080}]
    spec = {"type": "NodePort", **ADDRESS, "ports": taken}
    carry_over({"spec": spec}, {"spec": {"type": "NodePort", **ADDRESS, "ports": before}})
    assert [port.get("nodePort") for port in taken] == [None, 30080]


def test_what_has_no_effect_without_a_cloud_is_said() -> None:
    spec = {
        "type": "LoadBalancer",
        "ports": [HTTP],
        "loadBalancerIP": "10.0.0.1",
        "externalIPs": ["10.1.1.1"],
    }

    assert service_warnings(made(Service, spec={"ports": [HTTP]})) == []
    assert [text.partition(":")[0] for text in service_warnings(made(Service, spec=spec))] == [
        "spec.externalIPs",
        "spec.loadBalancerIP, spec.loadBalancerClass",
    ]


def test_endpoints_are_addresses_of_others() -> None:
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 0}]}, {}]

    assert [str(error) for error in validate(made(Endpoints, subsets=subsets))] == [
        'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range '
        "(127.0.0.0/8, ::1/128)",
        "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
    ]


def test_a_slice_has_addresses_of_its_type_which_stays() -> None:
    good = made(EndpointSlice, addressType="IPv4", endpoints=[{"addresses": ["10.1.2.3"]}])
    bad = made(EndpointSlice, addressType="IPv4", endpoints=[{"addresses": ["fd00::1"]}, {"addresses": []}])
    other = made(EndpointSlice, addressType="FQDN", endpoints=[])

    assert validate(good) == []
    assert [str(error) for error in validate(bad)] == [
        'endpoints[0].addresses[0]: Invalid value: "fd00::1": must be a valid IPv4 address',
        "endpoints[1].addresses: Required value: must contain at least 1 address",
    ]
    assert [str(error) for error in validate_update(other, good)] == [
        'addressType: Invalid value: "FQDN": field is immutable'
    ]
