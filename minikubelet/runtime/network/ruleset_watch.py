"""Notice when somebody else takes our nftables tables away (F21): a firewall that is reloaded, `nft flush`.

The kernel tells every change of the ruleset to whoever listens, transaction by transaction. Our own are known
by their sender, and a transaction that makes a table or a rule of ours is `nft` run by us: nobody else does.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from minikubelet.runtime.network.nfnetlink import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES

NFNLGRP_NFTABLES = 7
NFT_MSG_NEWTABLE, NFT_MSG_NEWRULE, NFT_MSG_NEWGEN = 0, 6, 15
DELETIONS = frozenset({2, 5, 8, 11, 14})  # NFT_MSG_DELTABLE, -CHAIN, -RULE, -SET, -SETELEM
NAME = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, … : the table is the first attribute of all of them


class RulesetWatch:
    """A socket to be read when it is readable; `table` is the name of our tables, `ourselves` the port id of
    our other socket.
    """

    def __init__(self, table: str, ourselves: int) -> None:
        self._table = table.encode()
        self._ourselves = ourselves
        self._lost = self._made = False
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        self._socket.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> bool:
        """Everything that waits; True when by now something of our tables was taken away by somebody else.

        When there was more than the socket can hold nobody knows, and the answer is True.
        """
        damaged = False
        while True:
            try:
                packet = self._socket.recv(65536)
            except BlockingIOError:
                return damaged
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                damaged = True
                continue
            for kind, sender, table in _changes(packet):
                damaged = self._note(kind, sender, table) or damaged

    def _note(self, kind: int, sender: int, table: bytes) -> bool:
        """True at the end of a transaction that took from our tables."""
        if kind == NFT_MSG_NEWGEN:
            lost, self._lost, made, self._made = self._lost, False, self._made, False
            return lost and not made
        if table == self._table and sender != self._ourselves:
            self._lost = self._lost or kind in DELETIONS
            self._made = self._made or kind in (NFT_MSG_NEWTABLE, NFT_MSG_NEWRULE)
        return False


def _changes(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(message of nftables, sender's port id, table)."""
    offset = 0
    while offset + 20 <= len(packet):
        length, kind, _, _, sender = struct.unpack_from("=IHHII", packet, offset)
        if kind >> 8 == NFNL_SUBSYS_NFTABLES:
            yield kind & 0xFF, sender, _table(packet[offset + 20 : offset + length])
        offset += (length + 3) & ~3


def _table(attributes: bytes) -> bytes:
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if kind == NAME:
            return attributes[offset + 4 : offset + length].rstrip(b"\0")
        offset += max((length + 3) & ~3, 4)
    return b""
