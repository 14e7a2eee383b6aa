"""The pods in the node's nftables tables: made at once, changed pod by pod, made anew when they were lost.

Everything here blocks and runs on the network's thread, but for `watch`.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from minikubelet.runtime.network import nftables
from minikubelet.runtime.network.nfnetlink import Netfilter
from minikubelet.runtime.network.nftables import Member
from minikubelet.runtime.network.ruleset_watch import RulesetWatch
from minikubelet.v1.host_ports import HostPort

logger = logging.getLogger(__name__)


class PortTaken(Exception):
    """A port of the node leads to another pod already."""

    def __init__(self, wanted: Sequence[HostPort]) -> None:
        ports = ", ".join(f"{port.protocol} {port.address}:{port.port}" for port in wanted)
        super().__init__(f"one of the node's ports {ports} leads to another pod already")


class Tables:
    """The two tables of one bridge. `members` tells who is to be in them, now."""

    def __init__(self, bridge: str, cidr: IPv4Network, members: Callable[[], Sequence[Member]]) -> None:
        self.pinned = False  # whether the kernel can hold pods to their own addresses
        self._bridge = bridge
        self._cidr = cidr
        self._members = members
        self._netfilter: Netfilter | None = None
        self._loopback = False

    def make(self) -> None:
        """Both tables from scratch, with all members. OSError when the kernel cannot forward at all."""
        members = self._members()
        forwarding = nftables.replace_forwarding(self._bridge, self._cidr, members)
        try:
            nftables.apply(forwarding + nftables.replace_senders(self._bridge, members))
            self.pinned = True
        except OSError as error:
            if self.pinned:
                raise  # the kernel can: whatever it is now, pods must not get rid of it
            logger.debug("no table of the family bridge: %s", error)
            nftables.apply(forwarding)
            self.pinned = False
        self._let_loopback_through(members)
        if self._netfilter is None:
            self._netfilter = Netfilter(nftables.table_name(self._bridge))

    def watch(self) -> RulesetWatch:
        """Tells when somebody else took something away; call `make` then."""
        assert self._netfilter is not None, "watch before make"
        return RulesetWatch(nftables.table_name(self._bridge), self._netfilter.port_id)

    def add(self, member: Member) -> None:
        """Raises PortTaken, with nothing changed."""
        assert self._netfilter is not None, "add before make"
        try:
            self._netfilter.add(member, pinned=self.pinned)
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise PortTaken(member.ports) from error
            if error.errno != errno.ENOENT:
                raise
            self.make()  # the tables were gone; this member is among those that are wanted
        if member.ports:
            self._let_loopback_through(self._members())
            for port in member.ports:
                if (
                    port.protocol == "UDP"
                ):  # TCP and SCTP begin anew by themselves; what is open stays as it is
                    self._netfilter.forget_flows_to(port)

    def remove(self, gone: Sequence[Member]) -> None:
        """`gone` are no longer among the members."""
        assert self._netfilter is not None, "remove before make"
        try:
            self._netfilter.remove(gone, pinned=self.pinned)
        except OSError as error:
            logger.debug("not all of it was there: %s", error)
            self.make()
        with_ports = [member for member in gone if member.ports]
        for member in with_ports:
            self._netfilter.forget_flows_from(member.address)
        if with_ports:
            self._let_loopback_through(self._members())

    def open_loopback(self, wanted: bool) -> None:
        """Whether 127.0.0.1 of the node leads to pods by ports of Services."""
        self._loopback = wanted
        self._let_loopback_through(self._members())

    def close(self) -> None:
        if self._netfilter is not None:
            self._netfilter.close()
            self._netfilter = None

    def delete(self) -> None:
        """What is gone already is fine; the family bridge may be unknown to the kernel."""
        nftables.apply(nftables.delete_table("ip", self._bridge))
        if self.pinned:
            nftables.apply(nftables.delete_table("bridge", self._bridge))

    def _let_loopback_through(self, members: Iterable[Member]) -> None:
        """Only while 127.0.0.1 of the node leads to a pod may packets from there leave by the bridge.

        The other direction is closed by the chain `guard`, which stands before this is opened.
        """
        path = Path(f"/proc/sys/net/ipv4/conf/{self._bridge}/route_localnet")
        wanted = "1" if self._loopback or any(member.uses_loopback for member in members) else "0"
        if path.read_text().strip() != wanted:
            path.write_text(wanted)
