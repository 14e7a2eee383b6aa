"""What `kubectl get` shows: the columns of each resource and how their cells come from the object.

The server makes the cells (kubectl only prints them), so STATUS, READY, RESTARTS and AGE are decided here,
line by line as kube-apiserver's printers do. Pure: the present moment is given.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

Object = dict[str, Any]
NONE = "<none>"
UNKNOWN = "<unknown>"


class Column(NamedTuple):
    """One column; `priority` 1 is shown with -o wide only."""

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""


class Columns(NamedTuple):
    """The columns of a resource, and the function that makes one row of cells."""

    definitions: tuple[Column, ...]
    cells: Callable[[Object, datetime], list[Any]]


NAME = Column("Name", format="name")
AGE = Column("Age")


def human_duration(seconds: float) -> str:
    """As apimachinery's HumanDuration: at most two units, coarser the longer it is."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m" + _rest(whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + _rest(minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return f"{hours // 24}d" + _rest(hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    years = hours // (24 * 365)
    return f"{years}y" + (_rest(hours // 24 % 365, "d") if years < 8 else "")


def _rest(number: int, unit: str) -> str:
    return f"{number}{unit}" if number else ""


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def since(moment: str | None, now: datetime) -> str:
    """How long ago, as shown."""
    return human_duration((now - parse_time(moment)).total_seconds()) if moment else UNKNOWN


def age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


# Pods.


def pod_cells(pod: Object, now: datetime) -> list[Any]:
    status = pod.get("status") or {}
    summary = PodSummary(pod)
    ips = status.get("podIPs") or ([{"ip": status["podIP"]}] if status.get("podIP") else [])
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        summary.restarts_shown(now),
        age(pod, now),
        ips[0]["ip"] if ips else NONE,
        pod["spec"].get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(pod),
    ]


class PodSummary:
    """READY, STATUS and RESTARTS of a pod (kubelet-behaviour 1.12, which is printPod of kube-apiserver)."""

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.status = pod.get("status") or {}
        spec = pod.get("spec") or {}
        init = spec.get("initContainers") or []
        self.init_total = len(init)
        self.sidecars = {c["name"] for c in init if c.get("restartPolicy") == "Always"}
        self.total = len(spec.get("containers") or []) + len(self.sidecars)
        self.ready = 0
        self.restarts = 0
        self.last_restart = ""
        self.reason = self._initial_reason()
        initializing = self._read_init_containers()
        if not initializing or self._condition("Initialized") == "True":
            self._read_containers()
        self._read_deletion()

    def restarts_shown(self, now: datetime) -> str:
        if self.restarts and self.last_restart:
            return f"{self.restarts} ({since(self.last_restart, now)} ago)"
        return str(self.restarts)

    def _initial_reason(self) -> str:
        for condition in self.status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
                return "SchedulingGated"
        reason: str = self.status.get("reason") or self.status.get("phase") or ""
        return reason

    def _read_init_containers(self) -> bool:
        """Whether the pod is still in its init containers; the first unfinished one names the status."""
        for index, container in enumerate(self.status.get("initContainerStatuses") or ()):
            self._count_restarts(container)
            shown = self._init_reason(index, container)
            if shown is not None:
                self.reason = shown
                return True
        return False

    def _init_reason(self, index: int, container: Object) -> str | None:
        """What an unfinished init container shows; None: it is done, or a sidecar that has started."""
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated and terminated.get("exitCode") == 0:
            return None
        if container["name"] in self.sidecars and container.get("started"):
            self.ready += bool(container.get("ready"))
            return None
        if terminated:
            return "Init:" + _ended(terminated)
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{self.init_total}"

    def _read_containers(self) -> None:
        """Once initialised, only sidecars and regular containers count; the first with a reason wins."""
        self.restarts, self.last_restart = 0, ""
        for container in self.status.get("initContainerStatuses") or ():
            if container["name"] in self.sidecars:
                self._count_restarts(container)
        running = False
        for container in reversed(self.status.get("containerStatuses") or []):
            self._count_restarts(container)
            state = container.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                self.reason = state["waiting"]["reason"]
            elif state.get("terminated"):
                self.reason = _ended(state["terminated"])
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed" and running:
            self.reason = "Running" if self._condition("Ready") == "True" else "NotReady"

    def _read_deletion(self) -> None:
        if not self.pod["metadata"].get("deletionTimestamp"):
            return
        if self.status.get("reason") == "NodeLost":
            self.reason = "Unknown"
        elif self.status.get("phase") not in ("Succeeded", "Failed"):
            self.reason = "Terminating"

    def _count_restarts(self, container: Object) -> None:
        self.restarts += container.get("restartCount", 0)
        last = (container.get("lastState") or {}).get("terminated") or {}
        # RFC 3339 in UTC with whole seconds: the texts sort as the times do.
        self.last_restart = max(self.last_restart, last.get("finishedAt") or "")

    def _condition(self, kind: str) -> str | None:
        for condition in self.status.get("conditions") or ():
            if condition["type"] == kind:
                value: str = condition["status"]
                return value
        return None


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        reason: str = terminated["reason"]
        return reason
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _readiness_gates(pod: Object) -> str:
    gates = pod["spec"].get("readinessGates") or ()
    if not gates:
        return NONE
    conditions = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or ()}
    true = sum(conditions.get(gate["conditionType"]) == "True" for gate in gates)
    return f"{true}/{len(gates)}"


