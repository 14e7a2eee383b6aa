"""The pod network on the real kernel: links, addresses, names, and what an agent finds when it starts."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable
from pathlib import Path

import pytest

from minikubelet.errors import CreatePodSandboxError, NodeNotFit
from minikubelet.runtime.network import NETNS, Network
from minikubelet.shim.protocol import NetworkSpec

from .pod_networks import (
    BRIDGE,
    CIDR,
    LIMIT,
    Holder,
    peer_of,
    plugged,
    published,
    run,
    started,
)
from .shims import until


def test_pods_reach_each_other_the_node_and_are_reached_by_it(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as one, Holder() as two:
                first, second = (
                    await plugged(network, one, "uid-1", "one"),
                    await plugged(network, two, "uid-2", "two"),
                )
                with two.listen(second.address) as server:
                    assert one.connect(second.address) == first.address
                    assert peer_of(server) == first.address  # pod to pod is not masqueraded
                    with socket.create_connection((second.address, 8080), timeout=LIMIT) as connection:
                        assert connection.getsockname()[0] == "10.244.91.1"  # node to pod: from the bridge
                with socket.create_server((str(network.gateway), 8080)):
                    assert one.connect(str(network.gateway)) == first.address
                await network.detach("uid-1")
                await network.detach("uid-2")

    asyncio.run(story())


def test_what_leaves_the_bridge_is_masqueraded(state_dir: Path) -> None:
    """Two networks on one node: between their bridges packets are routed, as to the world outside."""

    async def story() -> None:
        async with (
            started(state_dir) as network,
            started(state_dir / "other", "mkt1", "10.244.92.0/24") as outside,
        ):
            with Holder() as pod, Holder() as peer:
                await plugged(network, pod, "uid-1", "one")
                other = await plugged(outside, peer, "uid-2", "two")
                with peer.listen(other.address) as server:
                    pod.connect(other.address)
                    assert peer_of(server) == "10.244.92.1"

    asyncio.run(story())


def test_the_port_is_up_on_the_bridge_with_hairpin_and_the_mac_follows_the_address(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod:
                spec = await plugged(network, pod, "uid-1")
                (port,) = json.loads(run("ip", "-j", "-d", "link", "show", "master", BRIDGE))
                assert port["ifname"].startswith("mk")
                assert len(port["ifname"]) == 10
                assert "UP" in port["flags"]
                assert port["linkinfo"]["info_slave_data"]["hairpin"] is True
                (eth0,) = json.loads(pod.inside("ip", "-j", "link", "show", "eth0"))
                assert eth0["address"] == "0a:58:0a:f4:5b:02"
                assert spec == NetworkSpec("10.244.91.2", 24, "10.244.91.1", eth0["mtu"])

    asyncio.run(story())


def port_state() -> str:
    """What the bridge does with the frames of its only port."""
    (port,) = json.loads(run("ip", "-j", "-d", "link", "show", "master", BRIDGE))
    state: str = port["linkinfo"]["info_slave_data"]["state"]
    return state


def test_a_link_is_waited_for_until_the_bridge_forwards(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod:
                spec = await network.attach("uid-1", pod.pid, "web", "default")
                # Its other end is down, and the kernel finds that out within a second (linkwatch): until
                # then nothing is known of the carrier, and the bridge takes a new port as it comes.
                until(lambda: port_state() != "forwarding")
                waiting = asyncio.create_task(network.until_it_forwards("uid-1"))
                await asyncio.wait([waiting], timeout=0.05)
                assert not waiting.done()
                pod.configure(spec)
                async with asyncio.timeout(LIMIT):
                    await waiting
                assert port_state() == "forwarding"
            await network.until_it_forwards("uid-1")  # the link went with the pod

    asyncio.run(story())


def test_ip_netns_knows_the_pod_by_name_while_it_runs(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as one, Holder() as two, Holder() as three:
                first = await plugged(network, one, "uid-1", "named")
                assert first.address in run("ip", "netns", "exec", "named", "ip", "-4", "address")
                second = await network.attach("uid-2", two.pid, "named", "other")
                two.configure(second)
                assert second.address in run("ip", "netns", "exec", "named.other", "ip", "-4", "address")
                await network.attach("uid-3", three.pid, "named", "other")
                assert sorted(name for name in os.listdir(NETNS) if name.startswith("named")) == [
                    "named",
                    "named.other",
                ]
                await network.detach("uid-3")
                await network.detach("uid-1")
                assert not published("named")
                assert published("named.other")

    asyncio.run(story())


def test_addresses_survive_the_agent(state_dir: Path) -> None:
    async def story() -> None:
        with Holder() as one, Holder() as two:
            killed = Network(BRIDGE, CIDR, state_dir)
            await killed.start()
            first = await plugged(killed, one, "uid-1", "one")
            await killed.stop(remove=True)  # takes nothing away while a pod is there
            async with started(state_dir) as restarted:
                assert restarted.holders() == {"uid-1"}
                await restarted.adopt("uid-1", first.address)
                second = await plugged(restarted, two, "uid-2", "two")
                assert second.address != first.address
                with one.listen(first.address):
                    assert two.connect(first.address) == second.address
                await restarted.detach("uid-1")
                assert not published("one")

    asyncio.run(story())


def test_detach_accepts_that_everything_is_gone(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod:
                await plugged(network, pod, "uid-1")
            await network.detach("uid-1")  # the namespace died first, and the link with it
            await network.detach("uid-1")
            await network.detach("never seen")
            assert network.holders() == set()

    asyncio.run(story())


def test_a_new_sandbox_of_a_pod_replaces_the_link_of_the_lost_one(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as lost, Holder() as fresh:
                before = await plugged(network, lost, "uid-1")
                after = await plugged(network, fresh, "uid-1")
                assert after.address == before.address
                with (
                    fresh.listen(after.address),
                    socket.create_connection((after.address, 8080), timeout=LIMIT),
                ):
                    pass

    asyncio.run(story())


def test_many_pods_detach_at_once(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            holders = [Holder() for _ in range(20)]
            try:
                specs = await asyncio.gather(
                    *(
                        network.attach(f"uid-{n}", holder.pid, f"pod-{n}", "default")
                        for n, holder in enumerate(holders)
                    )
                )
                assert len({spec.address for spec in specs}) == 20
                await asyncio.gather(*(network.detach(f"uid-{n}") for n in range(20)))
                assert json.loads(run("ip", "-j", "link", "show", "master", BRIDGE)) == []
            finally:
                for holder in holders:
                    holder.__exit__()

    asyncio.run(story())


def test_an_empty_pool_is_a_clear_error_and_heals_with_the_next_detach(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir, cidr="10.244.91.0/30") as network:
            with Holder() as one, Holder() as two:
                await plugged(network, one, "uid-1", "one")
                with pytest.raises(CreatePodSandboxError, match="no IP addresses available in range set"):
                    await network.attach("uid-2", two.pid, "two", "default")
                await network.detach("uid-1")
                await plugged(network, two, "uid-2", "two")

    asyncio.run(story())


def test_a_process_still_in_the_nodes_namespace_is_refused_and_nothing_is_kept(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with pytest.raises(CreatePodSandboxError, match="still in the network namespace of the node"):
                await network.attach("uid-1", os.getpid(), "web", "default")
            assert network.holders() == set()

    asyncio.run(story())


def test_start_repairs_what_was_removed_by_hand(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod, Holder() as gone:
                await plugged(network, pod, "uid-1")
                await plugged(network, gone, "uid-2", "two")
                gone.inside("ip", "link", "delete", "eth0")
                run("nft", "delete", "table", "ip", f"minikubelet-{BRIDGE}")
                run("nft", "delete", "table", "bridge", f"minikubelet-{BRIDGE}")
                run("ip", "link", "delete", BRIDGE)
                await network.start()
                assert "masquerade" in run("nft", "list", "table", "ip", f"minikubelet-{BRIDGE}")
                with socket.create_server((str(network.gateway), 8080)):
                    pod.connect(str(network.gateway))

    asyncio.run(story())


def refused(network: Network) -> Awaitable[None]:
    async def attempt() -> None:
        with pytest.raises(NodeNotFit, match="--pod-cidr"):
            await network.start()
        await network.stop(remove=False)

    return attempt()


def test_another_agents_bridge_or_network_is_refused(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as pod:
                await plugged(network, pod, "uid-1")
                await refused(Network(BRIDGE, "10.244.93.0/24", state_dir / "same-bridge"))
                await refused(Network("mkt2", "10.244.0.0/16", state_dir / "overlapping"))

    asyncio.run(story())
