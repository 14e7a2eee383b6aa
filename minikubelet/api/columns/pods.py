"""Pods: READY, STATUS and RESTARTS, line by line as kube-apiserver's printPod."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns.base import (
    AGE,
    NAME,
    NONE,
    Column,
    Columns,
    Object,
    age,
    since,
)


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


PODS = Columns(
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
)
