"""Which ports of the node lead to which pod, written down beside the addresses for the next agent.

The tables of the kernel cannot be the memory: they may be gone. One file per pod that has any, `UID`, a line
per port: `TCP 0.0.0.0 8080 80`. Like the addresses they lie on a tmpfs: they live as long as the pods do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minikubelet.v1.host_ports import HostPort


class PortRecords:
    """The host ports of all pods that have some, in memory and in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports: dict[str, tuple[HostPort, ...]] = {}

    def load(self) -> None:
        """Read what an earlier agent left; a file that was being written is not there yet."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.iterdir():
            if path.suffix == ".new":
                path.unlink()
            else:
                self._ports[path.name] = tuple(_parse(line) for line in path.read_text().splitlines())

    def of(self, uid: str) -> tuple[HostPort, ...]:
        return self._ports.get(uid, ())

    def write(self, uid: str, ports: Sequence[HostPort]) -> None:
        self._ports[uid] = tuple(ports)
        new = self._directory / f"{uid}.new"
        new.write_text(
            "".join(f"{port.protocol} {port.address} {port.port} {port.container_port}\n" for port in ports)
        )
        new.replace(self._directory / uid)

    def forget(self, uid: str) -> None:
        """Nothing happens when the pod has none."""
        if self._ports.pop(uid, None) is not None:
            (self._directory / uid).unlink(missing_ok=True)


def _parse(line: str) -> HostPort:
    protocol, address, port, container_port = line.split()
    return HostPort(protocol, address, int(port), int(container_port))
