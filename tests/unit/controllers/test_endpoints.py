"""Endpoints follow pods: the real API and its controllers, pods whose status is written by hand."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.controllers.endpoints.backends import backends_of
from minikubelet.controllers.endpoints.grouping import LARGEST, endpoints_of, groups_of
from tests.unit.api.conftest import PODS, Api, pod

NAMESPACE = "/api/v1/namespaces/default"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE = "application/merge-patch+json"


@pytest.fixture
def api() -> Iterator[Api]:
    root = Path(tempfile.mkdtemp(prefix="mk-"))
    running = Api(root, None)
    yield running
    running.close()
    shutil.rmtree(root)


def until(found: Callable[[], Any], expected: Any) -> None:
    deadline = time.monotonic() + 10
    while (seen := found()) != expected:
        assert time.monotonic() < deadline, f"{seen!r}, not {expected!r}"
        time.sleep(0.01)


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    given = {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "web"}, **spec}
    return {"metadata": {"name": name, "labels": {"team": "a"}}, "spec": given}


def web_pod(api: Api, name: str, address: str, *, ready: bool, port: int = 8080, **spec: Any) -> None:
    made = pod(name, labels={"app": "web"})
    made["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": port}]
    made["spec"] |= spec
    assert api.post(PODS, made).code == 201
    api.bind(name)
    set_ready(api, name, ready=ready, podIP=address, phase="Running")


def set_ready(api: Api, name: str, *, ready: bool, **status: Any) -> None:
    api.set_status(name, conditions=[{"type": "Ready", "status": str(ready)}], **status)


def slices(api: Api, service: str = "web") -> list[dict[str, Any]]:
    selector = f"kubernetes.io/service-name={service}"
    items: list[dict[str, Any]] = api.get(SLICES, labelSelector=selector).json["items"]
    return items


def endpoints(api: Api, service: str = "web") -> dict[str, dict[str, bool]]:
    return {
        endpoint["addresses"][0]: endpoint["conditions"]
        for found in slices(api, service)
        for endpoint in found["endpoints"] or ()
    }


def ready(api: Api, service: str = "web") -> list[str]:
    return sorted(address for address, conditions in endpoints(api, service).items() if conditions["ready"])


def subsets(api: Api, name: str = "web") -> Any:
    return api.get(f"{NAMESPACE}/endpoints/{name}").json.get("subsets")


def test_a_pod_is_an_endpoint_while_it_matches_and_ready_while_it_is_ready(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    until(lambda: [found.get("ports") for found in slices(api)], [None])  # an empty one from the start
    web_pod(api, "one", "10.244.0.5", ready=True)
    web_pod(api, "two", "10.244.0.6", ready=False)

    until(lambda: (ready(api), sorted(endpoints(api))), (["10.244.0.5"], ["10.244.0.5", "10.244.0.6"]))
    set_ready(api, "two", ready=True)
    until(lambda: ready(api), ["10.244.0.5", "10.244.0.6"])
    set_ready(api, "one", ready=False)
    until(lambda: ready(api), ["10.244.0.6"])
    assert endpoints(api)["10.244.0.5"] == {"ready": False, "serving": False, "terminating": False}
    api.request("PATCH", f"{PODS}/two", {"metadata": {"labels": {"app": "other"}}}, MERGE)
    until(lambda: sorted(endpoints(api)), ["10.244.0.5"])


def test_a_slice_says_whose_it_is_and_what_is_behind_each_endpoint(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    web_pod(api, "one", "10.244.0.5", ready=True, subdomain="web", hostname="first")
    until(lambda: ready(api), ["10.244.0.5"])

    (found,) = slices(api)
    owner = found["metadata"]["ownerReferences"][0]
    endpoint = found["endpoints"][0]
    assert found["metadata"]["name"].startswith("web-")
    assert found["metadata"]["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Service", "web", True)
    assert found["ports"] == [{"name": "", "protocol": "TCP", "port": 8080}]
    assert endpoint["hostname"] == "first"
    assert endpoint["nodeName"] == "node"
    assert endpoint["targetRef"]["name"] == "one"


def test_the_older_form_says_the_same(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    web_pod(api, "one", "10.244.0.5", ready=True)
    web_pod(api, "two", "10.244.0.6", ready=False)
    until(lambda: len(endpoints(api)), 2)

    until(
        lambda: [
            (
                [address["ip"] for address in subset["addresses"]],
                [address["ip"] for address in subset["notReadyAddresses"]],
                subset["ports"],
            )
            for subset in subsets(api) or ()
        ],
        [(["10.244.0.5"], ["10.244.0.6"], [{"port": 8080, "protocol": "TCP"}])],
    )


def test_a_port_by_name_is_what_each_pod_means_by_it(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    web_pod(api, "one", "10.244.0.5", ready=True)
    web_pod(api, "two", "10.244.0.6", ready=True, port=9090)

    until(
        lambda: sorted(
            (found["endpoints"][0]["addresses"][0], found["ports"][0]["port"]) for found in slices(api)
            if found.get("ports") and found["endpoints"]
        ),
        [("10.244.0.5", 8080), ("10.244.0.6", 9090)],
    )  # fmt: skip


def test_what_is_not_ready_counts_when_the_service_says_so(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service(publishNotReadyAddresses=True))
    web_pod(api, "one", "10.244.0.5", ready=False)

    until(lambda: endpoints(api), {"10.244.0.5": {"ready": True, "serving": False, "terminating": False}})


def test_a_pod_that_ends_serves_on_until_it_is_gone(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    web_pod(api, "one", "10.244.0.5", ready=True)
    until(lambda: ready(api), ["10.244.0.5"])

    assert api.request("DELETE", f"{PODS}/one").code == 200
    until(lambda: endpoints(api), {"10.244.0.5": {"ready": False, "serving": True, "terminating": True}})
    until(lambda: subsets(api), None)
    api.set_status("one", phase="Failed")
    until(lambda: endpoints(api), {})


def test_what_somebody_deletes_is_made_again_and_all_goes_with_the_service(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service())
    web_pod(api, "one", "10.244.0.5", ready=True)
    until(lambda: ready(api), ["10.244.0.5"])
    name = slices(api)[0]["metadata"]["name"]

    api.request("DELETE", f"{SLICES}/{name}")
    until(lambda: ready(api), ["10.244.0.5"])
    assert slices(api)[0]["metadata"]["name"] != name
    api.request("DELETE", f"{NAMESPACE}/services/web")
    until(lambda: slices(api), [])
    until(lambda: api.get(f"{NAMESPACE}/endpoints/web").code, 404)


def test_endpoints_written_by_hand_are_mirrored(api: Api) -> None:
    api.post(f"{NAMESPACE}/services", service(selector=None))
    body = {
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 5432}]}],
    }
    assert api.post(f"{NAMESPACE}/endpoints", body).code == 201

    until(lambda: ready(api), ["192.0.2.7"])
    (found,) = slices(api)
    labels = found["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
    assert found["ports"] == [{"name": "", "protocol": "TCP", "port": 5432}]


def test_a_status_that_makes_no_sense_harms_nobody_else() -> None:
    behind = {"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    metadata = {"name": "p", "namespace": "default", "uid": "u", "labels": {"a": "b"}}
    pods = [
        {"metadata": metadata, "spec": {"containers": []}, "status": {"podIP": address}}
        for address in ("nonsense", "010.0.0.1", "", "fd00::1", "10.244.0.5")
    ]

    assert [backend.address for backend in backends_of(behind, pods)] == ["10.244.0.5"]


def test_a_slice_has_a_hundred_endpoints_at_most() -> None:
    behind = {"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    pods = [
        {
            "metadata": {"name": f"p{number}", "namespace": "default", "uid": "u", "labels": {"a": "b"}},
            "spec": {"containers": []},
            "status": {"podIP": f"10.244.0.{number}", "phase": "Running"},
        }
        for number in range(2, 112)
    ]
    groups = groups_of(behind, backends_of(behind, pods))

    assert [len(group.endpoints) for group in groups] == [LARGEST, 10]
    assert len(endpoints_of(groups)[0]["notReadyAddresses"]) == 110
