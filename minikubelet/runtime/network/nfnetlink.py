"""The few messages to the kernel's netfilter: a pod's elements in and out, and connections forgotten.

Rules are made once by `nft` (`nftables`), but a process for each pod would cost more than all the rest of its
network. One packet of nfnetlink does it: a batch, taken as a whole or not at all. The messages are attributes
in attributes and nothing more, so they are packed here, by hand.

Sources: linux/netfilter/nf_tables.h, nfnetlink.h, nfnetlink_conntrack.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Container, Iterable, Iterator, Sequence
from ipaddress import IPv4Address

from minikubelet.runtime.network.nftables import PORTS, PORTS_OF_ADDRESS, SENDERS, Member
from minikubelet.v1.host_ports import EVERY_ADDRESS, HostPort

NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_CREATE = 0x1, 0x4, 0x300, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED = 0x8000

NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_NFTABLES = 1, 10
NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM = 12, 14
NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS = 1, 2, 3
NFTA_LIST_ELEM = 1
NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_DATA = 1, 2
NFTA_DATA_VALUE = 1
NFPROTO_IPV4, NFPROTO_BRIDGE = 2, 7

IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_ZONE, CTA_FILTER = 1, 2, 12, 18, 25
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST = 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS = 1, 2
# The bits of the flags, from enum ctattr_filter's order in nf_conntrack_netlink.c.
MATCH_IP_SRC, MATCH_IP_DST, MATCH_PROTO_NUM = 1 << 0, 1 << 1, 1 << 3
MATCH_PROTO_SRC_PORT, MATCH_PROTO_DST_PORT = 1 << 4, 1 << 5

PROTOCOLS = {"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP, "SCTP": socket.IPPROTO_SCTP}

Element = tuple[int, str, bytes, bytes]  # family, set, key, data (empty: not a map)


class Netfilter:
    """One nfnetlink socket for the life of the agent; a request runs inside `send`, as with rtnetlink."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._sequence = 0
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))

    @property
    def port_id(self) -> int:
        """The sender's name in what the kernel tells others about our changes."""
        number: int = self._socket.getsockname()[0]
        return number

    def close(self) -> None:
        self._socket.close()

    def add(self, member: Member, *, pinned: bool) -> None:
        """The pod may send, and gets what arrives at its ports. `pinned`: there is a set of senders.

        OSError: EEXIST when a port leads to another pod, ENOENT when the tables are gone.
        """
        self._batch(NFT_MSG_NEWSETELEM, NLM_F_CREATE, _elements(member, pinned))

    def remove(self, members: Iterable[Member], *, pinned: bool) -> None:
        """All of them, in one transaction. OSError ENOENT: something of it was not there; nothing changed."""
        elements = [element for member in members for element in _elements(member, pinned)]
        self._batch(NFT_MSG_DELSETELEM, 0, elements)

    def forget_flows_from(self, address: IPv4Address) -> None:
        """Connections that are answered by this pod. Without it, UDP peers that never pause would go on being
        sent to a pod that is gone.
        """
        answered_by = _nested(CTA_TUPLE_IP, _attribute(CTA_IP_V4_SRC, address.packed))
        self._forget(CTA_TUPLE_REPLY, answered_by, CTA_FILTER_REPLY_FLAGS, MATCH_IP_SRC)

    def forget_flows_answered_by(self, address: IPv4Address, protocol: str, port: int) -> None:
        """Connections that are answered by this port of a pod."""
        answered_by = _nested(CTA_TUPLE_IP, _attribute(CTA_IP_V4_SRC, address.packed)) + _nested(
            CTA_TUPLE_PROTO,
            _attribute(CTA_PROTO_NUM, bytes([PROTOCOLS[protocol]]))
            + _attribute(CTA_PROTO_SRC_PORT, struct.pack(">H", port)),
        )
        flags = MATCH_IP_SRC | MATCH_PROTO_NUM | MATCH_PROTO_SRC_PORT
        self._forget(CTA_TUPLE_REPLY, answered_by, CTA_FILTER_REPLY_FLAGS, flags)

    def forget_flows_to(self, port: HostPort) -> None:
        """Connections that came for this port before it led to a pod; they would never get there."""
        number = _attribute(CTA_PROTO_NUM, bytes([PROTOCOLS[port.protocol]]))
        protocol = _nested(
            CTA_TUPLE_PROTO, number + _attribute(CTA_PROTO_DST_PORT, struct.pack(">H", port.port))
        )
        flags, tuple_ = MATCH_PROTO_NUM | MATCH_PROTO_DST_PORT, protocol
        if port.address != EVERY_ADDRESS:
            destination = _attribute(CTA_IP_V4_DST, IPv4Address(port.address).packed)
            flags, tuple_ = flags | MATCH_IP_DST, _nested(CTA_TUPLE_IP, destination) + protocol
        self._forget(CTA_TUPLE_ORIG, tuple_, CTA_FILTER_ORIG_FLAGS, flags)

    def _forget(self, which: int, tuple_: bytes, side: int, flags: int) -> None:
        """Ask for the connections that match, and delete them one by one: a delete with a filter of its own
        is not known to Linux 6.1.
        """
        sides = {CTA_FILTER_ORIG_FLAGS: 0, CTA_FILTER_REPLY_FLAGS: 0, side: flags}
        wanted = b"".join(_attribute(key, struct.pack("=I", value)) for key, value in sides.items())
        question = _nested(which, tuple_) + _nested(CTA_FILTER, wanted)
        for connection in self._dump(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, question):
            try:
                self._call(
                    "forget a connection",
                    self._message(
                        NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                        NFPROTO_IPV4,
                        NLM_F_ACK,
                        _chosen(connection, (CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID)),
                    ),
                )
            except FileNotFoundError:
                continue  # it ended meanwhile

    def _dump(self, kind: int, question: bytes) -> list[bytes]:
        """The attributes of each message of the answer."""
        self._socket.send(self._message(kind, NFPROTO_IPV4, NLM_F_DUMP, question))
        answer: list[bytes] = []
        while True:
            packet = self._socket.recv(65536)
            for kind_, start, end in _messages(packet):
                if kind_ == NLMSG_ERROR:
                    code = _refusal(packet)
                    raise OSError(code, f"cannot list connections: {os.strerror(code)}")
                if kind_ == NLMSG_DONE:
                    return answer
                answer.append(packet[start + 4 : end])

    def _batch(self, kind: int, flags: int, elements: Sequence[Element]) -> None:
        if not elements:
            return
        changes = [
            self._message(
                NFNL_SUBSYS_NFTABLES << 8 | kind,
                family,
                NLM_F_ACK | flags,
                _attribute(NFTA_SET_ELEM_LIST_TABLE, self._table.encode() + b"\0")
                + _attribute(NFTA_SET_ELEM_LIST_SET, name.encode() + b"\0")
                + _nested(NFTA_SET_ELEM_LIST_ELEMENTS, _nested(NFTA_LIST_ELEM, _element(key, data))),
            )
            for family, name, key, data in elements
        ]
        begin = self._message(NFNL_MSG_BATCH_BEGIN, 0, 0, resource=NFNL_SUBSYS_NFTABLES)
        end = self._message(NFNL_MSG_BATCH_END, 0, 0, resource=NFNL_SUBSYS_NFTABLES)
        self._call(f"change the nftables table {self._table}", begin, *changes, end)

    def _message(self, kind: int, family: int, flags: int, body: bytes = b"", *, resource: int = 0) -> bytes:
        self._sequence += 1
        header = struct.pack("=IHHII", 20 + len(body), kind, NLM_F_REQUEST | flags, self._sequence, 0)
        return header + struct.pack(">BBH", family, 0, resource) + body

    def _call(self, what: str, *messages: bytes) -> None:
        """One packet. The answers are there when `send` returns; the first refusal is raised."""
        self._socket.send(b"".join(messages))
        refusal = 0
        while True:
            try:
                packet = self._socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            refusal = refusal or _refusal(packet)
        if refusal:
            raise OSError(refusal, f"cannot {what}: {os.strerror(refusal)}")


