"""`describe pod`, section by section in kubectl's order."""

from __future__ import annotations

from typing import Any

from minikubelet.cli import ages, containers
from minikubelet.cli.client import Client
from minikubelet.cli.describe.container import describe_container
from minikubelet.cli.describe.volumes import describe_volumes
from minikubelet.cli.describe.writer import Writer, events_of, stamp

SECTIONS = (
    ("Init Containers", "initContainers"),
    ("Containers", "containers"),
    ("Ephemeral Containers", "ephemeralContainers"),
)


def describe_pod(client: Client, pod: dict[str, Any], *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    _identity(writer, pod)
    _state(writer, pod)
    _addresses(writer, pod)
    for title, field in SECTIONS:
        if pod["spec"].get(field):
            writer.line(0, f"{title}:")
            for container in pod["spec"][field]:
                status = containers.status_of(pod, container["name"])
                describe_container(writer, pod, container, status)
    _conditions(writer, pod)
    describe_volumes(writer, pod["spec"].get("volumes") or [])
    writer.line(0, f"QoS Class:\t{pod.get('status', {}).get('qosClass', '')}")
    writer.labels("Node-Selectors", pod["spec"].get("nodeSelector"))
    writer.many("Tolerations", toleration_lines(pod["spec"].get("tolerations")))
    writer.events(events_of(client, pod) if show_events else None)
    return writer.text()


def _identity(writer: Writer, pod: dict[str, Any]) -> None:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    writer.line(0, f"Name:\t{metadata['name']}")
    writer.line(0, f"Namespace:\t{metadata['namespace']}")
    if spec.get("priority") is not None:
        writer.line(0, f"Priority:\t{spec['priority']}")
    if spec.get("priorityClassName"):
        writer.line(0, f"Priority Class Name:\t{spec['priorityClassName']}")
    if spec.get("runtimeClassName"):
        writer.line(0, f"Runtime Class Name:\t{spec['runtimeClassName']}")
    if spec.get("serviceAccountName"):
        writer.line(0, f"Service Account:\t{spec['serviceAccountName']}")
    node = f"{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else "<none>"
    writer.line(0, f"Node:\t{node}")
    if status.get("startTime"):
        writer.line(0, f"Start Time:\t{stamp(status['startTime'])}")
    writer.labels("Labels", metadata.get("labels"))
    writer.annotations(metadata.get("annotations"))


def _state(writer: Writer, pod: dict[str, Any]) -> None:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    if metadata.get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        writer.line(0, f"Status:\tTerminating (lasts {ages.since(metadata['deletionTimestamp'])})")
        writer.line(0, f"Termination Grace Period:\t{metadata.get('deletionGracePeriodSeconds')}s")
    else:
        writer.line(0, f"Status:\t{status.get('phase', '')}")
    for title, field in (("Reason", "reason"), ("Message", "message")):
        if status.get(field):
            writer.line(0, f"{title}:\t{status[field]}")
    seccomp = (spec.get("securityContext") or {}).get("seccompProfile")
    if seccomp:
        writer.line(0, f"SeccompProfile:\t{seccomp['type']}")
        if seccomp["type"] == "Localhost":
            writer.line(0, f"LocalhostProfile:\t{seccomp.get('localhostProfile', '')}")


def _addresses(writer: Writer, pod: dict[str, Any]) -> None:
    status = pod.get("status") or {}
    writer.line(0, f"IP:\t{status.get('podIP', '')}")
    if not status.get("podIPs"):
        writer.line(0, "IPs:\t<none>")
    else:
        writer.line(0, "IPs:")
        for address in status["podIPs"]:
            writer.line(1, f"IP:\t{address.get('ip', '')}")
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            writer.line(0, f"Controlled By:\t{owner['kind']}/{owner['name']}")


def _conditions(writer: Writer, pod: dict[str, Any]) -> None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    states = {condition["type"]: condition["status"] for condition in conditions}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    if gates:
        writer.line(0, "Readiness Gates:")
        writer.line(1, "Type\tStatus")
        for gate in gates:
            writer.line(1, f"{gate} \t{states.get(gate, '<none>')} ")
    if conditions:
        writer.line(0, "Conditions:")
        writer.line(1, "Type\tStatus")
        for kind, state in states.items():
            writer.line(1, f"{kind} \t{state} ")


def toleration_lines(tolerations: list[dict[str, Any]] | None) -> list[str]:
    """`key=value:effect for 300s`, one each."""
    lines = []
    for toleration in sorted(tolerations or [], key=lambda item: item.get("key") or ""):
        text = toleration.get("key") or ""
        if toleration.get("value"):
            text += f"={toleration['value']}"
        if toleration.get("effect"):
            text += f":{toleration['effect']}"
        if toleration.get("operator") == "Exists" and not toleration.get("value"):
            text += " op=Exists" if text else "op=Exists"
        if toleration.get("tolerationSeconds") is not None:
            text += f" for {toleration['tolerationSeconds']}s"
        lines.append(text)
    return lines
