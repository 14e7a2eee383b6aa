"""Services in the API: addresses and ports of the node, as they are given out, kept and refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from minikubelet.controllers.kubernetes_service import publish
from tests.unit.api.conftest import Answer, Api

SERVICES = "/api/v1/namespaces/default/services"
MERGE = "application/merge-patch+json"


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def causes(answer: Answer) -> list[str]:
    assert answer.code == 422, answer.json
    return [f"{cause['field']}: {cause['message']}" for cause in answer.json["details"]["causes"]]


def table(api: Api, path: str) -> list[list[Any]]:
    answer = api.request("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    return [row["cells"] for row in answer.json["rows"]]


def test_an_address_is_chosen_from_the_upper_part_of_the_range_and_stays(api: Api) -> None:
    made = api.post(SERVICES, service("web")).json["spec"]
    address = IPv4Address(made["clusterIP"])
    again = {**service("web"), "metadata": {"name": "web", "labels": {"a": "b"}}}
    replaced = api.request("PUT", f"{SERVICES}/web", again).json["spec"]

    assert address in IPv4Network("10.96.0.0/16")
    assert address >= IPv4Address("10.96.1.0")
    assert made["clusterIPs"] == [str(address)]
    assert replaced["clusterIP"] == str(address)


def test_an_address_that_cannot_be_had_is_refused_with_the_reason(api: Api) -> None:
    assert api.post(SERVICES, service("web", clusterIP="10.96.0.7")).code == 201

    assert causes(api.post(SERVICES, service("same", clusterIP="10.96.0.7"))) == [
        'spec.clusterIPs: Invalid value: ["10.96.0.7"]: failed to allocate IP 10.96.0.7: provided IP is '
        "already allocated"
    ]
    assert causes(api.post(SERVICES, service("far", clusterIP="10.1.1.1"))) == [
        'spec.clusterIPs: Invalid value: ["10.1.1.1"]: failed to allocate IP 10.1.1.1: the provided IP '
        "(10.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
    ]
    assert api.request("DELETE", f"{SERVICES}/web").code == 200
    assert api.post(SERVICES, service("same", clusterIP="10.96.0.7")).code == 201


def test_a_port_of_the_node_is_chosen_or_refused_and_given_back(api: Api) -> None:
    made = api.post(SERVICES, service("web", type="NodePort")).json["spec"]
    port = made["ports"][0]["nodePort"]

    def asked(number: int) -> dict[str, Any]:
        return service("other", type="NodePort", ports=[{"port": 80, "nodePort": number}])

    assert 30000 <= port <= 32767
    assert causes(api.post(SERVICES, asked(port))) == [
        f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
    ]
    assert causes(api.post(SERVICES, asked(80))) == [
        "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of "
        "valid ports is 30000-32767"
    ]
    inside = api.request("PATCH", f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}, MERGE).json["spec"]
    assert "nodePort" not in inside["ports"][0]
    assert inside["clusterIP"] == made["clusterIP"]
    assert api.post(SERVICES, asked(port)).code == 201


def test_a_dry_run_gives_out_nothing(api: Api) -> None:
    assert api.post(SERVICES, service("web", clusterIP="10.96.0.7"), dryRun="All").code == 201
    assert api.post(SERVICES, service("other", clusterIP="10.96.0.7")).code == 201


def test_services_are_printed_as_stock_kubectl_shows_them(api: Api) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]
    api.post(SERVICES, service("a", clusterIP="10.96.0.7", ports=ports, selector={"x": "y", "app": "web"}))
    api.post(SERVICES, service("b", clusterIP="None"))
    api.post(
        SERVICES,
        service("c", type="LoadBalancer", clusterIP="10.96.0.8", ports=[{"port": 80, "nodePort": 30080}]),
    )
    alias = {"metadata": {"name": "d"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    api.post(SERVICES, alias)

    assert [[*row[:5], row[6]] for row in table(api, SERVICES)] == [
        ["a", "ClusterIP", "10.96.0.7", "<none>", "80/TCP,53/UDP", "app=web,x=y"],
        ["b", "ClusterIP", "None", "<none>", "80/TCP", "<none>"],
        ["c", "LoadBalancer", "10.96.0.8", "<pending>", "80:30080/TCP", "<none>"],
        ["d", "ExternalName", "<none>", "example.com", "<none>", "<none>"],
    ]


def test_what_is_not_honoured_comes_with_a_warning(api: Api) -> None:
    answer = api.post(SERVICES, service("web", externalIPs=["10.9.9.9"]))

    assert answer.warnings == [
        '299 - "spec.externalIPs: this node does not take traffic for addresses of others"'
    ]


@pytest.mark.parametrize("size", [30, 29])
def test_a_range_ends(size: int) -> None:
    from minikubelet.api.service_addresses import ServiceAddresses
    from minikubelet.errors import InternalError

    class Stored:
        def __init__(self) -> None:
            self.services: list[dict[str, Any]] = []

        def list(self, resource: str) -> tuple[list[dict[str, Any]], int]:
            return self.services, 1

    addresses, stored = ServiceAddresses(IPv4Network(f"10.96.0.0/{size}")), Stored()
    given = set()
    for number in range(2 ** (32 - size) - 2):
        made = {"metadata": {"name": f"s{number}", "namespace": "a"}, "spec": {"type": "ClusterIP"}}
        addresses.complete(made, stored)  # type: ignore[arg-type]
        stored.services.append(made)
        given.add(made["spec"]["clusterIP"])
    assert len(given) == 2 ** (32 - size) - 2
    with pytest.raises(InternalError, match="range is full"):
        addresses.complete({"metadata": {"name": "x"}, "spec": {"type": "ClusterIP"}}, stored)  # type: ignore[arg-type]


def test_the_api_has_a_service_while_it_listens_for_pods(api: Api) -> None:
    def published(door: tuple[str, int] | None) -> None:
        api.inside(lambda: publish(api.server.objects, door))

    assert table(api, SERVICES) == []
    published(("10.244.0.1", 6443))
    published(("10.244.0.1", 7443))  # the next agent

    assert [row[:5] for row in table(api, SERVICES)] == [
        ["kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP"]
    ]
    assert table(api, "/api/v1/namespaces/default/endpoints")[0][:2] == ["kubernetes", "10.244.0.1:7443"]
    slices = table(api, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")
    assert [row[:4] for row in slices] == [["kubernetes", "IPv4", "7443", "10.244.0.1"]]
    published(None)
    assert table(api, SERVICES) == []
    assert table(api, "/api/v1/namespaces/default/endpoints") == []
