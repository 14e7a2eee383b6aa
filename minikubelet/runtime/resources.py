"""From a pod's resources to the text of its cgroup files: the kubelet's and runc's formulas.

Pure. Sources: kubelet `cm/helpers_linux.go`, `qos/policy.go`, and runc's cgroup v2 conversion; the table of
kubelet-behaviour 6.5 is the test. A pod's and a QoS class's cpu.weight are linear in the shares, a
container's follows the newer curve (section 15, trap 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from minikubelet.v1 import Container, Pod, PodSpec
from minikubelet.v1.qos import pod_limits, pod_requests, qos_class
from minikubelet.v1.quantity import Quantity

MIN_SHARES, MAX_SHARES = 2, 262144
CPU_PERIOD_US = 100_000
MIN_QUOTA_US = 1000
KUBEPODS = "kubepods"

# kubelet-behaviour 6.8
GUARANTEED_OOM_SCORE_ADJ = -997
BEST_EFFORT_OOM_SCORE_ADJ = 1000


@dataclass(frozen=True, slots=True)
class CgroupSettings:
    """A directory below the cgroup2 mount, and what is written there: file name → text, in this order."""

    path: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> set[str]:
        """The controllers without which a *limit* in here cannot be kept."""
        return {
            name.split(".")[0]
            for name, value in self.files.items()
            if name in ("cpu.max", "memory.max", "pids.max") and not value.startswith("max")
        }


def shares(milli_cpu: int) -> int:
    """cgroup v1 shares of a CPU request in thousandths of a core; nothing asked for is 2."""
    return min(max(milli_cpu * 1024 // 1000, MIN_SHARES), MAX_SHARES) if milli_cpu else MIN_SHARES


def pod_weight(milli_cpu: int) -> int:
    """cpu.weight of kubepods, QoS and pod cgroups: the kubelet's linear conversion."""
    return 1 + (shares(milli_cpu) - 2) * 9999 // 262142


def container_weight(milli_cpu: int) -> int:
    """cpu.weight of a container: runc's curve, by which 1024 shares are exactly 100."""
    value = shares(milli_cpu)
    if value <= MIN_SHARES:
        return 1
    if value >= MAX_SHARES:
        return 10000
    log = math.log2(value)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def cpu_max(milli_cpu: int | None) -> str:
    """cpu.max for a limit in thousandths of a core; None: no limit. Never less than 1 ms a period."""
    if not milli_cpu:
        return f"max {CPU_PERIOD_US}"
    return f"{max(milli_cpu * CPU_PERIOD_US // 1000, MIN_QUOTA_US)} {CPU_PERIOD_US}"


def pod_cgroup(pod: Pod, *, pids_limit: int = -1) -> CgroupSettings:
    """The pod's own cgroup (6.4, 6.6)."""
    qos = qos_class(pod)
    parent = KUBEPODS if qos == "Guaranteed" else f"{KUBEPODS}/{qos.lower()}"
    path = f"{parent}/pod{_uid(pod)}"
    files = {"cpu.weight": str(pod_weight(_milli(pod_requests(pod).get("cpu"))))}
    if qos == "BestEffort":
        files["cpu.weight"] = "1"
    limits = pod_limits(pod)
    if qos != "BestEffort" and _every_container_limits(pod, "cpu"):
        files["cpu.max"] = cpu_max(_milli(limits.get("cpu")))
    if qos != "BestEffort" and _every_container_limits(pod, "memory"):
        files["memory.max"] = str(_value(limits.get("memory")))
    if pids_limit > 0:
        files["pids.max"] = str(pids_limit)
    return CgroupSettings(path, files)


