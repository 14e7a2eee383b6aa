"""Services in the kernel: real packets between pods, the node and the addresses of Services."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from minikubelet.runtime.network import Network
from minikubelet.runtime.network.service_rules import ServicePort
from minikubelet.runtime.network.services import ServiceNetwork
from tests.kernel.pod_networks import BRIDGE, CIDR, LIMIT, Holder, in_namespace, plugged, run, started

SERVICES = IPv4Network("10.99.0.0/16")
ADDRESS, PORT, NODE_PORT = "10.99.1.1", 80, 32391
CONNECTIONS = 30  # by chance all of them go to one of two: once in 500 million


class Echo:
    """Says its name to whoever connects by TCP, and sends it back to whoever sends by UDP."""

    def __init__(self, name: str, holder: Holder, port: int = 8080) -> None:
        self.name, self._port = name, port
        self.peers: list[str] = []
        self._ends = threading.Event()
        self._tcp, self._udp = in_namespace(holder.pid, self._open)
        self._threads = [threading.Thread(target=self._accept), threading.Thread(target=self._receive)]
        for thread in self._threads:
            thread.start()

    def _open(self) -> tuple[socket.socket, socket.socket]:
        tcp = socket.create_server(("0.0.0.0", self._port))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", self._port))
        for each in (tcp, udp):
            each.settimeout(0.1)
        return tcp, udp

    def _accept(self) -> None:
        held = []  # open, so that a client may go on
        while not self._ends.is_set():
            try:
                connection, (peer, _) = self._tcp.accept()
            except TimeoutError:
                continue
            self.peers.append(peer)
            connection.sendall(self.name.encode())
            held.append(connection)
        for connection in held:
            connection.close()

    def _receive(self) -> None:
        while not self._ends.is_set():
            try:
                _, sender = self._udp.recvfrom(10_000)
            except TimeoutError:
                continue
            self._udp.sendto(self.name.encode(), sender)

    def close(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()


class Pods:
    """Two pods on a bridge that say their names, one that asks; and the Services before them."""

    def __init__(self, network: Network, services: ServiceNetwork, client: Holder) -> None:
        self.network, self.services, self.client = network, services, client
        self.holders: dict[str, Holder] = {}
        self.echoes: dict[str, Echo] = {}
        self.addresses: dict[str, str] = {}

    def service(self, *names: str, **fields: Any) -> ServicePort:
        backends = tuple((self.addresses[name], 8080) for name in names)
        given = {"namespace": "default", "name": "web", "protocol": "TCP", "address": ADDRESS, "port": PORT}
        return ServicePort(**{**given, "backends": backends, **fields})

    def from_client(self, work: Callable[[], Any]) -> Any:
        return in_namespace(self.client.pid, work)


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run_it(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run_it


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def ask(address: str = ADDRESS, port: int = PORT) -> str:
    """Who answers by TCP."""
    with socket.create_connection((address, port), timeout=LIMIT) as connection:
        return connection.recv(100).decode()


def ask_often(address: str = ADDRESS, port: int = PORT) -> set[str]:
    return {ask(address, port) for _ in range(CONNECTIONS)}


def ask_by_udp(client: socket.socket, address: str = ADDRESS, port: int = PORT) -> str:
    client.sendto(b"?", (address, port))
    return client.recv(100).decode()


@contextmanager
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        yield client


@asynccontextmanager
async def pods(state_dir: Path, bridge: str = BRIDGE, cidr: str = CIDR) -> AsyncIterator[Pods]:
    async with started(state_dir, bridge, cidr) as network:
        services = ServiceNetwork(network, SERVICES)
        with ExitStack() as stack:
            client = stack.enter_context(Holder())
            made = Pods(network, services, client)
            for name in ("one", "two"):
                holder = made.holders[name] = stack.enter_context(Holder())
                spec = await plugged(network, holder, f"uid-{name}", name)
                made.addresses[name] = spec.address
                made.echoes[name] = Echo(name, holder)
                stack.callback(made.echoes[name].close)
            await plugged(network, client, "uid-client", "web")
            try:
                yield made
            finally:
                await made.services.stop(remove=True)


@in_event_loop
async def test_connections_are_spread_over_the_backends(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one", "two", node_port=NODE_PORT)])
        gateway = str(made.network.gateway)

        assert await asyncio.to_thread(made.from_client, ask_often) == {"one", "two"}
        assert await asyncio.to_thread(ask_often) == {"one", "two"}  # the node itself
        for address in (gateway, "127.0.0.1"):
            assert await asyncio.to_thread(ask_often, address, NODE_PORT) == {"one", "two"}
        from_pod = made.from_client(lambda: ask_often(gateway, NODE_PORT))
        assert from_pod == {"one", "two"}


@in_event_loop
async def test_a_backend_sees_who_asks(state_dir: Path) -> None:
    """As behind kube-proxy: a pod under its own address, and under the node's what comes by a port of it."""
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one", node_port=NODE_PORT)])
        client, gateway = made.network.address_of("uid-client"), str(made.network.gateway)
        one = made.echoes["one"]

        made.from_client(ask)
        assert in_namespace(made.holders["two"].pid, ask) == "one"
        assert one.peers == [client, made.addresses["two"]]
        one.peers.clear()
        made.from_client(lambda: ask(gateway, NODE_PORT))
        in_namespace(made.holders["one"].pid, ask)
        await asyncio.to_thread(ask)
        assert one.peers == [gateway] * 3

        await made.services.apply([made.service("two")])
        selves = run("nft", "list", "set", "ip", f"minikubelet-{BRIDGE}-services", "selves")
        assert made.addresses["two"] in selves
        assert made.addresses["one"] not in selves


