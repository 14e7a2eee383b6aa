"""`describe` of Services, Endpoints and EndpointSlices, in kubectl's layout."""

from __future__ import annotations

from typing import Any

from minikubelet.cli.client import Client
from minikubelet.cli.describe.writer import Writer, events_of
from minikubelet.cli.printers import format_labels
from minikubelet.cli.resources import ENDPOINT_SLICES

Object = dict[str, Any]

NONE, UNSET = "<none>", "<unset>"
MOST = 3  # endpoints of a port in the description of a Service


def describe_network(client: Client, item: Object, *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    writer.header(item)
    if item["kind"] == "Service":
        _service(writer, client, item)
    elif item["kind"] == "Endpoints":
        _endpoints(writer, item)
    else:
        _slice(writer, item)
    writer.events(events_of(client, item) if show_events else None)
    return writer.text()


def _service(writer: Writer, client: Client, item: Object) -> None:
    spec = item["spec"]
    writer.line(0, f"Selector:\t{format_labels(spec.get('selector'))}")
    writer.line(0, f"Type:\t{spec.get('type', '')}")
    if spec.get("ipFamilyPolicy"):
        writer.line(0, f"IP Family Policy:\t{spec['ipFamilyPolicy']}")
    writer.line(0, f"IP Families:\t{','.join(spec.get('ipFamilies') or ()) or NONE}")
    writer.line(0, f"IP:\t{spec.get('clusterIP', '')}")
    writer.line(0, f"IPs:\t{','.join(spec.get('clusterIPs') or ()) or NONE}")
    if spec.get("externalIPs"):
        writer.line(0, f"External IPs:\t{','.join(spec['externalIPs'])}")
    if spec.get("externalName"):
        writer.line(0, f"External Name:\t{spec['externalName']}")
    slices = _slices(client, item) if spec.get("ports") else []
    for port in spec.get("ports") or ():
        name, protocol = port.get("name") or UNSET, port.get("protocol", "TCP")
        writer.line(0, f"Port:\t{name}\t{port['port']}/{protocol}")
        writer.line(0, f"TargetPort:\t{port.get('targetPort', '')}/{protocol}")
        if port.get("nodePort"):
            writer.line(0, f"NodePort:\t{name}\t{port['nodePort']}/{protocol}")
        writer.line(0, f"Endpoints:\t{_ready(slices, port.get('name') or '')}")
    writer.line(0, f"Session Affinity:\t{spec.get('sessionAffinity', '')}")
    for title, field in (
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("HealthCheck NodePort", "healthCheckNodePort"),
    ):
        if spec.get(field):
            writer.line(0, f"{title}:\t{spec[field]}")


def _slices(client: Client, service: Object) -> list[Object]:
    metadata = service["metadata"]
    query = {"labelSelector": f"kubernetes.io/service-name={metadata['name']}"}
    return list(client.get(ENDPOINT_SLICES.path(metadata["namespace"]), query)["items"])


def _ready(slices: list[Object], name: str) -> str:
    """The first addresses that take traffic on a port, and how many more there are."""
    found = [
        _joined(endpoint["addresses"][0], port.get("port"))
        for one in slices
        for port in one.get("ports") or ()
        if (port.get("name") or "") == name
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    more = f" + {len(found) - MOST} more..." if len(found) > MOST else ""
    return ",".join(found[:MOST]) + more or NONE


def _joined(address: str, port: Any) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoints(writer: Writer, item: Object) -> None:
    writer.line(0, "Subsets:")
    for subset in item.get("subsets") or ():
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            listed = ",".join(address["ip"] for address in subset.get(field) or ())
            writer.line(1, f"{title}:\t{listed or NONE}")
        if subset.get("ports"):
            writer.line(1, "Ports:")
            _ports(writer, 2, subset["ports"])
        writer.line(0, "")


def _slice(writer: Writer, item: Object) -> None:
    writer.line(0, f"AddressType:\t{item.get('addressType', '')}")
    if item.get("ports"):
        writer.line(0, "Ports:")
        _ports(writer, 1, item["ports"])
    else:
        writer.line(0, f"Ports: {UNSET}")
    writer.line(0, "Endpoints:" if item.get("endpoints") else f"Endpoints: {NONE}")
    for endpoint in item.get("endpoints") or ():
        ready = (endpoint.get("conditions") or {}).get("ready")
        writer.line(1, f"- Addresses:\t{','.join(endpoint.get('addresses') or ()) or NONE}")
        writer.line(2, "Conditions:")
        writer.line(3, f"Ready:\t{UNSET if ready is None else str(ready).lower()}")
        writer.line(2, f"Hostname:\t{endpoint.get('hostname') or UNSET}")
        if target := endpoint.get("targetRef"):
            writer.line(2, f"TargetRef:\t{target.get('kind')}/{target.get('name')}")
        writer.line(2, f"NodeName:\t{endpoint.get('nodeName') or UNSET}")
        writer.line(2, f"Zone:\t{endpoint.get('zone') or UNSET}")


def _ports(writer: Writer, level: int, ports: list[Object]) -> None:
    writer.line(level, "Name\tPort\tProtocol")
    writer.line(level, "----\t----\t--------")
    for port in ports:
        number = UNSET if port.get("port") is None else port["port"]
        writer.line(level, f"{port.get('name') or UNSET}\t{number}\t{port.get('protocol', 'TCP')}")