def container_cgroup(pod: Pod, container: Container, container_id: str, pod_path: str) -> CgroupSettings:
    """One container's cgroup (6.6): everything that dies there dies together (memory.oom.group)."""
    requests, limits = _of(container, "requests"), _of(container, "limits")
    whole = _pod_level_limits(pod)
    cpu_limit = _milli(limits.get("cpu") or whole.get("cpu"))
    memory_limit = _value(limits.get("memory") or whole.get("memory"))
    cpu_request = _milli(requests.get("cpu")) if "cpu" in requests else _milli(limits.get("cpu"))
    return CgroupSettings(
        f"{pod_path}/{container_id}",
        {
            "cpu.weight": str(container_weight(cpu_request)),
            "cpu.max": cpu_max(cpu_limit),
            "memory.max": str(memory_limit) if memory_limit else "max",
            "memory.oom.group": "1",
            "memory.swap.max": "0",
            "pids.max": "max",
        },
    )


def qos_cgroups(active: Iterable[Pod], *, milli_cpu: int, memory: int) -> list[CgroupSettings]:
    """kubepods, burstable, besteffort (6.6); `milli_cpu` and `memory`: capacity less what is reserved."""
    burstable = sum(_milli(pod_requests(pod).get("cpu")) for pod in active if qos_class(pod) == "Burstable")
    return [
        CgroupSettings(KUBEPODS, {"cpu.weight": str(pod_weight(milli_cpu)), "memory.max": str(memory)}),
        CgroupSettings(f"{KUBEPODS}/burstable", {"cpu.weight": str(pod_weight(burstable))}),
        CgroupSettings(f"{KUBEPODS}/besteffort", {"cpu.weight": "1"}),
    ]


def oom_score_adj(pod: Pod, container: Container, memory_capacity: int) -> int:
    """Who is killed first when the node runs out of memory (6.8); `memory_capacity` in bytes."""
    qos = qos_class(pod)
    if qos == "Guaranteed" or (pod.spec and pod.spec.priority_class_name == "system-node-critical"):
        return GUARANTEED_OOM_SCORE_ADJ
    if qos == "BestEffort":
        return BEST_EFFORT_OOM_SCORE_ADJ
    score = _burstable_score(_memory_request(container), memory_capacity)
    if pod.spec and _is_sidecar(pod.spec, container):  # it outlives what it serves
        smallest = min((_memory_request(c) for c in pod.spec.containers or ()), default=0)
        score = min(score, _burstable_score(smallest, memory_capacity))
    return score


def _is_sidecar(spec: PodSpec, container: Container) -> bool:
    return container.restart_policy == "Always" and container in (spec.init_containers or ())


def _burstable_score(request: int, capacity: int) -> int:
    score = 1000 - 1000 * request // capacity
    if score < 1000 + GUARANTEED_OOM_SCORE_ADJ:
        return 1000 + GUARANTEED_OOM_SCORE_ADJ
    return score - 1 if score == BEST_EFFORT_OOM_SCORE_ADJ else score


def _memory_request(container: Container) -> int:
    return _value(_of(container, "requests").get("memory"))


def _every_container_limits(pod: Pod, resource: str) -> bool:
    """6.6: the pod's cgroup is limited only if no container, init ones included, could use more."""
    if resource in _pod_level_limits(pod):
        return True
    spec = pod.spec
    if spec is None:
        return False
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    return all(_value(_of(c, "limits").get(resource)) for c in containers)


def _pod_level_limits(pod: Pod) -> dict[str, str]:
    resources = pod.spec.resources if pod.spec else None
    return (resources.limits or {}) if resources else {}


def _of(container: Container, which: str) -> dict[str, str]:
    resources = container.resources
    return (getattr(resources, which) or {}) if resources else {}


def _milli(quantity: str | Quantity | None) -> int:
    return _parsed(quantity).milli_value() if quantity is not None else 0


def _value(quantity: str | Quantity | None) -> int:
    return _parsed(quantity).value() if quantity is not None else 0


def _parsed(quantity: str | Quantity) -> Quantity:
    return Quantity.parse(quantity) if isinstance(quantity, str) else quantity


def _uid(pod: Pod) -> str:
    assert pod.metadata is not None
    assert pod.metadata.uid
    return pod.metadata.uid
