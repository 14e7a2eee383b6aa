"""Which kernel parameters a pod may set for itself (kubelet-behaviour 7.1). Pure.

The safe ones: they belong to a namespace of the pod, and no other pod feels them. And those that the
node's configuration allows (`allowedUnsafeSysctls`), by name or by a prefix with a `*` behind it; they too
must belong to a namespace, for a pod never sets what is the node's (`shim.sandbox.set_sysctl` sees to it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from minikubelet.kubelet_config import ConfigurationError
from minikubelet.v1 import Pod, PodSpec
from minikubelet.v1.validation.security import IPC_SYSCTLS, NET_SYSCTL, SYSCTL_SEGMENT

from .facts import Rejection

SAFE = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
"""The kubelet's list. The newest came with Linux 4.15: every kernel that runs this has them all."""

REASON = "SysctlForbidden"
_PATTERN = re.compile(rf"{SYSCTL_SEGMENT}([\./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*([\./]?\*)?")
_MAX_LENGTH = 253


def sysctl_rejection(pod: Pod, allowed: Iterable[str]) -> Rejection | None:
    """The first parameter of the pod that it may not set. `allowed`: see `allowed_unsafe`."""
    spec = pod.spec or PodSpec()
    context = spec.security_context
    for sysctl in (context.sysctls if context else None) or ():
        name = dotted(sysctl.name or "")
        if not any(_matches(name, pattern) for pattern in (*SAFE, *allowed)):
            return Rejection(REASON, f'forbidden sysctl: "{name}" not allowlisted')
        if spec.host_network and namespace(name) == "net":
            return Rejection(REASON, f'forbidden sysctl: "{name}" not allowed with host net enabled')
        if spec.host_ipc and namespace(name) == "ipc":
            return Rejection(REASON, f'forbidden sysctl: "{name}" not allowed with host ipc enabled')
    return None


def allowed_unsafe(patterns: Sequence[str]) -> tuple[str, ...]:
    """The configuration's list, checked. Raises ConfigurationError with the kubelet's words."""
    for pattern in patterns:
        if len(pattern) > _MAX_LENGTH or not _PATTERN.fullmatch(pattern):
            form = f"must have at most {_MAX_LENGTH} characters and match regex {_PATTERN.pattern}"
            raise ConfigurationError(f'allowedUnsafeSysctls: sysctl "{pattern}" {form}')
        if not namespace(dotted(pattern).removesuffix("*")):
            raise ConfigurationError(
                f'allowedUnsafeSysctls: the sysctl "{pattern}" are not known to be namespaced'
            )
    return tuple(dotted(pattern) for pattern in patterns)


def dotted(name: str) -> str:
    """net/ipv4/conf/eth0.1/x is net.ipv4.conf.eth0/1.x: the first separator says which of both is meant."""
    separator = re.search(r"[./]", name)
    if separator is None or separator[0] == ".":
        return name
    return name.translate(str.maketrans("./", "/."))


def namespace(name: str) -> str:
    """net, ipc, or empty: the node's."""
    if name.startswith(NET_SYSCTL):
        return "net"
    return "ipc" if name.startswith(IPC_SYSCTLS) else ""


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