# Nodes.

ROLE = "node-role.kubernetes.io/"


def node_cells(node: Object, now: datetime) -> list[Any]:
    metadata, status = node["metadata"], node.get("status") or {}
    info = status.get("nodeInfo") or {}
    addresses: dict[str, str] = {}
    for address in status.get("addresses") or ():
        addresses.setdefault(address["type"], address["address"])
    roles = sorted(
        label.removeprefix(ROLE) for label in metadata.get("labels") or {} if label.startswith(ROLE)
    )
    return [
        metadata["name"],
        _node_status(node),
        ",".join(filter(None, roles)) or NONE,
        age(node, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(node: Object) -> str:
    conditions = {c["type"]: c["status"] for c in (node.get("status") or {}).get("conditions") or ()}
    ready = {"True": "Ready", "False": "NotReady", "Unknown": "NotReady"}.get(
        conditions.get("Ready", ""), "Unknown"
    )
    return f"{ready},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else ready


# Events.


def event_cells(event: Object, now: datetime) -> list[Any]:
    involved = event.get("involvedObject") or {}
    source = event.get("source") or {}
    series = event.get("series") or {}
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or first
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host")
    return [
        since(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        (event.get("message") or "").strip(),
        since(first, now),
        series.get("count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


# The others.


def configmap_cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        len(obj.get("data") or ()) + len(obj.get("binaryData") or ()),
        age(obj, now),
    ]


def secret_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type", "Opaque"), len(obj.get("data") or ()), age(obj, now)]


def namespace_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", "Active"), age(obj, now)]


def serviceaccount_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("secrets") or ()), age(obj, now)]


def lease_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], (obj.get("spec") or {}).get("holderIdentity", ""), age(obj, now)]


def priority_class_cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


_ACCESS_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def claim_cells(claim: Object, now: datetime) -> list[Any]:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    bound = bool(spec.get("volumeName"))
    modes = status.get("accessModes") or () if bound else ()
    return [
        claim["metadata"]["name"],
        "Terminating" if claim["metadata"].get("deletionTimestamp") else status.get("phase", "Pending"),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        ",".join(short for mode, short in _ACCESS_MODES.items() if mode in modes),
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>",
        age(claim, now),
        spec.get("volumeMode") or "<unset>",
    ]


def any_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


COLUMNS: dict[str, Columns] = {
    "pods": Columns(
        (
            NAME,
            Column("Ready"),
            Column("Status"),
            Column("Restarts"),
            AGE,
            Column("IP", priority=1),
            Column("Node", priority=1),
            Column("Nominated Node", priority=1),
            Column("Readiness Gates", priority=1),
        ),
        pod_cells,
    ),
    "nodes": Columns(
        (
            NAME,
            Column("Status"),
            Column("Roles"),
            AGE,
            Column("Version"),
            Column("Internal-IP", priority=1),
            Column("External-IP", priority=1),
            Column("OS-Image", priority=1),
            Column("Kernel-Version", priority=1),
            Column("Container-Runtime", priority=1),
        ),
        node_cells,
    ),
    "events": Columns(
        (
            Column("Last Seen"),
            Column("Type"),
            Column("Reason"),
            Column("Object"),
            Column("Subobject", priority=1),
            Column("Source", priority=1),
            Column("Message"),
            Column("First Seen", priority=1),
            Column("Count", "integer", priority=1),
            Column("Name", priority=1, format="name"),
        ),
        event_cells,
    ),
    "configmaps": Columns((NAME, Column("Data", "integer"), AGE), configmap_cells),
    "secrets": Columns((NAME, Column("Type"), Column("Data", "integer"), AGE), secret_cells),
    "namespaces": Columns((NAME, Column("Status"), AGE), namespace_cells),
    "serviceaccounts": Columns((NAME, Column("Secrets", "integer"), AGE), serviceaccount_cells),
    "priorityclasses": Columns(
        (
            NAME,
            Column("Value", "integer"),
            Column("Global-Default", "boolean"),
            AGE,
            Column("PreemptionPolicy"),
        ),
        priority_class_cells,
    ),
    "leases": Columns((NAME, Column("Holder"), AGE), lease_cells),
    "persistentvolumeclaims": Columns(
        (
            NAME,
            Column("Status"),
            Column("Volume"),
            Column("Capacity"),
            Column("Access Modes"),
            Column("StorageClass"),
            Column("VolumeAttributesClass"),
            AGE,
            Column("VolumeMode", priority=1),
        ),
        claim_cells,
    ),
}
DEFAULT_COLUMNS = Columns((NAME, Column("Created At", "date")), any_cells)
