"""kubelet-behaviour 7.1, NodePorts: which ports of the node a pod asks for, and whom they shut out."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.agent.host_ports import port_conflict
from minikubelet.v1 import Pod, from_dict
from minikubelet.v1.host_ports import HostPort, host_ports


def pod(*ports: dict[str, Any], **spec: Any) -> Pod:
    return from_dict(Pod, {"spec": {"containers": [{"name": "c", "ports": list(ports)}], **spec}})


def port(number: int, protocol: str = "TCP", address: str = "") -> dict[str, Any]:
    return {"containerPort": 80, "hostPort": number, "protocol": protocol, "hostIP": address}


@pytest.mark.parametrize(
    ("wanted", "taken", "conflict"),
    [
        pytest.param(port(8080), port(8080), True, id="the same port of every address"),
        pytest.param(port(8080), port(8081), False, id="another port"),
        pytest.param(port(8080), port(8080, "UDP"), False, id="another protocol"),
        pytest.param(port(8080), port(8080, address="10.0.0.1"), True, id="every address has this one"),
        pytest.param(port(8080, address="10.0.0.1"), port(8080, address="0.0.0.0"), True, id="and reversed"),
        pytest.param(
            port(8080, address="10.0.0.1"), port(8080, address="10.0.0.2"), False, id="two addresses"
        ),
        pytest.param(port(0), port(0), False, id="no port of the node at all"),
    ],
)
def test_port_conflict(wanted: dict[str, Any], taken: dict[str, Any], conflict: bool) -> None:
    found = port_conflict(pod(wanted), [pod(), pod(taken)])
    assert (found is not None) == conflict


def test_sidecars_count_and_ordinary_init_containers_do_not() -> None:
    init = [
        {"name": "first", "ports": [port(1)]},
        {"name": "sidecar", "restartPolicy": "Always", "ports": [port(2, "UDP", "127.0.0.1")]},
    ]
    assert host_ports(pod(port(3), initContainers=init)) == (
        HostPort("TCP", "0.0.0.0", 3, 80),
        HostPort("UDP", "127.0.0.1", 2, 80),
    )


def test_the_first_port_in_the_manifest_s_order_is_told() -> None:
    wanted = pod(port(1), port(2), port(3))
    assert port_conflict(wanted, [pod(port(3)), pod(port(2))]) == HostPort("TCP", "0.0.0.0", 2, 80)