def _elements(member: Member, pinned: bool) -> list[Element]:
    """What the tables hold of a pod. The parts of a key are filled up to four bytes each."""
    elements: list[Element] = []
    if pinned:
        mac = bytes.fromhex(member.mac.replace(":", ""))
        key = member.link.encode().ljust(16, b"\0") + mac + b"\0\0" + member.address.packed
        elements.append((NFPROTO_BRIDGE, SENDERS, key, b""))
    for port in member.ports:
        protocol = bytes([PROTOCOLS[port.protocol], 0, 0, 0])
        goal = member.address.packed + struct.pack(">HH", port.container_port, 0)
        number = struct.pack(">HH", port.port, 0)
        if port.address == EVERY_ADDRESS:
            elements.append((NFPROTO_IPV4, PORTS, protocol + number, goal))
        else:
            key = protocol + IPv4Address(port.address).packed + number
            elements.append((NFPROTO_IPV4, PORTS_OF_ADDRESS, key, goal))
    return elements


def _element(key: bytes, data: bytes) -> bytes:
    element = _nested(NFTA_SET_ELEM_KEY, _attribute(NFTA_DATA_VALUE, key))
    return element + (_nested(NFTA_SET_ELEM_DATA, _attribute(NFTA_DATA_VALUE, data)) if data else b"")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(NLA_F_NESTED | kind, value)


def _chosen(attributes: bytes, kinds: Container[int]) -> bytes:
    """Those of the attributes that are of these kinds, as they are."""
    found, offset = b"", 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        end = offset + max((length + 3) & ~3, 4)
        if kind & ~NLA_F_NESTED in kinds:
            found += attributes[offset:end]
        offset = end
    return found


def _messages(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, where its body begins, where it ends) of each netlink message of a packet."""
    offset = 0
    while offset + 16 <= len(packet):
        length, kind = struct.unpack_from("=IH", packet, offset)
        yield kind, offset + 16, offset + length
        offset += (length + 3) & ~3


def _refusal(packet: bytes) -> int:
    """The first errno of a packet of acknowledgements; 0: none."""
    for kind, start, _ in _messages(packet):
        if kind == NLMSG_ERROR:
            code = -int(struct.unpack_from("=i", packet, start)[0])
            if code:
                return code
    return 0
