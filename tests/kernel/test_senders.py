"""No pod sends under another's name (issue 4.4): frames made by hand, from a pod that may do anything.

The defence is the chain `source` in `nftables.replace_senders`, with `Tables.add` as doorkeeper. Each test
sends false frames and then a true one; the bridge keeps their order, so when the true one has arrived, the
false ones would have, too.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from minikubelet.runtime.network import Network
from minikubelet.shim.protocol import NetworkSpec
from minikubelet.v1.host_ports import HostPort

from .pod_networks import BRIDGE, LIMIT, Holder, in_namespace, plugged, run, started

ETH_P_ALL = 3
IPV4, ARP, IPV6, VLAN = 0x0800, 0x0806, 0x86DD, 0x8100
EVERYBODY = "ff:ff:ff:ff:ff:ff"
# Groups whose frames go to the node's bridge only, each on a way of its own.
LINK_LOCAL = {"LACP": "01:80:c2:00:00:02", "LLDP": "01:80:c2:00:00:0e"}


class Pod:
    """A holder with its addresses and a raw socket on its eth0."""

    def __init__(self, holder: Holder, spec: NetworkSpec) -> None:
        self.holder = holder
        self.ip = spec.address
        self.mac = ":".join(f"{byte:02x}" for byte in (0x0A, 0x58, *socket.inet_aton(spec.address)))
        self.raw: socket.socket = in_namespace(holder.pid, raw_socket)
        self.raw.settimeout(LIMIT)

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.raw.send(frame)

    def receive_until(self, last: bytes) -> list[bytes]:
        """What others sent here, up to the frame that holds `last`, without it."""
        seen: list[bytes] = []
        while True:
            frame = self.raw.recv(2048)
            if last in frame:
                return seen
            seen.append(frame)


def raw_socket() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    made.bind(("eth0", 0))
    return made


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(to: str, source: str, kind: int, payload: bytes) -> bytes:
    return mac(to) + mac(source) + struct.pack(">H", kind) + payload


def packet(source: str, to: str, data: bytes) -> bytes:
    """UDP without checksum from port 1 to port 9, in IPv4 with one."""
    udp = struct.pack(">HHHH", 1, 9, 8 + len(data), 0) + data
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    head += socket.inet_aton(source) + socket.inet_aton(to)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + udp


def arp(kind: int, source_mac: str, source: str, to_mac: str, to: str) -> bytes:
    return struct.pack(">HHBBH", 1, IPV4, 6, 4, kind) + b"".join(
        (mac(source_mac), socket.inet_aton(source), mac(to_mac), socket.inet_aton(to))
    )


def tagged(inner: int, payload: bytes) -> bytes:
    """The payload of a frame of VLAN 5."""
    return struct.pack(">HH", 5, inner) + payload


False_ = Callable[["Pod", "Pod", "Pod"], bytes]

FALSE: dict[str, False_] = {
    "another's address": lambda a, b, v: frame(v.mac, a.mac, IPV4, packet(b.ip, v.ip, b"FALSE")),
    "another's MAC": lambda a, b, v: frame(v.mac, b.mac, IPV4, packet(a.ip, v.ip, b"FALSE")),
    "another's MAC and address": lambda a, b, v: frame(v.mac, b.mac, IPV4, packet(b.ip, v.ip, b"FALSE")),
    "the node's": lambda a, b, v: frame(v.mac, a.mac, IPV4, packet("10.244.91.1", v.ip, b"FALSE")),
    "an address of the world": lambda a, b, v: frame(v.mac, a.mac, IPV4, packet("192.0.2.1", v.ip, b"FALSE")),
    "ARP: I have another's address": lambda a, b, v: frame(
        v.mac, a.mac, ARP, arp(2, a.mac, b.ip, v.mac, v.ip) + b"FALSE"
    ),
    "ARP: my address is at another's MAC": lambda a, b, v: frame(
        v.mac, a.mac, ARP, arp(2, b.mac, a.ip, v.mac, v.ip) + b"FALSE"
    ),
    "ARP: I am the gateway": lambda a, b, v: frame(
        EVERYBODY, a.mac, ARP, arp(1, a.mac, "10.244.91.1", EVERYBODY, "10.244.91.1") + b"FALSE"
    ),
    "IPv6": lambda a, b, v: frame(v.mac, a.mac, IPV6, b"\x60" + bytes(39) + b"FALSE"),
    "another kind": lambda a, b, v: frame(v.mac, a.mac, 0x88B5, b"FALSE"),
    "VLAN": lambda a, b, v: frame(v.mac, a.mac, VLAN, tagged(IPV4, packet(b.ip, v.ip, b"FALSE"))),
}


async def three(network: Network, stack: ExitStack) -> list[Pod]:
    pods = []
    for number in range(3):
        holder = stack.enter_context(Holder())
        pod = Pod(holder, await plugged(network, holder, f"uid-{number}", "one"))
        stack.enter_context(pod.raw)
        pods.append(pod)
    return pods


@pytest.mark.parametrize("kind", FALSE)
def test_a_false_frame_does_not_arrive(state_dir: Path, kind: str) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with ExitStack() as stack:
                attacker, other, victim = await three(network, stack)
                true = frame(victim.mac, attacker.mac, IPV4, packet(attacker.ip, victim.ip, b"TRUE"))
                attacker.send(FALSE[kind](attacker, other, victim), true)
                assert not [seen for seen in victim.receive_until(b"TRUE") if b"FALSE" in seen]

    asyncio.run(story())


@pytest.mark.parametrize("group", LINK_LOCAL)
def test_a_false_mac_is_not_learned_by_any_way(state_dir: Path, group: str) -> None:
    """Or the bridge would send the other pod's packets to the attacker. Frames for link-local groups do not
    come by `prerouting`: the defences are the chain `input` of `replace_senders` (LACP) and FORWARD_LLDP.
    """

    async def story() -> None:
        async with started(state_dir) as network:
            with ExitStack() as stack:
                attacker, other, victim = await three(network, stack)
                other.send(frame(victim.mac, other.mac, IPV4, packet(other.ip, victim.ip, b"TRUE")))
                victim.receive_until(b"TRUE")
                place = port_of(other.mac)
                attacker.send(
                    frame(LINK_LOCAL[group], other.mac, 0x88CC, b"FALSE"),
                    frame(victim.mac, other.mac, IPV4, packet(attacker.ip, victim.ip, b"FALSE")),
                    frame(victim.mac, attacker.mac, IPV4, packet(attacker.ip, victim.ip, b"TRUE")),
                )
                victim.receive_until(b"TRUE")
                assert port_of(other.mac) == place

    asyncio.run(story())


def port_of(address: str) -> str:
    """Behind which port the bridge believes a MAC to be."""
    entries = json.loads(run("bridge", "-j", "fdb", "show", "br", BRIDGE))
    (found,) = {entry["ifname"] for entry in entries if entry["mac"] == address}
    return str(found)


def test_while_loopback_is_routed_pods_still_cannot_reach_it(state_dir: Path) -> None:
    """CVE-2020-8558: a packet for 127.0.0.1, carried to the node's MAC. A hostPort has `route_localnet` on;
    the defence is the first rule of `guard` in `nftables.replace_forwarding`.
    """
    gateway, port = "10.244.91.1", HostPort("TCP", "0.0.0.0", 18080, 8080)

    async def story() -> None:
        async with started(state_dir) as network:
            with ExitStack() as stack:
                pod = stack.enter_context(Holder())
                attacker = Pod(pod, await plugged(network, pod, "uid-1", "one", [port]))
                stack.enter_context(attacker.raw)
                assert Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet").read_text() == "1\n"
                secret, public = (
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
                )
                secret.bind(("127.0.0.1", 9))
                public.bind((gateway, 9))
                node = Path(f"/sys/class/net/{BRIDGE}/address").read_text().strip()
                attacker.send(
                    frame(node, attacker.mac, IPV4, packet(attacker.ip, "127.0.0.1", b"FALSE")),
                    frame(node, attacker.mac, IPV4, packet(attacker.ip, gateway, b"TRUE")),
                )
                public.settimeout(LIMIT)
                assert public.recv(100) == b"TRUE"
                secret.settimeout(0)
                with pytest.raises(BlockingIOError):
                    secret.recv(100)

    asyncio.run(story())


def test_a_pod_that_is_gone_leaves_no_right_to_its_address(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod:
                spec = await plugged(network, pod, "uid-1", "one")
                listed = ("nft", "list", "set", "bridge", f"minikubelet-{BRIDGE}", "senders")
                assert spec.address in run(*listed)
                await network.detach("uid-1")
                assert spec.address not in run(*listed)

    asyncio.run(story())
