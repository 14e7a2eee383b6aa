"""Services and what is behind them, as kube-apiserver prints them (printers/internalversion)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import AGE, NAME, NONE, Column, Columns, Object, age
from minikubelet.v1.service import EXTERNAL_NAME, LOAD_BALANCER

SHOWN = 3  # endpoints of one object; the rest is a number
PENDING, UNSET = "<pending>", "<unset>"


def service_cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec["type"],
        (spec.get("clusterIPs") or [NONE])[0],
        _external(obj),
        ",".join(map(_port, spec.get("ports") or ())) or NONE,
        age(obj, now),
        ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items())) or NONE,
    ]


def _external(obj: Object) -> str:
    spec = obj["spec"]
    if spec["type"] == EXTERNAL_NAME:
        return str(spec.get("externalName", ""))
    outside = list(spec.get("externalIPs") or ())
    if spec["type"] == LOAD_BALANCER:
        given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        outside = [place.get("ip") or place.get("hostname") or "" for place in given] + outside
    return ",".join(outside) or (PENDING if spec["type"] == LOAD_BALANCER else NONE)


def _port(port: Object) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node}/{port['protocol']}"


def endpoints_cells(obj: Object, now: datetime) -> list[Any]:
    subsets = obj.get("subsets") or ()
    found = [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in subsets
        for port in subset.get("ports") or (None,)
        for address in subset.get("addresses") or ()
    ]
    return [obj["metadata"]["name"], _shortened(found) if subsets else NONE, age(obj, now)]


def endpoint_slice_cells(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or ()]
    found = [
        address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()
    ]
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        _shortened(ports) or UNSET,
        _shortened(found) or UNSET,
        age(obj, now),
    ]


def _shortened(items: Sequence[str]) -> str:
    more = f" + {len(items) - SHOWN} more..." if len(items) > SHOWN else ""
    return ",".join(items[:SHOWN]) + more


SERVICES = Columns(
    (
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        Column("Selector", priority=1),
    ),
    service_cells,
)
ENDPOINTS = Columns((NAME, Column("Endpoints"), AGE), endpoints_cells)
ENDPOINT_SLICES = Columns(
    (NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), endpoint_slice_cells
)
