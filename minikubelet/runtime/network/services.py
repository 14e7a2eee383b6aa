"""The Services of this node in the kernel: what `agent.service_proxy` wants is put there, and kept there.

One call, `apply`, with everything that is wanted. It waits its turn on a thread of its own, so that no pod
has to wait for it. What is there already costs nothing; without a Service there is no table, no route, and
no process of ours.

When somebody else takes the table away (`nft flush ruleset`), it is made again. When the agent ends it stays:
connections to Services go on being spread by the kernel alone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from minikubelet.errors import NodeNotFit
from minikubelet.runtime.network import Network, nftables
from minikubelet.runtime.network.nfnetlink import Netfilter
from minikubelet.runtime.network.rtnetlink import RouteNetlink
from minikubelet.runtime.network.ruleset_watch import RulesetWatch
from minikubelet.runtime.network.service_rules import (
    PodNetwork,
    ServicePort,
    delete_services,
    replace_services,
    services_table,
)
from minikubelet.v1.host_ports import EVERY_ADDRESS, HostPort

logger = logging.getLogger(__name__)

KERNEL = 0  # as the sender of a change of the ruleset
T = TypeVar("T")


def service_network(text: str, pods: IPv4Network) -> IPv4Network:
    """Where Services have their addresses, as written on the command line. Raises NodeNotFit."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise NodeNotFit(
            f"cannot use {text} for Services: {error}; write --service-cidr as a network, for instance "
            "10.96.0.0/16"
        ) from error
    if network.num_addresses < 8:
        raise NodeNotFit(f"cannot use {network} for Services: it is too small; choose --service-cidr anew")
    if network.overlaps(pods):
        raise NodeNotFit(
            f"cannot use {network} for Services: pods have their addresses in {pods}; choose another with "
            "--service-cidr or --pod-cidr"
        )
    return network


class ServiceNetwork:
    """The Services before the pods of one network, which was started. `network` is where they have their
    addresses.
    """

    def __init__(self, pods: Network, network: IPv4Network) -> None:
        self._pods = PodNetwork(pods.bridge, pods.cidr, pods.mac, pods.has_bridge_tables)
        self._network = network
        self._open_loopback = pods.open_loopback  # told whether the node's 127.0.0.1 leads to some of them
        self._wanted: frozenset[ServicePort] = frozenset()
        self._there: frozenset[ServicePort] | None = None  # None: not known
        self._damaged = False  # what is there, by somebody else
        self._netfilter: Netfilter | None = None
        self._watch: RulesetWatch | None = None
        self._repair: asyncio.Task[None] | None = None
        self._one_by_one = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="services")

    async def apply(self, wanted: Iterable[ServicePort]) -> None:
        """Make it so. An OSError says that the kernel did not take it; nothing was changed then."""
        self._wanted = frozenset(wanted)
        if self._wanted and self._watch is None:
            self._watch = RulesetWatch(
                services_table(self._pods.bridge), ourselves=KERNEL
            )  # we are nft, each time
            asyncio.get_running_loop().add_reader(self._watch, self._ruleset_changed, self._watch)
        await self._sync()
        if not self._wanted:
            self._close_watch()

    async def stop(self, *, remove: bool) -> None:
        """Let go; with `remove` nothing stays in the kernel."""
        self._close_watch()
        if self._repair is not None:
            await self._repair
        if remove:
            # The route goes with the bridge.
            await self._on_thread(lambda: nftables.apply(delete_services(self._pods)))
        if self._netfilter is not None:
            self._netfilter.close()
        self._thread.shutdown()

    async def _sync(self) -> None:
        async with self._one_by_one:
            wanted, there = self._wanted, None if self._damaged else self._there
            if wanted == there:
                return
            self._damaged = False  # what is taken away from now on is taken from the new one
            self._there = None
            await self._on_thread(lambda: self._replace(wanted, there))
            self._there = wanted
        await self._open_loopback(any(port.node_port for port in wanted))

    def _ruleset_changed(self, watch: RulesetWatch) -> None:
        if watch.read() and self._wanted:
            self._damaged = True
            if self._repair is None or self._repair.done():
                self._repair = asyncio.create_task(self._make_anew(), name="repair services")

    async def _make_anew(self) -> None:
        while self._damaged:
            logger.warning("somebody changed our nftables table of Services: it is made anew")
            try:
                await self._sync()
            except OSError as error:
                logger.error("cannot make our nftables table of Services anew: %s", error)
                return

    def _close_watch(self) -> None:
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch)
            self._watch.close()
            self._watch = None

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Below: on the thread.

    def _replace(self, wanted: Collection[ServicePort], there: Collection[ServicePort] | None) -> None:
        with closing(RouteNetlink()) as routes:
            link = socket.if_nametoindex(self._pods.bridge)
            # The node itself must have a way there before a rule can change where its packet goes.
            if wanted and not there:
                routes.add_route(link, self._network)
            self._apply_rules(wanted, there)
            if not wanted:
                routes.delete_route(link, self._network)
        if self._netfilter is None:
            self._netfilter = Netfilter(services_table(self._pods.bridge))
        self._forget_flows(self._netfilter, wanted, there or ())

    def _apply_rules(self, wanted: Collection[ServicePort], there: Collection[ServicePort] | None) -> None:
        if not wanted:
            nftables.apply(delete_services(self._pods))
            return
        try:
            nftables.apply(replace_services(self._pods, self._network, wanted, there or None))
        except OSError as error:
            if not there:
                raise
            # The table is not as we left it; or a set of clients has another timeout, which none can get.
            logger.debug("the table of Services is made from nothing: %s", error)
            nftables.apply(replace_services(self._pods, self._network, wanted, None))

    def _forget_flows(
        self, netfilter: Netfilter, wanted: Collection[ServicePort], there: Collection[ServicePort]
    ) -> None:
        """UDP has no end of a connection: a client that goes on sending would be led to a backend that is
        gone for ever, and one that sent before there was any would never get to one.
        """
        before, now = _udp_backends(there), _udp_backends(wanted)
        for place, backends in before.items():
            for address, number in backends - now.get(place, frozenset()):
                netfilter.forget_flows_answered_by(IPv4Address(address), "UDP", number)
        for (address, number), backends in now.items():
            if backends and not before.get((address, number)):
                netfilter.forget_flows_to(HostPort("UDP", address, number, number))


def _udp_backends(ports: Iterable[ServicePort]) -> dict[tuple[str, int], frozenset[tuple[str, int]]]:
    """By where clients send to: the Service's address, and the node's port."""
    found = {}
    for port in ports:
        if port.protocol == "UDP":
            found[port.address, port.port] = frozenset(port.backends)
            if port.node_port:
                found[EVERY_ADDRESS, port.node_port] = frozenset(port.backends)
    return found
