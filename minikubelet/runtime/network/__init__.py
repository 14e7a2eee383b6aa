"""The pod network: one bridge on the node, one veth pair per pod; ports forwarded, sources pinned.

`runtime.service` calls `start` once, `attach` after a shim has made its network namespace, `detach` when the
sandbox is gone, and `adopt` for pods found running after a restart of the agent. Inside the namespace the
shim itself sets address and route and brings both links up (`configure_network`): it is in there already, the
agent would have to fork a helper to get in.

Speed comes from few messages. A pod costs two packets to the kernel. One is for netfilter: the pod's address,
MAC and link, without which the bridge takes nothing from it, and its host ports (`tables`). One holds two
rtnetlink messages: make the pair (host side on the bridge and up, other side as `eth0` in the pod's
namespace), and switch hairpin on, so that a pod can reach itself through a service address or its own host
port. Netlink requests run inside `send`: the answer is there when it returns. They may wait for the kernel's
locks, though, so they run on a thread of their own, one after the other, never on the event loop.

The state directory (tmpfs) holds `addresses/ADDRESS -> uid` (see ipam), `ports/UID` (see port_records) and
`netns/UID -> PID:NAME`, the name below /run/netns.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

from minikubelet.errors import CreatePodSandboxError, NodeNotFit
from minikubelet.runtime.network import nftables
from minikubelet.runtime.network.ipam import AddressPool, AddressPoolEmpty
from minikubelet.runtime.network.nftables import Member, link_group
from minikubelet.runtime.network.port_records import PortRecords
from minikubelet.runtime.network.rtnetlink import RouteNetlink
from minikubelet.runtime.network.ruleset_watch import RulesetWatch
from minikubelet.runtime.network.tables import PortTaken, Tables
from minikubelet.shim.protocol import NetworkSpec
from minikubelet.v1.host_ports import HostPort

logger = logging.getLogger(__name__)

NETNS = Path("/run/netns")
FORWARD_LLDP = hex(1 << 0xE)  # the bit of 01:80:c2:00:00:0e
FORWARDING = "3"  # BR_STATE_FORWARDING (linux/if_bridge.h)
FORWARDING_TRIES, FORWARDING_PAUSE = 1000, 0.002

T = TypeVar("T")


class Network:
    """The pod network of one agent. One per process; `start` before anything else."""

    def __init__(self, bridge: str, cidr: str, state_dir: Path) -> None:
        self.bridge = bridge
        self.cidr = IPv4Network(cidr)
        self.warnings: list[str] = []  # filled by start(): what on this node may keep pods from talking
        self._state_dir = state_dir
        self._pool = AddressPool(self.cidr, state_dir / "addresses")
        self._ports = PortRecords(state_dir / "ports")
        self._tables = Tables(bridge, self.cidr, self._members)
        self._watch: RulesetWatch | None = None
        self._damaged = False  # the tables, by somebody else
        self._repair: asyncio.Task[None] | None = None
        self._names = state_dir / "netns"
        self._mtu = 1500
        self._leaving: list[str] = []
        self._bridge_index = 0
        self._rtnetlink: RouteNetlink | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's own address: the node as its pods see it."""
        return self._pool.gateway

    @property
    def mac(self) -> str:
        """The bridge's own."""
        return self._mac(self.gateway)

    @property
    def has_bridge_tables(self) -> bool:
        """Whether the kernel has nftables for bridges; known from `start` on."""
        return self._tables.pinned

    def holders(self) -> set[str]:
        """The uids of all pods that hold an address, found ones included; detach those that are no more."""
        return self._pool.holders()

    def address_of(self, uid: str) -> str | None:
        address = self._pool.address_of(uid)
        return None if address is None else str(address)

    async def start(self) -> None:
        """Bridge, forwarding, nftables. Idempotent: it also repairs what was removed by hand. Raises
        NodeNotFit.
        """
        if self.cidr.num_addresses < 4:  # its own, the bridge's, a pod's, the broadcast
            raise NodeNotFit(
                f"cannot use pod network {self.cidr}: there is no address for a pod in it; "
                "write --pod-cidr with its length, for instance 10.244.0.0/24"
            )
        try:
            await self._on_thread(self._start)
        except OSError as error:
            raise NodeNotFit(
                f"cannot set up pod network {self.cidr} on bridge {self.bridge}: {error}"
            ) from error
        if self._watch is None:
            self._watch = self._tables.watch()
            asyncio.get_running_loop().add_reader(self._watch, self._ruleset_changed, self._watch)

    async def attach(
        self, uid: str, shim_pid: int, name: str, namespace: str, ports: Sequence[HostPort] = ()
    ) -> NetworkSpec:
        """Give the namespace of `shim_pid` an `eth0` on the bridge, and it the node's `ports`. Raises
        CreatePodSandboxError, leaving nothing.
        """
        try:
            return await self._on_thread(lambda: self._attach(uid, shim_pid, name, namespace, ports))
        except (OSError, AddressPoolEmpty, PortTaken) as error:
            raise CreatePodSandboxError(
                f"cannot attach pod {uid} to bridge {self.bridge}: {error}"
            ) from error

    async def until_it_forwards(self, uid: str) -> None:
        """When both ends of the pod's link are up the kernel tells the bridge, in its own time, and what is
        sent before is lost. So this waits for it, as CNI's bridge does. Not to be asked before: in its first
        second a port may pass for one that forwards because nobody has looked for its other end yet, which
        is no harm to a pod that brings it up meanwhile.
        """
        state = Path("/sys/class/net") / self._link(uid) / "brport/state"
        for _ in range(FORWARDING_TRIES):
            if _read_of_link(state) in (FORWARDING, None):
                return
            await asyncio.sleep(FORWARDING_PAUSE)
        logger.warning("bridge %s still does not forward what pod %s sends", self.bridge, uid)

    async def detach(self, uid: str) -> None:
        """Remove the link and the name in /run/netns, give back the address; all may be gone already."""
        self._leaving.append(uid)
        await self._on_thread(self._detach_leaving)

    async def adopt(self, uid: str, address: str) -> None:
        """After a restart: this pod was found running with this address."""
        await self._on_thread(lambda: self._pool.adopt(uid, IPv4Address(address)))

    async def open_loopback(self, wanted: bool) -> None:
        """For Services with ports of the node: 127.0.0.1 is one of its addresses, too."""
        await self._on_thread(lambda: self._tables.open_loopback(wanted))

    async def stop(self, *, remove: bool) -> None:
        """Let go. With `remove`, bridge and tables are removed, provided that no pod is left on them."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch)
            self._watch.close()
            self._watch = None
        if self._repair is not None:
            await self._repair
        await self._on_thread(lambda: self._stop(remove))
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _ruleset_changed(self, watch: RulesetWatch) -> None:
        if watch.read():
            self._damaged = True
            if self._repair is None or self._repair.done():
                self._repair = asyncio.create_task(self._repair_tables(), name="repair nftables")

    async def _repair_tables(self) -> None:
        """Until nothing was taken away meanwhile: one repair for any number of events."""
        while self._damaged:
            self._damaged = False
            logger.warning("somebody changed our nftables tables: they are made anew")
            try:
                await self._on_thread(self._tables.make)
            except OSError as error:
                logger.error("cannot make our nftables tables anew: %s", error)

    # Below: on the thread.

    def _start(self) -> None:
        self._names.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not NETNS.exists():
            NETNS.mkdir()
            NETNS.chmod(0o755)  # as ip(8) makes it, whatever our umask
        self._pool.load()
        self._ports.load()
        self._refuse_foreign_network()
        self._mtu = _mtu_of_default_route()
        if self._rtnetlink is None:
            self._rtnetlink = RouteNetlink()
        self._rtnetlink.make_bridge(self.bridge, self.mac, self._mtu, str(self._state_dir))
        self._bridge_index = socket.if_nametoindex(self.bridge)
        self._rtnetlink.set_address(self._bridge_index, self.gateway, self.cidr)
        for uid in self._pool.holders():
            self._rtnetlink.plug_again(self._link(uid), self._bridge_index, self._group)
        self._set_sysctls()
        self._tables.make()
        self.warnings = [
            f"the chain {chain} drops forwarded packets by default: pods may not get beyond this node"
            for chain in nftables.dropping_forward_chains()
        ]
        if not self.has_bridge_tables:
            self.warnings.append(
                "the kernel has no nftables for bridges: pods may send under false addresses"
            )

    def _refuse_foreign_network(self) -> None:
        """Another agent's bridge, or a route of the node that our pods would shadow (or be shadowed by)."""
        link = Path("/sys/class/net") / self.bridge
        if link.exists() and not (link / "bridge").is_dir():
            raise NodeNotFit(f"cannot use {self.bridge}: it is no bridge; choose another with --bridge")
        owner = _read(link / "ifalias")
        if owner is not None and owner != str(self._state_dir) and os.listdir(link / "brif"):
            raise NodeNotFit(
                f"cannot use bridge {self.bridge}: it carries links of others (its owner is {owner!r}); "
                "choose another with --bridge and --pod-cidr"
            )
        for interface, route in _routes():
            if interface != self.bridge and route.prefixlen > 0 and route.overlaps(self.cidr):
                raise NodeNotFit(
                    f"cannot use pod network {self.cidr}: the node has a route to {route} on {interface}; "
                    "choose another with --pod-cidr"
                )

    def _set_sysctls(self) -> None:
        """Forward IPv4, and do not advise pods of a shorter way: it would lead past the rules of Services,
        and the kernel owes whom it advised the refusals of the next seconds. (It advises unless `all` *and*
        the link say no; other links have a yes of their own.) No IPv6 on the bridge: a pod's router
        advertisements must not configure the node.
        """
        for key, value in (
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/send_redirects", "0"),
            (f"ipv4/conf/{self.bridge}/send_redirects", "0"),
            (f"ipv6/conf/{self.bridge}/disable_ipv6", "1"),
        ):
            path = Path("/proc/sys/net") / key
            if path.exists() and path.read_text().strip() != value:
                path.write_text(value)
        # Frames for LLDP's group would go past every hook of the bridge, to the node and into the table of
        # MACs; those that are to be forwarded are looked at, and dropped, like all others.
        (Path("/sys/class/net") / self.bridge / "bridge/group_fwd_mask").write_text(FORWARD_LLDP)

    def _members(self) -> list[Member]:
        return [self._member(uid) for uid in self._pool.holders()]

    def _member(self, uid: str) -> Member:
        address = self._pool.address_of(uid)
        assert address is not None, "a pod without an address is no member"
        return Member(self._link(uid), self._mac(address), address, self._ports.of(uid))

    def _attach(
        self, uid: str, shim_pid: int, name: str, namespace: str, ports: Sequence[HostPort]
    ) -> NetworkSpec:
        assert self._rtnetlink is not None, "attach before start"
        address = self._pool.allocate(uid)
        try:
            self._enter_tables(uid, ports)
            netns = _open_netns(shim_pid)
            try:
                self._rtnetlink.plug(
                    self._link(uid), self._bridge_index, netns, self._mac(address), self._mtu, self._group
                )
            finally:
                os.close(netns)
            self._publish_netns(uid, shim_pid, name, namespace)
        except BaseException:
            self._detach([uid])
            raise
        return NetworkSpec(str(address), self.cidr.prefixlen, str(self.gateway), self._mtu)

    def _enter_tables(self, uid: str, ports: Sequence[HostPort]) -> None:
        """Written down first: what the next agent finds in the kernel it can also take out again. So nothing
        may be written that it could not put in.
        """
        if ports:
            others = [other for held in self._pool.holders() - {uid} for other in self._ports.of(held)]
            if any(port.conflicts(other) for port in ports for other in others):
                raise PortTaken(ports)
            self._ports.write(uid, ports)
        try:
            self._tables.add(self._member(uid))
        except PortTaken:
            self._ports.forget(uid)  # they are the other pod's, and stay when this one is detached
            raise

    def _detach_leaving(self) -> None:
        """All pods that wait to be detached, at once: a later call may find its pod served already."""
        uids, self._leaving = self._leaving, []
        try:
            self._detach(uids)
        except OSError:
            self._leaving += uids
            raise

    def _detach(self, uids: list[str]) -> None:
        assert self._rtnetlink is not None, "detach before start"
        for uid in uids:
            self._withdraw_netns(uid)
        members = [self._member(uid) for uid in uids if self._pool.address_of(uid) is not None]
        if uids:
            self._rtnetlink.delete_links([self._link(uid) for uid in uids])
        for uid in uids:
            self._ports.forget(uid)  # before the address, without which nobody asks for them any more
            self._pool.release(uid)
        if members:
            self._tables.remove(members)

    def _stop(self, remove: bool) -> None:
        if remove and self._rtnetlink is not None and not self._pool.holders():
            self._rtnetlink.delete_links([self.bridge])
            self._tables.delete()
        if self._rtnetlink is not None:
            self._rtnetlink.close()
            self._rtnetlink = None
        self._tables.close()

    @property
    def _group(self) -> int:
        return link_group(self.bridge)

    def _link(self, uid: str) -> str:
        """The node's side of the pod's pair. A hash, so that it is found again without being written down."""
        return "mk" + hashlib.sha256(f"{self.bridge}/{uid}".encode()).hexdigest()[:8]

    def _mac(self, address: IPv4Address) -> str:
        """From the address: neighbours that remember the last owner of an address are still right."""
        return ":".join(f"{byte:02x}" for byte in (0x0A, 0x58, *address.packed))

    def _publish_netns(self, uid: str, shim_pid: int, name: str, namespace: str) -> None:
        """`ip netns exec NAME` for people. Noted first, so that it is surely withdrawn some day."""
        self._withdraw_netns(uid)  # of a sandbox of this pod that was lost
        target = f"/proc/{shim_pid}/ns/net"
        for candidate in (name, f"{name}.{namespace}"):
            _replace_symlink(f"{shim_pid}:{candidate}", self._names / uid)
            if not os.path.lexists(NETNS / candidate) or _dangling(NETNS / candidate):
                _replace_symlink(target, NETNS / candidate)
                return
        (self._names / uid).unlink()  # both names belong to others: the pod does without

    def _withdraw_netns(self, uid: str) -> None:
        """Only if the name still leads to this pod."""
        try:
            shim_pid, _, name = os.readlink(self._names / uid).partition(":")
        except FileNotFoundError:
            return
        if (NETNS / name).is_symlink() and os.readlink(NETNS / name) == f"/proc/{shim_pid}/ns/net":
            (NETNS / name).unlink()
        (self._names / uid).unlink()


