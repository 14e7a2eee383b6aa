"""`--config FILE`: the fields of kubelet.config.k8s.io/v1beta1 KubeletConfiguration that mean something here.

A field that is not in `KubeletConfiguration` is refused with its name: a setting that is read and dropped
would be a lie.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import yaml

from minikubelet.errors import MinikubeletError

API_VERSION, KIND = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"


class ConfigurationError(MinikubeletError):
    """The file cannot be used; the message says where and why."""


class CrashLoopBackOff(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    max_container_restart_period: str = "5m0s"


class KubeletConfiguration(msgspec.Struct, rename={"cluster_dns": "clusterDNS"}, forbid_unknown_fields=True):
    """Defaults are the kubelet's."""

    apiVersion: str = API_VERSION
    kind: str = KIND
    maxPods: int = 110
    podPidsLimit: int = -1
    clusterDomain: str = "cluster.local"
    cluster_dns: list[str] = []
    resolvConf: str = "/etc/resolv.conf"
    containerLogMaxSize: str = "10Mi"
    containerLogMaxFiles: int = 5
    crashLoopBackOff: CrashLoopBackOff = msgspec.field(default_factory=CrashLoopBackOff)

    @property
    def max_restart_period(self) -> float:
        """Seconds; the kubelet accepts 1 s to 300 s."""
        return seconds(self.crashLoopBackOff.max_container_restart_period)


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
    return configuration


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(duration: str) -> float:
    """Go's duration text, `1m30s`. Raises ConfigurationError."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ConfigurationError(f"cannot read duration {duration!r}: write it as 10s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
