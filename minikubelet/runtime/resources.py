"""From a pod's resources to the text of its cgroup files: the kubelet's and runc's formulas.

Pure. Sources: kubelet `cm/helpers_linux.go`, `qos/policy.go`, and runc's cgroup v2 conversion; the table of
kubelet-behaviour 6.5 is the test. A pod's and a QoS class's cpu.weight are linear in the shares, a
container's follows the newer curve (section 15, trap 2). What the node's configuration and kernel say about
it is `Enforcement`; memory protection and swap are in `runtime.memory_qos`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minikubelet.runtime import memory_qos
from minikubelet.runtime.memory_qos import MemoryQoS
from minikubelet.v1 import Container, Pod, PodSpec
from minikubelet.v1.qos import (
    HUGE_PAGES,
    aggregate_containers,
    is_sidecar,
    pod_limits,
    pod_requests,
    qos_class,
    requested,
)
from minikubelet.v1.quantity import Quantity

MIN_SHARES, MAX_SHARES = 2, 262144
CPU_PERIOD_US = 100_000
MIN_QUOTA_US = 1000
KUBEPODS = "kubepods"
LIMITS = ("cpu.max", "memory.max", "pids.max")

# kubelet-behaviour 6.8
GUARANTEED_OOM_SCORE_ADJ = -997
BEST_EFFORT_OOM_SCORE_ADJ = 1000


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How this node keeps what pods ask for; the defaults are the kubelet's. `huge_pages` are the sizes in
    bytes that its kernel has, empty where no hugetlb controller counts them.
    """

    pids_limit: int = -1  # podPidsLimit
    cpu_quota: bool = True  # cpuCFSQuota
    cpu_period_us: int = CPU_PERIOD_US  # cpuCFSQuotaPeriod
    single_process_oom_kill: bool = False
    huge_pages: tuple[int, ...] = ()
    memory: MemoryQoS = field(default_factory=MemoryQoS)


DEFAULT = Enforcement()


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
            if (name in LIMITS and not value.startswith("max"))
            or (name.startswith("hugetlb.") and value != "0")
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


def cpu_max(milli_cpu: int | None, period_us: int = CPU_PERIOD_US) -> str:
    """cpu.max for a limit in thousandths of a core; None: no limit. Never less than 1 ms a period."""
    if not milli_cpu:
        return f"max {period_us}"
    return f"{max(milli_cpu * period_us // 1000, MIN_QUOTA_US)} {period_us}"


def pod_cgroup(pod: Pod, rules: Enforcement = DEFAULT) -> CgroupSettings:
    """The pod's own cgroup (6.4, 6.6)."""
    qos = qos_class(pod)
    parent = KUBEPODS if qos == "Guaranteed" else f"{KUBEPODS}/{qos.lower()}"
    path = f"{parent}/pod{_uid(pod)}"
    requests, limits = pod_requests(pod), pod_limits(pod)
    files = {"cpu.weight": str(pod_weight(milli(requests.get("cpu"))))}
    if qos == "BestEffort":
        files["cpu.weight"] = "1"
    if qos != "BestEffort" and rules.cpu_quota and _every_container_limits(pod, "cpu"):
        files["cpu.max"] = cpu_max(milli(limits.get("cpu")), rules.cpu_period_us)
    if qos != "BestEffort" and _every_container_limits(pod, "memory"):
        files["memory.max"] = str(whole(limits.get("memory")))
    files |= memory_qos.protection(qos, whole(requests.get("memory")), rules.memory)
    if rules.pids_limit > 0:
        files["pids.max"] = str(rules.pids_limit)
    return CgroupSettings(path, files | _huge_pages(limits, rules))


def container_cgroup(
    pod: Pod, container: Container, container_id: str, pod_path: str, rules: Enforcement = DEFAULT
) -> CgroupSettings:
    """One container's cgroup (6.6): everything that dies there dies together (memory.oom.group). A limit the
    container has not is the pod's.
    """
    requests, limits = _of(container, "requests"), _of(container, "limits")
    of_pod = _pod_level_limits(pod)
    cpu_limit = milli(limits.get("cpu") or of_pod.get("cpu")) if rules.cpu_quota else 0
    memory_limit = whole(limits.get("memory") or of_pod.get("memory"))
    memory_request = whole(requests.get("memory"))
    cpu_request = milli(requests.get("cpu")) if "cpu" in requests else milli(limits.get("cpu"))
    qos, critical = qos_class(pod), is_critical(pod)
    return CgroupSettings(
        f"{pod_path}/{container_id}",
        {
            "cpu.weight": str(container_weight(cpu_request)),
            "cpu.max": cpu_max(cpu_limit, rules.cpu_period_us),
            "memory.max": str(memory_limit) if memory_limit else "max",
            **memory_qos.throttling(memory_request, memory_limit, rules.memory),
            **memory_qos.protection(qos, memory_request, rules.memory),
            "memory.oom.group": "0" if rules.single_process_oom_kill else "1",
            "memory.swap.max": str(
                0 if critical else memory_qos.swap(qos, memory_request, memory_limit, rules.memory)
            ),
            "pids.max": "max",
            **_huge_pages(limits, rules),
        },
    )


