"""Ports of the node that lead to pods, on the real kernel: who reaches them, and when they are gone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from minikubelet.errors import CreatePodSandboxError, NodeNotFit
from minikubelet.runtime.network import Network, nftables
from minikubelet.runtime.network.tables import Tables
from minikubelet.v1.host_ports import HostPort

from .pod_networks import BRIDGE, CIDR, LIMIT, Holder, in_namespace, plugged, run, started

TABLE = f"minikubelet-{BRIDGE}"
GATEWAY = "10.244.91.1"  # an address of the node
OTHER = "10.244.92.1"  # another one, not of the bridge: pods route to it
TCP = HostPort("TCP", "0.0.0.0", 18080, 8080)


@pytest.fixture(autouse=True)
def another_address() -> Iterator[None]:
    run("ip", "address", "replace", f"{OTHER}/32", "dev", "lo")
    yield
    run("ip", "address", "delete", f"{OTHER}/32", "dev", "lo")


def says_who(holder: Holder) -> socket.socket:
    """A TCP server of the pod at 8080."""
    return holder.listen("0.0.0.0")


def peer(server: socket.socket, ask: Callable[[], str]) -> tuple[str, str]:
    """What a connection looks like from both ends: (the client's view of itself, the server's of it)."""
    server.settimeout(LIMIT)
    mine = ask()
    connection, (seen, _) = server.accept()
    connection.close()
    return mine, str(seen)


def dial(address: str, port: int = TCP.port) -> str:
    with socket.create_connection((address, port), timeout=LIMIT) as connection:
        return str(connection.getsockname()[0])


def refused(address: str, port: int = TCP.port) -> bool:
    try:
        dial(address, port)
    except ConnectionRefusedError:
        return True
    return False


def localnet() -> str:
    return Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet").read_text().strip()


def test_the_node_a_pod_and_the_pod_itself_reach_a_host_port(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web, Holder() as client:
                served = await plugged(network, web, "uid-1", "one", [TCP])
                asking = await plugged(network, client, "uid-2", "two")
                with says_who(web) as server:
                    assert peer(server, lambda: dial(GATEWAY)) == (GATEWAY, GATEWAY)
                    assert peer(server, lambda: dial("127.0.0.1")) == ("127.0.0.1", GATEWAY)
                    for _ in range(3):  # nothing is learned from the first that would spoil the others
                        from_pod = peer(server, lambda: in_namespace(client.pid, lambda: dial(OTHER)))
                        assert from_pod == (asking.address, GATEWAY), "between pods the node is in between"
                    itself = peer(server, lambda: in_namespace(web.pid, lambda: dial(OTHER)))
                    assert itself == (served.address, GATEWAY), "hairpin"
                await network.detach("uid-1")
                assert refused(GATEWAY)
                assert refused("127.0.0.1")

    asyncio.run(story())


def test_a_host_ip_gets_its_own_packets_only(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web:
                await plugged(network, web, "uid-1", "one", [HostPort("TCP", OTHER, 18080, 8080)])
                with says_who(web) as server:
                    assert peer(server, lambda: dial(OTHER))[1] == OTHER
                    assert refused(GATEWAY)
                    assert refused("127.0.0.1")
                assert localnet() == "0", "nothing asks for loopback"

    asyncio.run(story())


def test_a_port_of_loopback_is_reached_there_only_and_closes_again(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web:
                await plugged(network, web, "uid-1", "one", [HostPort("TCP", "127.0.0.1", 18080, 8080)])
                with says_who(web) as server:
                    assert peer(server, lambda: dial("127.0.0.1"))[1] == GATEWAY
                    assert refused(GATEWAY)
                assert localnet() == "1"
                await network.detach("uid-1")
                assert localnet() == "0"

    asyncio.run(story())


def test_open_connections_of_others_to_the_same_port_stay(state_dir: Path) -> None:
    """Of a pod to a program of the node that has listened there; or to any server of the world. Only UDP
    flows are forgotten (`Tables.add`), as by CNI's portmap: a TCP connection would be reset.
    """

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as client, Holder() as web:
                await plugged(network, client, "uid-1", "one")
                with socket.create_server((GATEWAY, TCP.port)) as server:
                    calling: socket.socket = in_namespace(
                        client.pid,
                        lambda: socket.create_connection((GATEWAY, TCP.port), timeout=LIMIT),
                    )
                    connection, _ = server.accept()
                    connection.settimeout(LIMIT)
                    await plugged(network, web, "uid-2", "two", [TCP])
                    with calling, connection:
                        calling.sendall(b"still here")
                        assert connection.recv(100) == b"still here"

    asyncio.run(story())


def test_no_pod_answers_where_pods_ask_for_names(state_dir: Path) -> None:
    """The first rule of `host_ports` in `nftables.replace_forwarding`: the bridge's address, port 53, is the
    node's resolver. At its other addresses the node's port 53 is free for a pod.
    """
    port = HostPort("UDP", "0.0.0.0", 53, 5353)

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as false, Holder() as client, ExitStack() as stack:
                await plugged(network, false, "uid-1", "one", [port])
                await plugged(network, client, "uid-2", "two")
                false_server = stack.enter_context(udp_server(false))
                resolver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                resolver.bind((GATEWAY, 53))
                resolver.settimeout(LIMIT)
                asking: socket.socket = in_namespace(
                    client.pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                )
                stack.enter_context(asking)
                asking.sendto(b"who is web?", (GATEWAY, 53))
                asking.sendto(b"who are you?", (OTHER, 53))
                assert false_server.recv(100) == b"who are you?"
                assert resolver.recv(100) == b"who is web?"

    asyncio.run(story())


def udp_server(holder: Holder) -> socket.socket:
    def make() -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 5353))
        server.settimeout(LIMIT)
        return server

    made: socket.socket = in_namespace(holder.pid, make)
    return made


def test_a_udp_peer_that_never_pauses_is_led_to_the_next_pod(state_dir: Path) -> None:
    """The kernel remembers a UDP flow as long as it goes on. Defence: `Netfilter.forget_flows_to` when a pod
    comes, `forget_flows_from` when it goes.
    """
    port = HostPort("UDP", "0.0.0.0", 15353, 5353)

    async def story() -> None:
        async with started(state_dir) as network:
            with ExitStack() as stack:
                client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                client.bind((GATEWAY, 0))
                client.sendto(b"to nobody", (GATEWAY, port.port))  # a flow that leads to no pod
                for number in range(2):
                    web = stack.enter_context(Holder())
                    await plugged(network, web, f"uid-{number}", "one", [port])
                    with udp_server(web) as server:
                        client.sendto(b"hello", (GATEWAY, port.port))
                        data, back = server.recvfrom(100)
                        assert data == b"hello"
                        server.sendto(b"answer", back)
                        client.settimeout(LIMIT)
                        with suppress(ConnectionRefusedError):  # of the packet to nobody
                            assert client.recv(100) == b"answer"
                    await network.detach(f"uid-{number}")
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
                        node.bind((GATEWAY, port.port))
                        node.settimeout(LIMIT)
                        client.sendto(b"who has it now?", (GATEWAY, port.port))
                        assert node.recv(100) == b"who has it now?", "the pod has gone"

    asyncio.run(story())


def test_only_the_flows_of_that_pod_are_forgotten(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as stays, Holder() as goes:
                await plugged(network, stays, "uid-1", "one", [TCP])
                await plugged(network, goes, "uid-2", "two", [HostPort("UDP", "0.0.0.0", 15353, 5353)])
                with (
                    says_who(stays) as server,
                    socket.create_connection((GATEWAY, TCP.port), timeout=LIMIT) as client,
                ):
                    connection, _ = server.accept()
                    await network.detach("uid-2")
                    with connection:
                        client.sendall(b"still here")
                        connection.settimeout(LIMIT)
                        assert connection.recv(100) == b"still here"

    asyncio.run(story())


def test_sctp_is_forwarded_where_the_kernel_speaks_it(state_dir: Path) -> None:
    """Without the module the map still takes the port: nobody can connect, as on any such node."""
    port = HostPort("SCTP", "0.0.0.0", 18080, 8080)

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web:
                spec = await plugged(network, web, "uid-1", "one", [port])
                elements = run("nft", "list", "map", "ip", TABLE, "ports")
                assert f"sctp . 18080 : {spec.address} . 8080" in elements

    asyncio.run(story())


def test_two_pods_cannot_have_one_port_and_the_first_keeps_it(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as first, Holder() as second:
                await plugged(network, first, "uid-1", "one", [TCP])
                with pytest.raises(CreatePodSandboxError, match=r"TCP 0.0.0.0:18080 leads to another pod"):
                    await network.attach("uid-2", second.pid, "two", "default", [TCP])
                assert os.listdir(state_dir / "ports") == ["uid-1"], (
                    "an agent that ended now could start again"
                )
                with says_who(first) as server:
                    assert peer(server, lambda: dial(GATEWAY))[1] == GATEWAY
                await network.detach("uid-1")
                await plugged(network, second, "uid-2", "two", [TCP])
                with says_who(second) as server:
                    assert peer(server, lambda: dial(GATEWAY))[1] == GATEWAY

    asyncio.run(story())


def test_ports_survive_the_agent_and_the_next_one_can_close_them(state_dir: Path) -> None:
    async def story() -> None:
        with Holder() as web:
            killed = Network(BRIDGE, CIDR, state_dir)
            await killed.start()
            spec = await plugged(killed, web, "uid-1", "one", [TCP])
            await killed.stop(remove=False)
            with says_who(web) as server:
                assert peer(server, lambda: dial("127.0.0.1"))[1] == GATEWAY
                run("nft", "flush", "table", "ip", TABLE)
                async with started(state_dir) as restarted:
                    await restarted.adopt("uid-1", spec.address)
                    assert peer(server, lambda: dial("127.0.0.1"))[1] == GATEWAY
                    await restarted.detach("uid-1")
                    assert refused("127.0.0.1")

    asyncio.run(story())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(f"delete table ip {TABLE}", id="the table"),
        pytest.param(f"flush table ip {TABLE}", id="its rules"),
        pytest.param(f"flush map ip {TABLE} ports", id="the pods' elements"),
        pytest.param(f"delete table bridge {TABLE}", id="who may send"),
    ],
)
def test_tables_that_were_taken_away_come_back_by_themselves(state_dir: Path, command: str) -> None:
    """F21. Nothing polls: the kernel tells (`RulesetWatch`, `Network._ruleset_changed`)."""

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web:
                await plugged(network, web, "uid-1", "one", [TCP])
                before = (
                    run("nft", "list", "table", "ip", TABLE),
                    run("nft", "list", "table", "bridge", TABLE),
                )
                made, make = asyncio.Event(), Tables.make
                loop = asyncio.get_running_loop()

                def noticed(tables: Tables) -> None:
                    make(tables)
                    loop.call_soon_threadsafe(made.set)

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(Tables, "make", noticed)
                    run("nft", *command.split())
                    await asyncio.wait_for(made.wait(), LIMIT)
                after = run("nft", "list", "table", "ip", TABLE), run("nft", "list", "table", "bridge", TABLE)
                assert after == before
                with says_who(web) as server:
                    assert peer(server, lambda: dial("127.0.0.1"))[1] == GATEWAY

    asyncio.run(story())


def test_our_own_changes_repair_nothing(state_dir: Path) -> None:
    """Pods come and go, the tables are made: none of it looks like somebody else's doing."""

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web, Holder() as after, pytest.MonkeyPatch.context() as patch:
                patch.setattr(Tables, "make", lambda _: pytest.fail("repaired without need"))
                await plugged(network, web, "uid-1", "one", [TCP])
                await network.detach("uid-1")
                await plugged(network, after, "uid-2", "two", [TCP])
                await asyncio.sleep(0)  # the loop has read what the kernel told

    asyncio.run(story())


