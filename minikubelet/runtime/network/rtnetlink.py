"""The few rtnetlink messages of the pod network, on one plain netlink socket.

A netlink request runs inside `send`: when it returns, the acknowledgement is already waiting. So there is
nothing to await, no buffer to tune and no thread inside; the caller keeps it off the event loop because of
the kernel's rtnl lock. Addresses and links are named in the messages themselves, so nothing is ever looked up
first.

pyroute2 marshals the messages. Its `__init__` imports the whole library (70 ms, 10 MiB on top of the agent's
own), of which two message classes are needed (6 ms, 1.2 MiB), so these are imported without it; see
`_load_messages`.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import socket
import struct
import sys
import types
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from minikubelet.errors import NodeNotFit

POD_INTERFACE = "eth0"

# rtnetlink(7), netlink(7); socket.h has them, the socket module has not.
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE = 16, 17, 20, 24, 25
RTA_DST, RTA_OIF, RTA_PRIORITY = 1, 4, 6
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 253, 1
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
NLMSG_ERROR = 2
IFF_UP = 1

LEAVING = 0x6D6B  # the link group of those about to be deleted; the number has no meaning to the kernel
BATCH = 64  # messages a packet


class RouteNetlink:
    """One rtnetlink socket for the life of the agent; each method is one packet and its acknowledgements."""

    def __init__(self) -> None:
        self._ifinfmsg, self._ifaddrmsg = _load_messages()
        self._sequence = 0
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))

    def close(self) -> None:
        self._socket.close()

    def make_bridge(self, name: str, mac: str, mtu: int, owner: str) -> None:
        """Without a fixed MAC a bridge takes the lowest of its ports', which changes as pods come and go."""
        attrs = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", mac),
            ("IFLA_MTU", mtu),
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
        ]
        make = self._link(RTM_NEWLINK, NLM_F_CREATE, attrs, up=True)
        alias = [("IFLA_IFNAME", name), ("IFLA_IFALIAS", owner)]  # is not taken at creation
        self._call(f"make bridge {name}", make, self._link(RTM_NEWLINK, 0, alias, up=None))

    def set_address(self, index: int, address: IPv4Address, network: IPv4Network) -> None:
        fields = {
            "family": socket.AF_INET,
            "prefixlen": network.prefixlen,
            "index": index,
            "attrs": [
                ("IFA_LOCAL", str(address)),
                ("IFA_ADDRESS", str(address)),
                ("IFA_BROADCAST", str(network.broadcast_address)),
            ],
        }
        message = self._message(self._ifaddrmsg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, fields)
        self._call(f"set address {address}", message)

    def add_route(self, index: int, network: IPv4Network) -> None:
        """The network is reached by this link. Its metric is the link's number, so that several links may
        have such a route; one that is there already is fine.
        """
        message = _route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, network)
        self._call(f"route {network} to link {index}", message, accept=errno.EEXIST)

    def delete_route(self, index: int, network: IPv4Network) -> None:
        """Undo `add_route`; it may be gone already."""
        message = _route(RTM_DELROUTE, 0, index, network)
        self._call(f"remove the route of {network}", message, accept=errno.ESRCH)

    def plug(self, host: str, bridge: int, netns: int, mac: str, mtu: int, group: int) -> None:
        """A veth pair between a bridge port of the node, up, and eth0 of the namespace.

        eth0 is made while the pair is not joined yet, so the kernel refuses to bring it up here (ENOTCONN):
        the shim does it, with the address.
        """
        peer = {
            "attrs": [
                ("IFLA_IFNAME", POD_INTERFACE),
                ("IFLA_MTU", mtu),
                ("IFLA_ADDRESS", mac),
                ("IFLA_NET_NS_FD", netns),
            ],
        }
        pair = [
            ("IFLA_IFNAME", host),
            ("IFLA_MTU", mtu),
            ("IFLA_MASTER", bridge),
            ("IFLA_GROUP", group),
            (
                "IFLA_LINKINFO",
                {
                    "attrs": [
                        ("IFLA_INFO_KIND", "veth"),
                        ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]}),
                    ]
                },
            ),
        ]
        make = self._link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, pair, up=True)
        hairpin = self._hairpin(host)
        try:
            self._call(f"make link {host}", make, hairpin)
        except FileExistsError:  # left by a sandbox of the same pod that was lost
            self.delete_links([host])
            self._call(f"make link {host}", make, hairpin)

    def plug_again(self, host: str, bridge: int, group: int) -> None:
        """Back onto the bridge, when that was removed and made anew; a link that is gone is passed over."""
        attrs = [("IFLA_IFNAME", host), ("IFLA_MASTER", bridge), ("IFLA_GROUP", group)]
        enslave = self._link(RTM_NEWLINK, 0, attrs, up=True)
        self._call(f"plug link {host}", enslave, self._hairpin(host), accept=errno.ENODEV)

    def delete_links(self, names: Sequence[str]) -> None:
        """Delete all of them at once; those that are gone already are passed over.

        The kernel waits some 15 ms for its readers whenever links are deleted, however many they are. So the
        links are put into a group first and deleted as the group.
        """
        join = [("IFLA_GROUP", LEAVING)]
        moves = [self._link(RTM_NEWLINK, 0, [("IFLA_IFNAME", name), *join], up=None) for name in names]
        for start in range(0, len(moves), BATCH):
            self._call("delete links", *moves[start : start + BATCH], accept=errno.ENODEV)
        self._call("delete links", self._link(RTM_DELLINK, 0, join, up=None), accept=errno.ENODEV)

    def _hairpin(self, host: str) -> bytearray:
        """BR_HAIRPIN_MODE of a port: a frame may leave by the port it came in."""
        mode = {"attrs": [("IFLA_BRPORT_MODE", 1)]}
        port = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", mode)]}
        return self._link(RTM_NEWLINK, 0, [("IFLA_IFNAME", host), ("IFLA_LINKINFO", port)], up=None)

    def _link(self, kind: int, flags: int, attrs: list[tuple[str, Any]], up: bool | None) -> bytearray:
        fields: dict[str, Any] = {"attrs": attrs}
        if up is not None:
            fields |= {"flags": IFF_UP if up else 0, "change": IFF_UP}
        return self._message(self._ifinfmsg, kind, flags, fields)

    def _message(self, of: Any, kind: int, flags: int, fields: dict[str, Any]) -> bytearray:
        message = of()
        for name, value in fields.items():
            message[name] = value
        message["header"] = {"type": kind, "flags": NLM_F_REQUEST | NLM_F_ACK | flags, "sequence_number": 0}
        message.encode()
        data: bytearray = message.data
        return data

    def _call(self, what: str, *messages: bytearray, accept: int = 0) -> None:
        """Send the messages in one packet, read one acknowledgement each; raise the first refusal but
        `accept`.
        """
        first = self._sequence + 1
        for message in messages:
            self._sequence += 1
            struct.pack_into("=I", message, 8, self._sequence)
        self._socket.send(b"".join(messages))
        refusal, waiting = 0, set(range(first, self._sequence + 1))
        while waiting:
            for sequence, code in _acknowledgements(self._socket.recv(65536)):
                waiting.discard(sequence)
                refusal = refusal or (code if code != accept else 0)
        if refusal:
            raise OSError(refusal, f"cannot {what}: {os.strerror(refusal)}")