def _open_netns(pid: int) -> int:
    """The network namespace of the shim, which must not be the node's own."""
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(netns).st_ino == os.stat("/proc/self/ns/net").st_ino:
        os.close(netns)
        raise OSError(f"process {pid} is still in the network namespace of the node")
    return netns


def _routes() -> list[tuple[str, IPv4Network]]:
    """The node's IPv4 routes: (interface, destination). The file has them as little-endian hexadecimals."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        columns = line.split()
        destination, mask = (IPv4Address(bytes.fromhex(columns[i])[::-1]) for i in (1, 7))
        routes.append((columns[0], IPv4Network(f"{destination}/{mask}")))
    return routes


def _mtu_of_default_route() -> int:
    """Pods must not send larger packets than the node can pass on."""
    for interface, route in _routes():
        if route.prefixlen == 0:
            return int(_read(Path(f"/sys/class/net/{interface}/mtu")) or 1500)
    return 1500


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def _read_of_link(path: Path) -> str | None:
    """None: the link is gone, before its file was opened or after."""
    try:
        return _read(path)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL):
            raise
        return None


def _dangling(link: Path) -> bool:
    return link.is_symlink() and not link.exists()


def _replace_symlink(target: str, link: Path) -> None:
    link.unlink(missing_ok=True)
    os.symlink(target, link)