@in_event_loop
async def test_a_backend_is_reached_without_its_service_as_before(state_dir: Path) -> None:
    """Its frames take another way, in both directions; fragments too, of which only the first has ports."""
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one", protocol="UDP"), made.service("one")])
        client, one = made.network.address_of("uid-client"), made.addresses["one"]
        assert client

        def answer(echo: Echo) -> None:
            assert made.from_client(lambda: ask(one, 8080)) == "one"
            assert echo.peers[-1] == client

        answer(made.echoes["one"])
        other = Echo("client", made.client)
        try:
            assert in_namespace(made.holders["one"].pid, lambda: ask(client, 8080)) == "client"
            assert other.peers == [one]
        finally:
            other.close()

        large = Echo("large" * 1000, made.holders["one"], 8081)
        try:
            await made.services.apply([made.service("one", protocol="UDP", backends=((one, 8081),))])

            def ask_much(address: str, port: int) -> int:
                with udp() as socket_:
                    socket_.sendto(b"?" * 4000, (address, port))
                    return len(socket_.recv(10_000))

            assert made.from_client(lambda: ask_much(ADDRESS, PORT)) == 5000
            assert made.from_client(lambda: ask_much(one, 8081)) == 5000
        finally:
            large.close()


@in_event_loop
async def test_a_pod_reaches_itself_by_its_service(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one")])

        assert in_namespace(made.holders["one"].pid, ask) == "one"


@in_event_loop
async def test_what_has_no_endpoints_is_refused_at_once(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply(
            [made.service(node_port=NODE_PORT), made.service(protocol="UDP", node_port=NODE_PORT)]
        )

        def refused_by_udp(address: str, port: int) -> None:
            with udp() as client:
                client.connect((address, port))
                # The node's own is refused while it is sent.
                with pytest.raises((ConnectionRefusedError, PermissionError)):
                    ask_by_udp(client, address, port)

        def refused() -> None:
            for address, port in (
                (ADDRESS, PORT),
                ("10.99.7.7", PORT),  # nobody's
                (str(made.network.gateway), NODE_PORT),
            ):
                with pytest.raises(ConnectionRefusedError):
                    ask(address, port)
                refused_by_udp(address, port)

        made.from_client(refused)
        await asyncio.to_thread(refused)


@in_event_loop
async def test_a_connection_outlives_what_led_to_its_backend(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one")])

        def connect() -> socket.socket:
            return socket.create_connection((ADDRESS, PORT), timeout=LIMIT)

        with made.from_client(connect) as connection:
            assert connection.recv(100) == b"one"
            await made.services.apply([made.service("two")])
            connection.sendall(b"still there?")
            assert made.from_client(ask) == "two"
            await made.services.apply([made.service()])
            connection.sendall(b"and now?")
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(100)  # neither a reset nor an end


@in_event_loop
async def test_udp_goes_elsewhere_when_its_backend_is_no_longer_one(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        client = made.from_client(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.settimeout(LIMIT)
        with client:
            await made.services.apply([made.service("one", protocol="UDP")])
            assert ask_by_udp(client) == "one"
            await made.services.apply([made.service("two", protocol="UDP")])
            assert ask_by_udp(client) == "two"


@in_event_loop
async def test_a_client_that_is_to_stay_stays_also_when_others_come_and_go(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one", "two", sticky_seconds=600)])
        (first,) = made.from_client(ask_often)
        other = {"one": "two", "two": "one"}[first]

        more = made.service("one", name="more", port=81)
        await made.services.apply([made.service("one", "two", sticky_seconds=600), more])
        assert made.from_client(ask_often) == {first}
        await made.services.apply([made.service(other, sticky_seconds=600), more])
        assert made.from_client(ask_often) == {other}


@in_event_loop
async def test_a_table_that_somebody_takes_away_is_made_again(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one")])
        for family in ("ip", "bridge"):
            table = f"table {family} minikubelet-{BRIDGE}-services"
            run("nft", "delete", *table.split())
            await until(lambda table=table: table in run("nft", "list", "tables").splitlines())
            assert made.from_client(ask) == "one"


@in_event_loop
async def test_without_services_nothing_is_there(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        localnet = Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet")
        await made.services.apply([])
        assert f"{BRIDGE}-services" not in run("nft", "list", "tables")
        await made.services.apply([made.service("one", node_port=NODE_PORT)])
        assert localnet.read_text() == "1\n"
        await made.services.apply([])

        assert f"{BRIDGE}-services" not in run("nft", "list", "tables")
        assert localnet.read_text() == "0\n"


@in_event_loop
async def test_the_next_agent_finds_what_there_is_and_changes_it(state_dir: Path) -> None:
    async with pods(state_dir) as made:
        await made.services.apply([made.service("one", sticky_seconds=60)])
        await made.services.stop(remove=False)
        assert made.from_client(ask) == "one"  # while nobody is there

        made.services = ServiceNetwork(made.network, SERVICES)
        await made.services.apply([made.service("two")])
        assert made.from_client(ask) == "two"


@in_event_loop
async def test_two_agents_have_services_side_by_side(state_dir: Path, tmp_path: Path) -> None:
    async with pods(state_dir) as made, started(tmp_path / "other", "mkt1", "10.244.92.0/24") as network:
        services = ServiceNetwork(network, SERVICES)
        with Holder() as holder:
            spec = await plugged(network, holder, "uid-three", "three")
            echo = Echo("three", holder)
            try:
                await made.services.apply([made.service("one")])
                other = made.service(address="10.99.1.2", backends=((spec.address, 8080),))
                await services.apply([other])

                assert made.from_client(ask) == "one"
                assert in_namespace(holder.pid, lambda: ask("10.99.1.2")) == "three"
                assert Counter((ask(), ask("10.99.1.2"))) == Counter(("one", "three"))  # the node
                with pytest.raises(ConnectionRefusedError):
                    made.from_client(lambda: ask("10.99.1.2"))  # not one of its cluster's
            finally:
                await services.stop(remove=True)
                echo.close()
