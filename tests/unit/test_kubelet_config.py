"""What a configuration file may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikubelet.kubelet_config import ConfigurationError, KubeletConfiguration, read_configuration
from minikubelet.runtime.enforcement import enforcement, huge_pages, swap_total
from minikubelet.runtime.memory_qos import MemoryQoS
from minikubelet.runtime.resources import Enforcement

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
GI = 1 << 30


def read(path: Path, text: str) -> KubeletConfiguration:
    file = path / "kubelet.yaml"
    file.write_text(HEAD + text)
    return read_configuration(file)


def test_settings_of_resources_reach_the_cgroups(tmp_path: Path) -> None:
    text = """
podPidsLimit: 100
cpuCFSQuota: false
cpuCFSQuotaPeriod: 50ms
singleProcessOOMKill: true
featureGates: {MemoryQoS: true}
memoryThrottlingFactor: 0.5
memoryReservationPolicy: TieredReservation
memorySwap: {swapBehavior: LimitedSwap}
"""
    made = enforcement(read(tmp_path, text), {"memory"}, 4 * GI, {"memory": "3Gi"})
    assert made == Enforcement(
        pids_limit=100,
        cpu_quota=False,
        cpu_period_us=50_000,
        single_process_oom_kill=True,
        memory=MemoryQoS(True, 0.5, True, True, 3 * GI, 4 * GI, swap_total()),
    )


def test_without_a_file_they_are_the_kubelets() -> None:
    made = enforcement(read_configuration(None), {"memory"}, GI, {"memory": "1Gi"})
    assert made == Enforcement(memory=MemoryQoS(allocatable=GI, capacity=GI, swap_total=swap_total()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "featureGates: {MemoryQoS: true, NodeSwap: false}",
            "this node has no gate NodeSwap, only MemoryQoS",
        ),
        ("cpuCFSQuotaPeriod: 2s", "cpuCFSQuotaPeriod must be between 1ms and 1s, inclusive"),
        ("cpuCFSQuotaPeriod: 10", "Expected `str`, got `int`"),
        ("cpuCFSQuotaPeriod: 1.0.0s", "cannot read duration '1.0.0s'"),
        ("memoryThrottlingFactor: 0", "must be greater than 0 and less than or equal to 1.0"),
        ("memoryReservationPolicy: TieredReservation", "needs the feature gate MemoryQoS"),
        ("userNamespaces: {idsPerPod: 65537}", "userNamespaces.idsPerPod 65537 must be a multiple of 65536"),
        ("userNamespaces: {idsPerPod: 0}", "userNamespaces.idsPerPod 0 must be a multiple of 65536"),
        ("memorySwap: {swapBehavior: UnlimitedSwap}", "Invalid enum value 'UnlimitedSwap'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
        read(tmp_path, text)


def test_page_sizes_and_what_is_set_aside_are_read_from_the_kernel(tmp_path: Path) -> None:
    assert huge_pages(tmp_path / "none") == {}
    for size, pages in (("2048", "3"), ("1048576", "0")):
        directory = tmp_path / f"hugepages-{size}kB"
        directory.mkdir()
        (directory / "nr_hugepages").write_text(f"{pages}\n")
    assert huge_pages(tmp_path) == {2 << 20: 6 << 20, GI: 0}
