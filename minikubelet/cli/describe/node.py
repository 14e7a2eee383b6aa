"""`describe node` (kubelet-behaviour 13.1)."""

from __future__ import annotations

from typing import Any

from minikubelet.cli import ages
from minikubelet.cli.client import Client
from minikubelet.cli.describe.writer import Writer, events_of, stamp
from minikubelet.cli.errors import StatusError
from minikubelet.cli.resources import PODS
from minikubelet.v1 import Pod, from_dict
from minikubelet.v1.qos import effective_requests, pod_limits
from minikubelet.v1.quantity import parse as quantity

SYSTEM_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)
ROLE = "node-role.kubernetes.io/"
Sums = dict[str, dict[str, float]]


def describe_node(client: Client, node: dict[str, Any], *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    _identity(writer, node)
    _lease(writer, client, node)
    _status(writer, node)
    spec = node.get("spec") or {}
    if spec.get("podCIDR"):
        writer.line(0, f"PodCIDR:\t{spec['podCIDR']}")
    if spec.get("podCIDRs"):
        writer.line(0, f"PodCIDRs:\t{','.join(spec['podCIDRs'])}")
    if spec.get("providerID"):
        writer.line(0, f"ProviderID:\t{spec['providerID']}")
    _pods(writer, client, node)
    writer.events(events_of(client, node) if show_events else None)
    return writer.text()


def _identity(writer: Writer, node: dict[str, Any]) -> None:
    metadata, spec = node["metadata"], node.get("spec") or {}
    labels = metadata.get("labels") or {}
    roles = sorted(key[len(ROLE) :] for key in labels if key.startswith(ROLE) and len(key) > len(ROLE))
    writer.line(0, f"Name:\t{metadata['name']}")
    writer.line(0, f"Roles:\t{','.join(roles) or '<none>'}")
    writer.labels("Labels", labels)
    writer.annotations(metadata.get("annotations"))
    writer.line(0, f"CreationTimestamp:\t{stamp(metadata.get('creationTimestamp'))}")
    writer.many("Taints", [_taint(taint) for taint in spec.get("taints") or ()])
    writer.line(0, f"Unschedulable:\t{str(bool(spec.get('unschedulable'))).lower()}")


def _taint(taint: dict[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _lease(writer: Writer, client: Client, node: dict[str, Any]) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node['metadata']['name']}"
    try:
        spec = client.get(path).get("spec") or {}
    except StatusError as error:
        writer.line(0, f"Lease:\tFailed to get lease: {error}")
        return
    writer.line(0, "Lease:")
    writer.line(1, f"HolderIdentity:\t{spec.get('holderIdentity') or '<unset>'}")
    for title, field in (("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")):
        writer.line(1, f"{title}:\t{stamp(spec.get(field)) or '<unset>'}")


def _status(writer: Writer, node: dict[str, Any]) -> None:
    status = node.get("status") or {}
    if status.get("conditions"):
        writer.line(0, "Conditions:")
        writer.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage")
        writer.line(1, "----\t------\t-----------------\t------------------\t------\t-------")
        for condition in status["conditions"]:
            times = [stamp(condition.get(key)) for key in ("lastHeartbeatTime", "lastTransitionTime")]
            cells = [condition["type"], condition["status"], *times, condition.get("reason", "")]
            writer.line(1, " \t".join([*cells, condition.get("message", "")]))
    writer.line(0, "Addresses:")
    for address in status.get("addresses") or ():
        writer.line(1, f"{address['type']}:\t{address['address']}")
    for title, field in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        if status.get(field):
            writer.line(0, f"{title}:")
            for name, amount in sorted(status[field].items()):
                writer.line(1, f"{name}:\t{amount}")
    writer.line(0, "System Info:")
    for title, field in SYSTEM_INFO:
        writer.line(1, f"{title}:\t{(status.get('nodeInfo') or {}).get(field, '')}")


def _pods(writer: Writer, client: Client, node: dict[str, Any]) -> None:
    selector = f"spec.nodeName={node['metadata']['name']},status.phase!=Succeeded,status.phase!=Failed"
    pods = client.get(PODS.path(None), {"fieldSelector": selector, "limit": 500})["items"]
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    writer.line(0, f"Non-terminated Pods:\t({len(pods)} in total)")
    writer.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge")
    writer.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---")
    total: Sums = {"requests": {}, "limits": {}}
    for pod in pods:
        sums = _sums(pod)
        for field, amounts in sums.items():
            for name, amount in amounts.items():
                total[field][name] = total[field].get(name, 0) + amount
        cells = [
            _share(sums[field].get(name, 0), name, allocatable)
            for name in ("cpu", "memory")
            for field in ("requests", "limits")
        ]
        metadata = pod["metadata"]
        age = ages.since(metadata.get("creationTimestamp"))
        writer.line(1, "\t".join([metadata["namespace"], metadata["name"], "", *cells, age]))
    writer.line(0, "Allocated resources:")
    writer.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)")
    writer.line(1, "Resource\tRequests\tLimits")
    writer.line(1, "--------\t--------\t------")
    for name in ("cpu", "memory", "ephemeral-storage"):
        cells = [_share(total[field].get(name, 0), name, allocatable) for field in ("requests", "limits")]
        writer.line(1, "\t".join([name, *cells]))


def _sums(pod: dict[str, Any]) -> Sums:
    """A pod's requests and limits as the scheduler counts them."""
    read = from_dict(Pod, pod)
    return {
        field: {name: _amount(text) for name, text in total(read).items()}
        for field, total in (("requests", effective_requests), ("limits", pod_limits))
    }


def _amount(text: str) -> float:
    return quantity(text).nanos / 1e9


def _share(amount: float, name: str, allocatable: dict[str, str]) -> str:
    """`100m (5%)`, `64Mi (1%)`."""
    whole = _amount(allocatable[name]) if name in allocatable else 0.0
    percent = int(amount / whole * 100) if whole else 0
    return f"{format_amount(amount, name)} ({percent}%)"


def format_amount(amount: float, name: str) -> str:
    """As a Quantity prints: cores in millicores unless whole, bytes in the largest binary unit that divides
    them.
    """
    if name == "cpu":
        milli = round(amount * 1000)
        return f"{milli // 1000}" if milli % 1000 == 0 else f"{milli}m"
    count = round(amount)
    for unit, size in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)
