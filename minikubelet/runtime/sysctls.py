"""The kernel parameters of a pod: containerd's two, then the manifest's. Pure.

Which a manifest may name was decided before (`agent.sysctls`); the shim sets them in the pod's own namespaces
before anything runs there.
"""

from __future__ import annotations

from minikubelet.v1 import Pod, PodSpec

SANDBOX_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}


def sandbox_sysctls(pod: Pod) -> dict[str, str]:
    """Name → value; the pod's own win. In the node's network nothing is set by itself."""
    spec = pod.spec or PodSpec()
    asked = (spec.security_context.sysctls if spec.security_context else None) or ()
    usual = {} if spec.host_network else SANDBOX_SYSCTLS
    return usual | {sysctl.name or "": sysctl.value or "" for sysctl in asked}
