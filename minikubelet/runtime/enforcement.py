"""How this node keeps what pods ask for: its configuration and its kernel, as `resources.Enforcement`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.memory_qos import MemoryQoS
from minikubelet.runtime.resources import Enforcement, whole

HUGE_PAGES = Path("/sys/kernel/mm/hugepages")


def enforcement(
    configuration: KubeletConfiguration,
    controllers: Collection[str],
    memory: int,
    allocatable: Mapping[str, str],
) -> Enforcement:
    """`memory`: what the node has, in bytes; `allocatable`: what pods may have."""
    return Enforcement(
        pids_limit=configuration.podPidsLimit,
        cpu_quota=configuration.cpuCFSQuota,
        cpu_period_us=configuration.cpu_period,
        single_process_oom_kill=configuration.singleProcessOOMKill,
        huge_pages=tuple(sorted(huge_pages())) if "hugetlb" in controllers else (),
        memory=MemoryQoS(
            enabled=configuration.memory_qos,
            throttling_factor=configuration.memoryThrottlingFactor,
            tiered_reservation=configuration.memoryReservationPolicy == "TieredReservation",
            limited_swap=configuration.memorySwap.swap_behavior == "LimitedSwap",
            allocatable=whole(allocatable.get("memory")),
            capacity=memory,
            swap_total=swap_total(),
        ),
    )


def huge_pages(root: Path = HUGE_PAGES) -> dict[int, int]:
    """The page sizes this kernel has → bytes set aside for them (hugetlbpage.rst); empty without hugetlb."""
    found = {}
    for directory in root.glob("hugepages-*kB"):
        size = int(directory.name.removeprefix("hugepages-").removesuffix("kB")) * 1024
        found[size] = size * int((directory / "nr_hugepages").read_text())
    return found


def swap_total(meminfo: Path = Path("/proc/meminfo")) -> int:
    """SwapTotal of proc(5), in bytes; 0 for a kernel without swap."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("SwapTotal:"):
            return int(line.split()[1]) * 1024
    return 0