def _route(kind: int, flags: int, index: int, network: IPv4Network) -> bytearray:
    """A route by a link to what is on it (linux/rtnetlink.h)."""
    number = struct.pack("=I", index)
    attributes = b"".join(
        struct.pack("=HH", 8, name) + value
        for name, value in (
            (RTA_DST, network.network_address.packed),
            (RTA_OIF, number),
            (RTA_PRIORITY, number),
        )
    )
    route = struct.pack(
        "=8BI",
        socket.AF_INET,
        network.prefixlen,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        RT_SCOPE_LINK,
        RTN_UNICAST,
        0,
    )
    length = 16 + len(route) + len(attributes)
    header = struct.pack("=IHHII", length, kind, NLM_F_REQUEST | NLM_F_ACK | flags, 0, 0)
    return bytearray(header + route + attributes)


def _acknowledgements(packet: bytes) -> list[tuple[int, int]]:
    """(sequence number, errno or 0) of each NLMSG_ERROR in a packet of the kernel."""
    found, offset = [], 0
    while offset < len(packet):
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", packet, offset)
        if kind == NLMSG_ERROR:
            found.append((sequence, -struct.unpack_from("=i", packet, offset + 16)[0]))
        offset += (length + 3) & ~3
    return found


def _load_messages() -> tuple[Any, Any]:
    """pyroute2's ifinfmsg and ifaddrmsg, without running pyroute2's own __init__.

    An empty module stands in for the package while its submodules are imported. It is taken away again, so
    that whoever imports pyroute2 properly later gets all of it.
    """
    standing_in = "pyroute2" not in sys.modules
    if standing_in:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None or spec.submodule_search_locations is None:
            raise NodeNotFit("cannot import pyroute2: not found; install it with pip")
        package = types.ModuleType("pyroute2")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["pyroute2"] = package
    try:
        ifinfmsg = importlib.import_module("pyroute2.netlink.rtnl.ifinfmsg").ifinfmsg
        ifaddrmsg = importlib.import_module("pyroute2.netlink.rtnl.ifaddrmsg").ifaddrmsg
    finally:
        if standing_in:
            del sys.modules["pyroute2"]
    return ifinfmsg, ifaddrmsg
