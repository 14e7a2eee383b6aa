"""Pods for the tests of the network: an own bridge, real namespaces, real packets.

A pod is played by a process that has unshared its network namespace and sleeps; what the shim does in there
(address, route, links up) is done by ip(8). Packets go only between these namespaces and this node.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from minikubelet.runtime.network import NETNS, Network
from minikubelet.shim.protocol import NetworkSpec
from minikubelet.v1.host_ports import HostPort
from tests.kernel.shims import FACTOR

BRIDGE = "mkt0"
CIDR = "10.244.91.0/24"
BRIDGES = ("mkt0", "mkt1", "mkt2")
NAMES = ("web", "one", "two")
LIMIT = 10.0 * FACTOR


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=30 * FACTOR)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def traces() -> dict[str, Any]:
    """What our bridges leave on a node; others may be at work on it too."""
    links = {link["ifname"] for link in json.loads(run("ip", "-j", "link"))}
    tables = {line.split()[-1] for line in run("nft", "list", "tables").splitlines()}
    return {
        "links": {name for name in links if name.startswith(BRIDGES)} | ports(),
        "tables": {name for name in tables if name.removesuffix("-services").endswith(BRIDGES)},
        "netns": {name for name in os.listdir(NETNS) if name.split(".")[0] in NAMES}
        if NETNS.exists()
        else set(),
    }


def ports() -> set[str]:
    found = set()
    for bridge in BRIDGES:
        if Path("/sys/class/net", bridge).exists():
            found |= set(os.listdir(Path("/sys/class/net", bridge, "brif")))
    return found


def published(name: str) -> bool:
    return os.path.lexists(NETNS / name)


@asynccontextmanager
async def started(state_dir: Path, bridge: str = BRIDGE, cidr: str = CIDR) -> AsyncIterator[Network]:
    network = Network(bridge, cidr, state_dir)
    await network.start()
    try:
        yield network
    finally:
        for uid in network.holders():
            await network.detach(uid)
        await network.stop(remove=True)


class Holder:
    """A process in a network namespace of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo in; exec sleep 600"], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.pid = self.process.pid

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def inside(self, *command: str) -> str:
        return run("nsenter", f"--net=/proc/{self.pid}/ns/net", *command)

    def configure(self, spec: NetworkSpec) -> None:
        """What the shim does for `configure_network`."""
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "address", "add", f"{spec.address}/{spec.prefix}", "dev", "eth0")
        self.inside("ip", "route", "add", "default", "via", spec.gateway)

    def listen(self, address: str) -> socket.socket:
        """A listening socket of this namespace: sockets belong to the namespace they were made in."""
        return in_namespace(self.pid, lambda: socket.create_server((address, 8080)))

    def connect(self, address: str) -> str:
        """The address under which a peer sees a connection from here."""

        def dial() -> str:
            with socket.create_connection((address, 8080), timeout=LIMIT) as connection:
                return connection.getsockname()[0]

        return in_namespace(self.pid, dial)


def in_namespace(pid: int, work: Callable[[], Any]) -> Any:
    """Run `work` on a thread that has entered the network namespace of `pid`."""
    import ctypes
    from concurrent.futures import ThreadPoolExecutor

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/ns/net") as namespace:
            assert libc.setns(namespace.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())

    with ThreadPoolExecutor(1, initializer=enter) as thread:
        return thread.submit(work).result()


def peer_of(server: socket.socket) -> str:
    """The address that the next client of `server` comes from."""
    connection, (address, _) = server.accept()
    connection.close()
    return str(address)


async def plugged(
    network: Network, holder: Holder, uid: str, name: str = "web", ports: Sequence[HostPort] = ()
) -> NetworkSpec:
    spec = await network.attach(uid, holder.pid, name, "default", ports)
    holder.configure(spec)
    await network.until_it_forwards(uid)
    return spec