def test_pods_stay_pinned_when_their_table_cannot_be_made(state_dir: Path) -> None:
    """Whatever keeps nft from it, once the kernel could: better no change than pods without their chain. A
    `nft` that does not answer is an error like others.
    """

    async def story() -> None:
        async with started(state_dir) as network:
            apply = nftables.apply

            def fails(text: str) -> None:
                if "table bridge" in text:
                    raise OSError("out of memory")
                apply(text)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(nftables, "apply", fails)
                with pytest.raises(NodeNotFit, match="out of memory"):
                    await network.start()

                def silent(*_: object, **__: object) -> None:
                    raise subprocess.TimeoutExpired("nft", 30)

                patch.setattr(nftables, "apply", apply)
                patch.setattr(nftables.subprocess, "run", silent)
                with pytest.raises(NodeNotFit, match="no answer in 30 s"):
                    await network.start()
            with Holder() as web:
                await plugged(network, web, "uid-1", "one")
                assert "senders" in run("nft", "list", "table", "bridge", TABLE)

    asyncio.run(story())


@pytest.fixture
def no_reverse_path_filter() -> Iterator[None]:
    """On all links; a link may still have its own."""
    setting = Path("/proc/sys/net/ipv4/conf/all/rp_filter")
    before = setting.read_text()
    setting.write_text("0")
    yield
    setting.write_text(before)


