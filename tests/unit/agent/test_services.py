"""What Services mean to pods and to the kernel: variables, names, and where their ports lead."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.cluster_names import ClusterNames
from minikubelet.agent.service_links import ServiceLinks, variables
from minikubelet.agent.service_ports import service_ports
from minikubelet.runtime.network.service_rules import ServicePort
from minikubelet.store import Store
from minikubelet.v1 import Pod, from_dict

SLICES = "endpointslices.discovery.k8s.io"
NETWORKS = (IPv4Network("10.244.0.0/24"), IPv4Network("10.96.0.0/16"))
HTTP = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
DNS = {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353}


def service(name: str, address: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    given = {"type": "ClusterIP", "clusterIP": address, "ports": list(ports) or [HTTP], **spec}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": given}


def endpoint(address: str, *, ready: bool = True, **fields: Any) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": ready}, **fields}


def slice_of(name: str, *endpoints: dict[str, Any], port: int = 8080) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-abc",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def names(store: Store) -> ClusterNames:
    return ClusterNames(store, "cluster.local", NETWORKS)


def records(names: ClusterNames, name: str) -> list[str] | None:
    found = names.records(name)
    return None if found is None else sorted(f"{record.kind} {record.value}" for record in found)


def test_the_variables_of_a_service_9_4() -> None:
    assert variables([service("my-web", "10.96.0.9", HTTP, DNS)]) == {
        "MY_WEB_SERVICE_HOST": "10.96.0.9",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_SERVICE_PORT_DNS": "53",
        "MY_WEB_PORT": "tcp://10.96.0.9:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.96.0.9:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.96.0.9",
        "MY_WEB_PORT_53_UDP": "udp://10.96.0.9:53",
        "MY_WEB_PORT_53_UDP_PROTO": "udp",
        "MY_WEB_PORT_53_UDP_PORT": "53",
        "MY_WEB_PORT_53_UDP_ADDR": "10.96.0.9",
    }


def test_a_service_without_an_address_has_no_variables() -> None:
    alias = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"type": "ExternalName"}}

    assert variables([service("web", "None"), alias]) == {}


def test_whose_variables_a_pod_gets_9_4(store: Store) -> None:
    kubernetes = service("kubernetes", "10.96.0.1")
    kubernetes["metadata"]["namespace"] = "default"
    elsewhere = service("db", "10.96.0.8")
    elsewhere["metadata"]["namespace"] = "other"
    for made in (kubernetes, elsewhere, service("web", "10.96.0.9")):
        store.create("services", made)

    def hosts(**spec: Any) -> list[str]:
        pod = from_dict(Pod, {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
        found = ServiceLinks(store).variables(pod)
        return sorted(name for name in found if name.endswith("_SERVICE_HOST"))

    assert hosts() == ["KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"]
    assert hosts(enableServiceLinks=False) == ["KUBERNETES_SERVICE_HOST"]


def test_a_name_leads_to_the_address_and_its_named_ports(store: Store, names: ClusterNames) -> None:
    store.create("services", service("web", "10.96.0.9", HTTP, DNS))
    srv = "SRV 0 100 80 web.shop.svc.cluster.local."

    assert records(names, "web.shop.svc") == [
        "A 10.96.0.9",
        "SRV 0 50 53 web.shop.svc.cluster.local.",
        "SRV 0 50 80 web.shop.svc.cluster.local.",
    ]
    assert records(names, "_http._tcp.web.shop.svc") == [srv]
    assert records(names, "_http._udp.web.shop.svc") is None
    assert records(names, "x.web.shop.svc") is None
    assert records(names, "web.other.svc") is None
    assert names.name_of("10.96.0.9") == "web.shop.svc.cluster.local"
    store.delete("services", "shop", "web")
    assert records(names, "web.shop.svc") is None


def test_a_headless_name_leads_to_the_pods_that_are_ready(store: Store, names: ClusterNames) -> None:
    store.create("services", service("web", "None"))
    assert records(names, "web.shop.svc") == []
    found = slice_of(
        "web",
        endpoint("10.244.0.5", hostname="first"),
        endpoint("10.244.0.6"),
        endpoint("10.244.0.7", ready=False, hostname="late"),
    )
    store.create(SLICES, found)

    assert [text for text in records(names, "web.shop.svc") or () if text.startswith("A ")] == [
        "A 10.244.0.5",
        "A 10.244.0.6",
    ]
    assert records(names, "first.web.shop.svc") == ["A 10.244.0.5"]
    assert records(names, "10-244-0-6.web.shop.svc") == ["A 10.244.0.6"]
    assert records(names, "late.web.shop.svc") is None
    assert records(names, "_http._tcp.web.shop.svc") == [
        "SRV 0 50 8080 10-244-0-6.web.shop.svc.cluster.local.",
        "SRV 0 50 8080 first.web.shop.svc.cluster.local.",
    ]


def test_an_external_name_is_an_alias(store: Store, names: ClusterNames) -> None:
    spec = {"type": "ExternalName", "externalName": "example.com"}
    store.create("services", {"metadata": {"name": "far", "namespace": "shop"}, "spec": spec})

    assert records(names, "far.shop.svc") == ["CNAME example.com."]
    assert records(names, "x.far.shop.svc") is None


def test_what_has_no_place_in_dns_is_left_out(store: Store, names: ClusterNames) -> None:
    spec = {"type": "ExternalName", "externalName": f"{'x' * 64}.com"}
    store.create("services", {"metadata": {"name": "long", "namespace": "shop"}, "spec": spec})
    store.create("services", service("six", "None"))
    store.create(SLICES, {**slice_of("six", endpoint("fd00::1")), "addressType": "IPv6"})

    assert records(names, "long.shop.svc") == []
    assert records(names, "six.shop.svc") == []


def test_a_service_comes_before_pods_of_its_name(store: Store, names: ClusterNames) -> None:
    pod = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"subdomain": "web", "hostname": "first", "containers": []},
        "status": {"podIP": "10.244.0.5"},
    }
    store.create("pods", pod)
    assert records(names, "web.shop.svc") == ["A 10.244.0.5"]
    store.create("services", service("web", "10.96.0.9"))

    assert "A 10.96.0.9" in (records(names, "web.shop.svc") or ())
    assert records(names, "first.web.shop.svc") is None


def test_where_the_ports_of_a_service_lead() -> None:
    web = service("web", "10.96.0.9", {**HTTP, "nodePort": 30080}, DNS)
    sticky = service(
        "sticky",
        "10.96.0.10",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
    )
    slices = [
        slice_of("web", endpoint("10.244.0.6"), endpoint("10.244.0.5"), endpoint("10.244.0.7", ready=False)),
        slice_of("web", endpoint("10.244.0.8"), port=9090),
        slice_of("sticky", endpoint("10.244.0.5")),
    ]

    assert service_ports([web, sticky, service("none", "None")], slices) == [
        ServicePort(
            "shop",
            "web",
            "TCP",
            "10.96.0.9",
            80,
            30080,
            (("10.244.0.5", 8080), ("10.244.0.6", 8080), ("10.244.0.8", 9090)),
        ),
        ServicePort("shop", "web", "UDP", "10.96.0.9", 53),
        ServicePort("shop", "sticky", "TCP", "10.96.0.10", 80, 0, (("10.244.0.5", 8080),), 60),
    ]


def test_who_ends_but_still_answers_is_better_than_nobody() -> None:
    ending = {"ready": False, "serving": True, "terminating": True}
    last = slice_of("web", endpoint("10.244.0.5", conditions=ending), endpoint("10.244.0.6", ready=False))

    (port,) = service_ports([service("web", "10.96.0.9")], [last])
    assert port.backends == (("10.244.0.5", 8080),)
    other = slice_of("web", endpoint("10.244.0.7"))
    (port,) = service_ports([service("web", "10.96.0.9")], [last, other])
    assert port.backends == (("10.244.0.7", 8080),)
