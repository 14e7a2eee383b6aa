"""The agent's own nftables tables, written as text for `nft -f -` in one transaction.

Two tables of one name: in the family ip what is forwarded and masqueraded, in the family bridge who may send
under which address. Everything is in tables of our own, so nothing of the node's firewall is touched and all
of it goes with two `delete table`. Both are replaced in one transaction: the kernel either takes all of it or
none, and no packet ever meets half of it. What another table drops, ours cannot allow (in nftables an accept
ends only its own chain); such chains are therefore looked for and reported.

The rules never change while pods come and go: a pod is an element of the set and the maps below, which
`nfnetlink` adds and removes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from minikubelet.v1.host_ports import EVERY_ADDRESS, HostPort

DEFAULT_BRIDGE = "mk0"

# The set and the maps of pods, by their names.
SENDERS = "senders"  # port of the bridge . MAC . address: family bridge
PORTS_OF_ADDRESS = "ports_of_address"  # protocol . address . port → address . port: family ip
PORTS = "ports"  # protocol . port → address . port: family ip

LOOPBACK = IPv4Network("127.0.0.0/8")
DNS = 53


@dataclass(frozen=True, slots=True)
class Member:
    """A pod of the network, as the tables know it."""

    link: str  # the node's side of its pair
    mac: str
    address: IPv4Address
    ports: tuple[HostPort, ...] = ()

    @property
    def uses_loopback(self) -> bool:
        """Whether 127.0.0.1 of the node leads to it."""
        return any(
            port.address == EVERY_ADDRESS or IPv4Address(port.address) in LOOPBACK for port in self.ports
        )


def table_name(bridge: str) -> str:
    """Agents side by side differ by their bridge, and so do their tables."""
    return "minikubelet" if bridge == DEFAULT_BRIDGE else f"minikubelet-{bridge}"


def link_group(bridge: str) -> int:
    """By which the bridge table knows the ports of this bridge: `iifgroup` is in every kernel, the bridge's
    name (nft_meta_bridge) is not. A large number: people and other programs use small ones.
    """
    return int.from_bytes(hashlib.sha256(bridge.encode()).digest()[:4]) >> 1 | 1 << 30


def apply(text: str) -> None:
    """One transaction. OSError when the kernel or nft refuses it."""
    _nft(text, "-f", "-")


def replace_forwarding(bridge: str, cidr: IPv4Network, members: Iterable[Member]) -> str:
    """The table of the family ip from scratch, whatever was there before.

    A hostPort is looked up for packets to addresses of the node, from outside and from the node itself. What
    comes back must pass this node again: between two pods, and from the node's loopback, the pod is
    therefore asked under the bridge's address. Loopback is open to nobody else: `route_localnet`, which
    forwarding from 127.0.0.1 needs, would let pods in (CVE-2020-8558), hence `guard`. It also stops packets
    from elsewhere that call themselves a pod's. Where pods ask for names (the bridge's own address, port 53)
    no pod may answer.
    """
    ports, ports_of_address = _port_elements(members)
    return f"""\
{_fresh("ip", bridge)}
table ip {table_name(bridge)} {{
    map {PORTS_OF_ADDRESS} {{
        type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; {_elements(ports_of_address)}
    }}
    map {PORTS} {{
        type inet_proto . inet_service : ipv4_addr . inet_service; {_elements(ports)}
    }}
    chain host_ports {{
        ip daddr {cidr.network_address + 1} th dport {DNS} return comment "the node's resolver"
        dnat ip to meta l4proto . ip daddr . th dport map @{PORTS_OF_ADDRESS}
        dnat ip to meta l4proto . th dport map @{PORTS}
    }}
    chain prerouting {{
        type nat hook prerouting priority -100
        fib daddr type local jump host_ports
    }}
    chain output {{
        type nat hook output priority -100
        fib daddr type local jump host_ports
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        ip saddr {cidr} oifname != {{ "{bridge}", "lo" }} masquerade comment "egress of pods"
        ip saddr {cidr} oifname "{bridge}" ct status dnat masquerade comment "pod to pod by a hostPort"
        ip saddr {LOOPBACK} oifname "{bridge}" masquerade comment "hostPort at the node's loopback"
    }}
    chain redirects {{
        type filter hook output priority 0
        oifname "{bridge}" icmp type redirect drop comment "a pod would take it and go past us"
    }}
    chain guard {{
        type filter hook prerouting priority -300
        iifname "{bridge}" ip daddr {LOOPBACK} drop
        iifname != {{ "{bridge}", "lo" }} ip saddr {cidr} drop
    }}
}}
"""


def replace_senders(bridge: str, members: Iterable[Member]) -> str:
    """The table of the family bridge from scratch: a pod sends with its own MAC and address, or not at all.

    IPv4 and ARP only: the pod network has no IPv6, so nobody answers for link-local addresses either. Before
    the bridge learns where a MAC is (`prerouting`), and for the link-local frames that do not come by there
    (`input`).
    """
    elements = [f'"{member.link}" . {member.mac} . {member.address}' for member in members]
    return f"""\
{_fresh("bridge", bridge)}
table bridge {table_name(bridge)} {{
    set {SENDERS} {{
        type ifname . ether_addr . ipv4_addr; {_elements(elements)}
    }}
    chain source {{
        iifgroup != {link_group(bridge)} return
        ether type ip iifname . ether saddr . ip saddr @{SENDERS} return
        ether type arp iifname . ether saddr . arp saddr ip @{SENDERS} \\
            iifname . arp saddr ether . arp saddr ip @{SENDERS} return
        drop
    }}
    chain prerouting {{
        type filter hook prerouting priority -300
        jump source
    }}
    chain input {{
        type filter hook input priority -300
        jump source
    }}
}}
"""


def delete_table(family: str, bridge: str) -> str:
    """Accepts that the table is gone already: `add` makes sure there is one to delete."""
    name = f"{family} {table_name(bridge)}"
    return f"add table {name}\ndelete table {name}\n"


def dropping_forward_chains() -> list[str]:
    """Chains of others that drop forwarded packets by default, as "family table chain"."""
    found = []
    for item in json.loads(_nft("", "-j", "list", "chains"))["nftables"]:
        chain = item.get("chain", {})
        drops = chain.get("hook") == "forward" and chain.get("policy") == "drop"
        if drops and chain["family"] in ("ip", "inet"):
            found.append(f"{chain['family']} {chain['table']} {chain['name']}")
    return found


def _fresh(family: str, bridge: str) -> str:
    return delete_table(family, bridge).rstrip()


def _port_elements(members: Iterable[Member]) -> tuple[list[str], list[str]]:
    """For the map of ports of every address, and of ports of one."""
    every, one = [], []
    for member in members:
        for port in member.ports:
            goal = f"{member.address} . {port.container_port}"
            protocol = port.protocol.lower()
            if port.address == EVERY_ADDRESS:
                every.append(f"{protocol} . {port.port} : {goal}")
            else:
                one.append(f"{protocol} . {port.address} . {port.port} : {goal}")
    return every, one


def _elements(elements: list[str]) -> str:
    return f"elements = {{ {', '.join(elements)} }}" if elements else ""


def _nft(text: str, *words: str) -> str:
    """Blocks for some milliseconds: call it in a worker thread."""
    command = ["nft", *words]
    try:
        result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError as error:
        raise OSError(error.errno, "cannot run nft: not found; install the package nftables") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"cannot run {' '.join(command)}: no answer in 30 s") from error
    if result.returncode != 0:
        raise OSError(f"cannot run {' '.join(command)}: {result.stderr.strip()}")
    return result.stdout