def test_packets_from_elsewhere_that_call_themselves_a_pod_s_are_dropped(
    state_dir: Path, no_reverse_path_filter: None
) -> None:
    """The defence is the second rule of `guard` in `nftables.replace_forwarding`."""

    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web, Holder() as stranger:
                spec = await plugged(network, web, "uid-1", "one")
                run("ip", "link", "add", "mktw0", "type", "veth", "peer", "eth9", "netns", str(stranger.pid))
                run("ip", "link", "set", "mktw0", "up")
                run("sysctl", "-qw", "net.ipv4.conf.mktw0.rp_filter=0")
                run("ip", "address", "add", "198.51.100.1/24", "dev", "mktw0")
                stranger.inside("ip", "link", "set", "eth9", "up")
                stranger.inside("ip", "address", "add", "198.51.100.2/24", "dev", "eth9")
                stranger.inside("ip", "address", "add", "10.244.91.77/32", "dev", "eth9")
                stranger.inside("ip", "route", "add", "default", "via", "198.51.100.1")
                with udp_server(web) as server:

                    def send(source: str, data: bytes) -> None:
                        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                            client.bind((source, 0))
                            client.sendto(data, (spec.address, 5353))

                    in_namespace(stranger.pid, lambda: send("10.244.91.77", b"false"))
                    in_namespace(stranger.pid, lambda: send("198.51.100.2", b"true"))
                    assert server.recv(100) == b"true"

    asyncio.run(story())


def test_the_record_of_ports_is_a_line_per_port(state_dir: Path) -> None:
    async def story() -> None:
        async with started(state_dir) as network:
            with Holder() as web:
                await plugged(network, web, "uid-1", "one", [TCP, HostPort("UDP", OTHER, 53, 5353)])
                text = (state_dir / "ports/uid-1").read_text()
                assert text == f"TCP 0.0.0.0 18080 8080\nUDP {OTHER} 53 5353\n"

    asyncio.run(story())
