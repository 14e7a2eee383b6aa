"""`--config FILE`: the fields of kubelet.config.k8s.io/v1beta1 KubeletConfiguration that mean something here.

A field that is not in `KubeletConfiguration` is refused with its name: a setting that is read and dropped
would be a lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from minikubelet.errors import MinikubeletError

MEMORY_QOS = "MemoryQoS"
API_VERSION, KIND = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"


class ConfigurationError(MinikubeletError):
    """The file cannot be used; the message says where and why."""


class CrashLoopBackOff(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    max_container_restart_period: str = "5m0s"


class MemorySwap(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    swap_behavior: Literal["", "NoSwap", "LimitedSwap"] = ""


class UserNamespaces(msgspec.Struct, rename={"ids_per_pod": "idsPerPod"}, forbid_unknown_fields=True):
    ids_per_pod: int = 65536


class KubeletConfiguration(msgspec.Struct, rename={"cluster_dns": "clusterDNS"}, forbid_unknown_fields=True):
    """Defaults are the kubelet's, but for seccompDefault (docs/decisions.md)."""

    apiVersion: str = API_VERSION
    kind: str = KIND
    maxPods: int = 110
    podsPerCore: int = 0  # 0: does not count
    kubeReserved: dict[str, str] = {}
    systemReserved: dict[str, str] = {}
    registerWithTaints: list[dict[str, str]] = []
    podPidsLimit: int = -1
    clusterDomain: str = "cluster.local"
    cluster_dns: list[str] = []
    resolvConf: str = "/etc/resolv.conf"
    containerLogMaxSize: str = "10Mi"
    containerLogMaxFiles: int = 5
    seccompDefault: bool = True
    allowedUnsafeSysctls: list[str] = []
    evictionHard: dict[str, str] | None = None  # None: the kubelet's defaults; given, it replaces them all
    evictionSoft: dict[str, str] = {}
    evictionSoftGracePeriod: dict[str, str] = {}
    evictionMinimumReclaim: dict[str, str] = {}
    evictionPressureTransitionPeriod: str = "5m0s"
    evictionMaxPodGracePeriod: int = 0
    imageGCHighThresholdPercent: int = 85
    imageGCLowThresholdPercent: int = 80
    imageMinimumGCAge: str = "2m0s"
    imageMaximumGCAge: str = "0s"
    crashLoopBackOff: CrashLoopBackOff = msgspec.field(default_factory=CrashLoopBackOff)
    featureGates: dict[str, bool] = {}
    cpuCFSQuota: bool = True
    cpuCFSQuotaPeriod: str = "100ms"
    singleProcessOOMKill: bool = False
    memoryThrottlingFactor: float = 0.9
    memoryReservationPolicy: Literal["None", "TieredReservation"] = "None"
    memorySwap: MemorySwap = msgspec.field(default_factory=MemorySwap)
    userNamespaces: UserNamespaces = msgspec.field(default_factory=UserNamespaces)

    @property
    def max_restart_period(self) -> float:
        """Seconds; the kubelet accepts 1 s to 300 s."""
        return seconds(self.crashLoopBackOff.max_container_restart_period)

    @property
    def memory_qos(self) -> bool:
        """The gate, which is off in 1.36 unless it is opened."""
        return self.featureGates.get(MEMORY_QOS, False)

    @property
    def cpu_period(self) -> int:
        """Microseconds; the kubelet accepts 1 ms to 1 s."""
        return round(seconds(self.cpuCFSQuotaPeriod) * 1_000_000)


def read_configuration(path: Path | None) -> KubeletConfiguration:
    """The file's settings over the defaults. Raises ConfigurationError."""
    if path is None:
        return KubeletConfiguration()
    try:
        data = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        configuration = msgspec.convert(data, KubeletConfiguration)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"cannot read configuration {path}: {error}") from error
    if (configuration.apiVersion, configuration.kind) != (API_VERSION, KIND):
        raise ConfigurationError(f"cannot read configuration {path}: it is no {KIND} of {API_VERSION}")
    if not 1 <= configuration.max_restart_period <= 300:
        raise ConfigurationError(
            f"cannot read configuration {path}: "
            "crashLoopBackOff.maxContainerRestartPeriod must be between 1s and 300s"
        )
    for problem in _problems(configuration):
        raise ConfigurationError(f"cannot read configuration {path}: {problem}")
    return configuration


def _problems(configuration: KubeletConfiguration) -> Iterator[str]:
    """What the types do not say, in the kubelet's words where it has some."""
    unknown = sorted(set(configuration.featureGates) - {MEMORY_QOS})
    if unknown:
        yield f"featureGates: this node has no gate {', '.join(unknown)}, only {MEMORY_QOS}"
    ids = configuration.userNamespaces.ids_per_pod
    if not 65536 <= ids < 1 << 32 or ids % 65536:
        yield f"userNamespaces.idsPerPod {ids} must be a multiple of 65536"
    if not 1000 <= configuration.cpu_period <= 1_000_000:
        yield "cpuCFSQuotaPeriod must be between 1ms and 1s, inclusive"
    if not 0 < configuration.memoryThrottlingFactor <= 1:
        yield "memoryThrottlingFactor must be greater than 0 and less than or equal to 1.0"
    if configuration.memoryReservationPolicy != "None" and not configuration.memory_qos:
        yield f"memoryReservationPolicy needs the feature gate {MEMORY_QOS}"
    low, high = configuration.imageGCLowThresholdPercent, configuration.imageGCHighThresholdPercent
    if not 0 <= low < high <= 100:
        yield (
            f"imageGCLowThresholdPercent {low} must be less than imageGCHighThresholdPercent {high}, "
            "both between 0 and 100"
        )


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(duration: str) -> float:
    """Go's duration text, `1m30s`. Raises ConfigurationError."""
    parts = re.findall(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ConfigurationError(f"cannot read duration {duration!r}: write it as 10s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
