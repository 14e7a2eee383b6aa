"""The Node object: what this machine is, and what of it pods may have (kubelet-behaviour 13.2–13.5).

Facts are read once (`read_facts`); the object is a pure function of them, so that a test can look at any
machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from minikubelet import __version__
from minikubelet.agent.eviction.pressure import DISK_PRESSURE, MEMORY_PRESSURE, PID_PRESSURE
from minikubelet.agent.eviction.thresholds import Threshold, hard_reservation
from minikubelet.runtime.enforcement import huge_pages
from minikubelet.v1.quantity import MILLI, NANO, Format, Quantity

KUBERNETES_VERSION = "v1.36.2"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """`memory` and `storage` in bytes; `controllers` of the cgroup2 mount."""

    name: str
    address: str
    cpus: int
    memory: int
    storage: int
    kernel: str
    os_image: str
    architecture: str
    machine_id: str
    system_uuid: str
    boot_id: str
    controllers: frozenset[str] = frozenset()
    max_pods: int = 110
    huge_pages: Mapping[int, int] = field(default_factory=dict)  # page size → bytes set aside
    pids: int = 0  # that there may be at once
    eviction_memory: int = 0  # bytes of which pods are evicted if less is available: never given to them
    eviction_storage: int = 0
    # For the system and for this agent, never for pods: cpu in thousandths, memory and ephemeral-storage in
    # bytes, pid (kubeReserved, systemReserved).
    reserved: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)  # --node-labels: of a Node that is new
    taints: Sequence[Mapping[str, str]] = ()  # registerWithTaints: the same

    def unreserved(self, resource: str, amount: int) -> int:
        """What of the amount is left for pods."""
        return max(0, amount - self.reserved.get(resource, 0))

    @property
    def allocatable_cpu(self) -> int:
        """In thousandths of a core."""
        return self.unreserved("cpu", self.cpus * 1000)

    @property
    def allocatable_memory(self) -> int:
        held_back = self.eviction_memory + sum(self.huge_pages.values())
        return max(0, self.unreserved("memory", self.memory) - held_back)

    @property
    def allocatable_storage(self) -> int:
        return max(0, self.unreserved("ephemeral-storage", self.storage) - self.eviction_storage)


def read_facts(
    name: str,
    address: str,
    state_dir: Path,
    controllers: frozenset[str],
    max_pods: int,
    thresholds: Sequence[Threshold] = (),
) -> MachineFacts:
    """`thresholds` are those of eviction."""
    memory, storage = memory_total(), shutil.disk_usage(state_dir).total
    eviction_memory, eviction_storage = hard_reservation(thresholds, memory, storage)
    return MachineFacts(
        name=name,
        address=address,
        cpus=os.cpu_count() or 1,
        memory=memory,
        storage=storage,
        kernel=platform.release(),
        os_image=_os_image(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        machine_id=_line("/etc/machine-id"),
        system_uuid=_line("/sys/class/dmi/id/product_uuid"),
        boot_id=boot_id(),
        controllers=controllers,
        max_pods=max_pods,
        huge_pages=huge_pages(),
        pids=pid_limit(),
        eviction_memory=eviction_memory,
        eviction_storage=eviction_storage,
    )


def default_node_name() -> str:
    """The host's name in lower case (13.4)."""
    return socket.gethostname().lower()


def boot_id() -> str:
    return _line("/proc/sys/kernel/random/boot_id")


def pid_limit() -> int:
    """How many processes and threads the kernel allows (proc(5): pid_max, threads-max)."""
    return min(int(_line(f"/proc/sys/kernel/{name}")) for name in ("pid_max", "threads-max"))


def memory_total() -> int:
    """MemTotal of proc(5), in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise OSError("cannot read MemTotal from /proc/meminfo")


def own_labels(facts: MachineFacts) -> dict[str, str]:
    """What the kubelet says of itself; whoever takes one away gets it back."""
    return {
        "beta.kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
    }


def node_object(facts: MachineFacts, pod_cidr: str) -> dict[str, Any]:
    """The object as it is registered."""
    spec: dict[str, Any] = {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
    if facts.taints:
        spec["taints"] = [dict(taint) for taint in facts.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": facts.name, "labels": {**facts.labels, **own_labels(facts)}},
        "spec": spec,
    }


def capacity(facts: MachineFacts) -> dict[str, str]:
    return {
        "cpu": str(facts.cpus),
        "ephemeral-storage": f"{facts.storage // 1024}Ki",
        **{
            f"hugepages-{Quantity(size * NANO, Format.BINARY)}": str(Quantity(total * NANO, Format.BINARY))
            for size, total in sorted(facts.huge_pages.items())
        },
        "memory": f"{facts.memory // 1024}Ki",
        "pods": str(facts.max_pods),
    }


def allocatable(facts: MachineFacts) -> dict[str, str]:
    """Capacity less what is reserved and what hard eviction keeps back (13.3)."""
    return capacity(facts) | {
        "cpu": str(Quantity(facts.allocatable_cpu * MILLI)),
        "ephemeral-storage": str(facts.allocatable_storage),
        "memory": f"{facts.allocatable_memory // 1024}Ki",
    }


def node_status(
    facts: MachineFacts, now: datetime, old: dict[str, Any] | None = None, pressures: Collection[str] = ()
) -> dict[str, Any]:
    """`status` of the Node; transition times of conditions that did not change are kept from `old`.
    `pressures` are the conditions of PRESSURES that are True.
    """
    return {
        "capacity": capacity(facts),
        "allocatable": allocatable(facts),
        "conditions": _conditions(now, old or {}, pressures),
        "addresses": [
            {"type": "InternalIP", "address": facts.address},
            {"type": "Hostname", "address": facts.name},
        ],
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.system_uuid,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel,
            "osImage": facts.os_image,
            "containerRuntimeVersion": f"minikubelet://{__version__}",
            "kubeletVersion": KUBERNETES_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
        "features": {"supplementalGroupsPolicy": True},
    }


# 13.2: (reason, message) while it is False, and while it is True.
_PRESSURES = {
    MEMORY_PRESSURE: (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    DISK_PRESSURE: (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    PID_PRESSURE: (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}


def _conditions(now: datetime, old: dict[str, Any], pressures: Collection[str]) -> list[dict[str, str]]:
    before = {c["type"]: c for c in old.get("conditions", ())}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    states = [(kind, str(kind in pressures), *words[kind in pressures]) for kind, words in _PRESSURES.items()]
    states.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    conditions = []
    for kind, status, reason, message in states:
        known = before.get(kind, {})
        since = known.get("lastTransitionTime", stamp) if known.get("status") == status else stamp
        conditions.append(
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": since,
                "reason": reason,
                "message": message,
            }
        )
    return conditions


def _line(path: str) -> str:
    """A one-line file of the kernel or the distribution; not every machine has each of them."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_image() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
