"""Does a pod ask for a port of the node that another pod has (kubelet-behaviour 7.1, NodePorts)?

Pure. The scheduler lets the pod wait until the port is free, the kubelet rejects it; both words are here.
"""

from __future__ import annotations

from collections.abc import Iterable

from minikubelet.v1 import Pod
from minikubelet.v1.host_ports import HostPort, host_ports

UNSCHEDULABLE = "node(s) didn't have free ports for the requested pod ports"
REJECTION = ("NodePorts", f"Predicate NodePorts failed: {UNSCHEDULABLE}")  # reason and message


def port_conflict(pod: Pod, others: Iterable[Pod]) -> HostPort | None:
    """The first port of `pod` that one of the `others` has; None: all are free.

    `others` are the pods of this node that are not over yet, without `pod` itself.
    """
    wanted = host_ports(pod)
    if not wanted:
        return None
    taken = [port for other in others for port in host_ports(other)]
    return next((port for port in wanted if any(port.conflicts(other) for other in taken)), None)
