"""The ports of the node that a pod asks for: `ports[].hostPort` as everybody who deals with them needs it.

The scheduler keeps two pods from having the same one (`agent.host_ports`), the network forwards them to the
pod (`runtime.network`). Regular containers and sidecars count, as in the scheduler: what an ordinary init
container says has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.v1.pod import Pod
from minikubelet.v1.qos import is_sidecar

EVERY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class HostPort:
    """`address` is the node's, 0.0.0.0: all of them; `protocol` is TCP, UDP or SCTP."""

    protocol: str
    address: str
    port: int
    container_port: int

    def conflicts(self, other: HostPort) -> bool:
        """On one node both cannot be (7.1): 0.0.0.0 is every address."""
        return (self.protocol, self.port) == (other.protocol, other.port) and (
            self.address == other.address or EVERY_ADDRESS in (self.address, other.address)
        )


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """In the order of the manifest. Those of a pod in the node's network are its container ports."""
    spec = pod.spec
    if spec is None:
        return ()
    sidecars = [container for container in spec.init_containers or () if is_sidecar(container)]
    return tuple(
        HostPort(port.protocol or "TCP", port.host_ip or EVERY_ADDRESS, port.host_port, port.container_port)
        for container in (*(spec.containers or ()), *sidecars)
        for port in container.ports or ()
        if port.host_port and port.container_port
    )