def _huge_pages(limits: Mapping[str, str], rules: Enforcement) -> dict[str, str]:
    """hugetlb.<size>.max: what is limited, and nothing of any other size the kernel has. A size that it has
    not is written down too: `CgroupSettings.needs` must know of it.
    """
    asked = {
        whole(name.removeprefix(HUGE_PAGES)): whole(amount)
        for name, amount in limits.items()
        if name.startswith(HUGE_PAGES)
    }
    sizes = sorted({*rules.huge_pages, *asked})
    return {f"hugetlb.{page_size_name(size)}.max": str(asked.get(size, 0)) for size in sizes}


def page_size_name(size: int) -> str:
    """As the kernel writes it: 2 MiB is 2MB, 1 GiB is 1GB."""
    for power, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if size >= 1 << power:
            return f"{size >> power}{unit}"
    return f"{size}B"


def is_critical(pod: Pod) -> bool:
    """Of the kind that must run on every node (6.7, 6.8)."""
    return bool(pod.spec and pod.spec.priority_class_name == "system-node-critical")


def qos_cgroups(
    active: Iterable[Pod],
    *,
    milli_cpu: int,
    memory: int,
    pids: int = 0,
    rules: Enforcement = DEFAULT,
) -> list[CgroupSettings]:
    """kubepods, burstable, besteffort (6.6); `milli_cpu`, `memory` and `pids`: capacity less what is reserved
    (0 pids: not limited).
    """
    pods = [(qos_class(pod), pod_requests(pod)) for pod in active]
    burstable = [requests for qos, requests in pods if qos == "Burstable"]
    guaranteed = [requests for qos, requests in pods if qos == "Guaranteed"]
    weight = pod_weight(sum(milli(requests.get("cpu")) for requests in burstable))
    low = memory_qos.protection("Burstable", _memory_of(burstable), rules.memory)
    least = memory_qos.protection("Guaranteed", _memory_of(guaranteed), rules.memory)
    kubepods = {"cpu.weight": str(pod_weight(milli_cpu)), "memory.max": str(memory)}
    if pids:
        kubepods["pids.max"] = str(pids)
    return [
        CgroupSettings(KUBEPODS, kubepods | least | low),
        CgroupSettings(f"{KUBEPODS}/burstable", {"cpu.weight": str(weight), **low}),
        CgroupSettings(f"{KUBEPODS}/besteffort", {"cpu.weight": "1"}),
    ]


def _memory_of(requests: Iterable[Mapping[str, str]]) -> int:
    return sum(whole(one.get("memory")) for one in requests)


def oom_score_adj(pod: Pod, container: Container, memory_capacity: int) -> int:
    """Who is killed first when the node runs out of memory (6.8); `memory_capacity` in bytes."""
    qos = qos_class(pod)
    if qos == "Guaranteed" or is_critical(pod):
        return GUARANTEED_OOM_SCORE_ADJ
    if qos == "BestEffort":
        return BEST_EFFORT_OOM_SCORE_ADJ
    share = _share_of_pod_request(pod)
    score = 1000 - 1000 * (_memory_request(container) + share) // memory_capacity
    if pod.spec and _is_sidecar(pod.spec, container):  # it outlives what it serves
        smallest = min((_memory_request(c) for c in pod.spec.containers or ()), default=0)
        score = min(score, 1000 - 1000 * (smallest + share) // memory_capacity)
    return _burstable_score(score)


def _share_of_pod_request(pod: Pod) -> int:
    """What the pod asks for beyond its containers, in equal parts, in bytes."""
    spec = pod.spec or PodSpec()
    asked = whole(((spec.resources.requests or {}) if spec.resources else {}).get("memory"))
    if not asked:
        return 0
    by_containers = whole(aggregate_containers(spec, requested).get("memory"))
    return (asked - by_containers) // len([*(spec.containers or ()), *(spec.init_containers or ())])


def _is_sidecar(spec: PodSpec, container: Container) -> bool:
    return is_sidecar(container) and container in (spec.init_containers or ())


def _burstable_score(score: int) -> int:
    """Between a Guaranteed and a BestEffort pod's."""
    if score < 1000 + GUARANTEED_OOM_SCORE_ADJ:
        return 1000 + GUARANTEED_OOM_SCORE_ADJ
    return score - 1 if score == BEST_EFFORT_OOM_SCORE_ADJ else score


def _memory_request(container: Container) -> int:
    return whole(_of(container, "requests").get("memory"))


def _every_container_limits(pod: Pod, resource: str) -> bool:
    """6.6: the pod's cgroup is limited only if no container, init ones included, could use more."""
    if whole(_pod_level_limits(pod).get(resource)):
        return True
    spec = pod.spec
    if spec is None:
        return False
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    return all(whole(_of(c, "limits").get(resource)) for c in containers)


def _pod_level_limits(pod: Pod) -> dict[str, str]:
    resources = pod.spec.resources if pod.spec else None
    return (resources.limits or {}) if resources else {}


def _of(container: Container, which: str) -> dict[str, str]:
    resources = container.resources
    return (getattr(resources, which) or {}) if resources else {}


def milli(quantity: str | Quantity | None) -> int:
    """Thousandths, rounded up; absent is 0."""
    return _parsed(quantity).milli_value() if quantity is not None else 0


def whole(quantity: str | Quantity | None) -> int:
    """Whole units (bytes), rounded up; absent is 0."""
    return _parsed(quantity).value() if quantity is not None else 0


def _parsed(quantity: str | Quantity) -> Quantity:
    return Quantity.parse(quantity) if isinstance(quantity, str) else quantity


def _uid(pod: Pod) -> str:
    """Empty of a pod that is only looked at, before it is stored."""
    assert pod.metadata is not None
    return pod.metadata.uid or ""
