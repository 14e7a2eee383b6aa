"""The resolver: what it answers, what it asks on, and what it does not let anybody do to it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from minikubelet.runtime.resolver import Forwarder, Record, Resolver
from minikubelet.runtime.resolver.answers import LARGEST_UDP, answer, question_about_alias, read_question
from minikubelet.runtime.resolver.forwarding import PENDING_OF_ONE
from minikubelet.runtime.resolver.server import BURST

NETWORK = IPv4Network("127.0.0.0/8")
MANY = [f"127.1.0.{number}" for number in range(1, 120)]


class Records:
    """`Names` from a table."""

    domain = "cluster.local"
    networks = (NETWORK,)

    def records(self, name: str) -> Sequence[Record] | None:
        found = {
            "web.shop.svc": [Record("A", "127.0.0.5")],
            "_http._tcp.web.shop.svc": [Record("SRV", "0 100 80 web.shop.svc.cluster.local.")],
            "shop.svc": [],
            "many.shop.svc": [Record("A", address) for address in MANY],
            "near.shop.svc": [Record("CNAME", "web.shop.svc.cluster.local.")],
            "far.shop.svc": [Record("CNAME", "example.com.")],
            "lost.shop.svc": [Record("CNAME", "gone.shop.svc.cluster.local.")],
            "loop.shop.svc": [Record("CNAME", "loop.shop.svc.cluster.local.")],
            "": [],
        }
        return found.get(name)

    def name_of(self, address: str) -> str | None:
        return "web.shop.pod.cluster.local" if address == "127.0.0.5" else None


def local(name: str, kind: str, *, udp: bool = True, **options: object) -> dns.message.Message:
    """The answer to a question that must be ours."""
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    question = read_question(query.to_wire(), Records())
    assert question is not None
    assert question.local
    data = answer(question, Records(), udp=udp)
    assert data is not None
    response = dns.message.from_wire(data)
    assert query.is_response(response)
    return response


def values(response: dns.message.Message) -> list[str]:
    return sorted(item.to_text() for rrset in response.answer for item in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "found", "code"),
    [
        ("web.shop.svc.cluster.local", "A", ["127.0.0.5"], "NOERROR"),
        ("WEB.Shop.svc.Cluster.Local", "A", ["127.0.0.5"], "NOERROR"),
        ("web.shop.svc.cluster.local", "ANY", ["127.0.0.5"], "NOERROR"),
        ("web.shop.svc.cluster.local", "AAAA", [], "NOERROR"),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", ["0 100 80 web.shop.svc.cluster.local."], "NOERROR"),
        ("_http._tcp.web.shop.svc.cluster.local", "A", [], "NOERROR"),
        ("web.shop.svc.cluster.local", "PTR", [], "NOERROR"),
        ("shop.svc.cluster.local", "A", [], "NOERROR"),
        ("cluster.local", "A", [], "NOERROR"),
        ("none.shop.svc.cluster.local", "A", [], "NXDOMAIN"),
        ("none.shop.svc.cluster.local", "AAAA", [], "NXDOMAIN"),
        ("5.0.0.127.in-addr.arpa", "PTR", ["web.shop.pod.cluster.local."], "NOERROR"),
        ("5.0.0.127.in-addr.arpa", "A", [], "NOERROR"),
        ("6.0.0.127.in-addr.arpa", "PTR", [], "NXDOMAIN"),
    ],
)
def test_local_names(name: str, kind: str, found: list[str], code: str) -> None:
    response = local(name, kind)
    assert values(response) == found
    assert dns.rcode.to_text(response.rcode()) == code
    assert response.flags & dns.flags.AA
    assert bool(response.authority) == (not found), "a no says how long it holds"


def test_an_alias_comes_with_what_it_stands_for() -> None:
    near = local("near.shop.svc.cluster.local", "A")
    far = local("far.shop.svc.cluster.local", "A")
    lost = local("lost.shop.svc.cluster.local", "A")
    itself = local("loop.shop.svc.cluster.local", "A")

    assert values(near) == ["127.0.0.5", "web.shop.svc.cluster.local."]
    assert (values(far), far.rcode()) == (["example.com."], dns.rcode.NOERROR)
    assert lost.rcode() == dns.rcode.NXDOMAIN
    assert values(itself) == ["loop.shop.svc.cluster.local."]
    assert values(local("near.shop.svc.cluster.local", "CNAME")) == ["web.shop.svc.cluster.local."]


def test_what_an_alias_of_others_stands_for_is_asked_of_others() -> None:
    def further(name: str, kind: str = "A") -> bytes | None:
        question = read_question(dns.message.make_query(name, kind).to_wire(), Records())
        assert question is not None
        return question_about_alias(question, Records())

    asked = further("far.shop.svc.cluster.local")
    assert asked is not None
    assert dns.message.from_wire(asked).question[0].name == dns.name.from_text("example.com.")
    assert further("near.shop.svc.cluster.local") is None
    assert further("far.shop.svc.cluster.local", "CNAME") is None
    assert further("web.shop.svc.cluster.local") is None


def test_what_others_say_of_an_alias_is_passed_on() -> None:
    question = read_question(dns.message.make_query("far.shop.svc.cluster.local", "A").to_wire(), Records())
    assert question is not None
    about = dns.message.make_response(dns.message.make_query("example.com.", "A"))
    about.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "A", "192.0.2.9"))

    for said, expected in ((about.to_wire(), ["192.0.2.9", "example.com."]), (b"nonsense", ["example.com."])):
        data = answer(question, Records(), udp=True, about_alias=said)
        assert data is not None
        assert values(dns.message.from_wire(data)) == expected


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_no_zone_is_handed_out(kind: str) -> None:
    assert local("cluster.local", kind).rcode() == dns.rcode.REFUSED


def test_what_does_not_fit_a_datagram_is_asked_for_again_by_tcp() -> None:
    small = local("many.shop.svc.cluster.local", "A")
    assert small.flags & dns.flags.TC
    assert not small.answer
    large = dns.message.make_query("many.shop.svc.cluster.local", "A", use_edns=0, payload=65535)
    question = read_question(large.to_wire(), Records())
    assert question is not None
    data = answer(question, Records(), udp=True)
    assert data is not None
    assert len(data) <= LARGEST_UDP, "whatever the asker says it can take"
    assert values(local("many.shop.svc.cluster.local", "A", udp=False)) == sorted(MANY)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("example.org", False),
        ("notcluster.local", False),
        ("5.0.0.10.in-addr.arpa", False),
        ("0.127.in-addr.arpa", False),
        ("x.cluster.local", True),
    ],
)
def test_whose_question_it_is(name: str, ours: bool) -> None:
    question = read_question(dns.message.make_query(name, "A").to_wire(), Records())
    assert question is not None
    assert question.local == ours


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 11, id="less than a header"),
        pytest.param(b"\0" * 12, id="no question"),
        pytest.param(dns.message.make_query("a.", "A").to_wire()[:-3], id="cut"),
        pytest.param(b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", id="a name that points at itself"),
        pytest.param(dns.message.make_response(dns.message.make_query("a.", "A")).to_wire(), id="a response"),
    ],
)
def test_what_is_no_question_gets_no_answer(message: bytes) -> None:
    assert read_question(message, Records()) is None


# On real sockets


class Upstream(asyncio.DatagramProtocol):
    """A DNS server that answers every name with one address, or not at all."""

    def __init__(self, *, silent: bool = False) -> None:
        self.asked: list[str] = []
        self.silent = silent
        self.some = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text())
        self.some.set()
        if not self.silent:
            self.transport.sendto(b"\0\0" + data[2:], addr)  # somebody guesses the number, wrongly
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.7"))
            self.transport.sendto(response.to_wire(), addr)


Ask = Callable[..., "asyncio.Future[dns.message.Message]"]


@asynccontextmanager
async def serving(
    *servers: str, network: IPv4Network = NETWORK, silent: bool = False, timeout: float = 20
) -> AsyncIterator[tuple[int, Upstream]]:
    """A resolver on 127.0.0.1, its port, and the upstream on 127.0.0.2."""
    loop = asyncio.get_running_loop()
    transport, upstream = await loop.create_datagram_endpoint(
        lambda: Upstream(silent=silent), local_addr=("127.0.0.2", 0)
    )
    upstream_port = transport.get_extra_info("sockname")[1]
    forwarder = Forwarder(lambda: list(servers), port=upstream_port, timeout=timeout)
    resolver, port = await started(network, forwarder)
    try:
        yield port, upstream
    finally:
        await resolver.close()
        transport.close()


async def started(network: IPv4Network, forwarder: Forwarder) -> tuple[Resolver, int]:
    """On a port that is free for TCP and UDP: what was free a moment ago may be somebody's now."""
    while True:
        resolver, port = Resolver(Records(), network, forwarder), free_port()
        try:
            await resolver.start(IPv4Address("127.0.0.1"), port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return resolver, port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def ask(port: int, name: str, *, tcp: bool = False, timeout: float = 30) -> dns.message.Message:
    query = dns.message.make_query(name, "A")
    by = dns.query.tcp if tcp else dns.query.udp
    return await asyncio.to_thread(by, query, "127.0.0.1", timeout=timeout, port=port)


@pytest.mark.parametrize("tcp", [False, True])
def test_local_names_by_both_doors(tcp: bool) -> None:
    async def story() -> None:
        async with serving() as (port, _):
            assert values(await ask(port, "web.shop.svc.cluster.local", tcp=tcp)) == ["127.0.0.5"]

    asyncio.run(story())


def test_other_names_are_asked_on_and_a_dead_server_is_passed_over() -> None:
    async def story() -> None:
        async with serving("127.0.0.3", "127.0.0.2") as (port, upstream):
            assert values(await ask(port, "example.org")) == ["192.0.2.7"]
            assert upstream.asked == ["example.org."]

    asyncio.run(story())


def test_names_of_the_node_are_never_asked_on() -> None:
    async def story() -> None:
        async with serving("127.0.0.2") as (port, upstream):
            await ask(port, "none.shop.svc.cluster.local")
            assert upstream.asked == []

    asyncio.run(story())


@pytest.mark.parametrize("tcp", [False, True])
def test_without_an_answer_there_is_a_failure(tcp: bool) -> None:
    async def story() -> None:
        async with serving("127.0.0.2", silent=True, timeout=0.2) as (port, _):
            assert (await ask(port, "example.org", tcp=tcp)).rcode() == dns.rcode.SERVFAIL

    asyncio.run(story())


def test_one_asker_cannot_fill_the_list_of_waiting_questions() -> None:
    """The defence is PENDING_OF_ONE in `Forwarder.ask`."""

    async def story() -> None:
        async with serving("127.0.0.2", silent=True) as (port, upstream):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for number in range(PENDING_OF_ONE + 5):
                    query = dns.message.make_query(f"n{number}.example", "A")
                    client.sendto(query.to_wire(), ("127.0.0.1", port))
                client.settimeout(10)
                early = [dns.message.from_wire(await asyncio.to_thread(client.recv, 4096)) for _ in range(5)]
            assert {response.rcode() for response in early} == {dns.rcode.SERVFAIL}
            assert len(upstream.asked) <= PENDING_OF_ONE

    asyncio.run(story())


def test_who_asks_too_much_is_not_heard_for_a_while() -> None:
    """The defence is `_Budget` in `server`."""

    async def story() -> None:
        resolver = Resolver(Records(), NETWORK, Forwarder(list))
        loop = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now  # type: ignore[method-assign]
        heard = sum(resolver._may_ask("127.0.0.1") for _ in range(int(BURST) + 100))
        assert heard == BURST
        assert resolver._may_ask("127.0.0.9"), "others are"
        now += 1
        assert resolver._may_ask("127.0.0.1")

    asyncio.run(story())


def test_strangers_get_no_answer() -> None:
    """No amplifier for anybody: the defence is the look at the network in `Resolver._may_ask`."""

    async def story() -> None:
        async with serving(network=IPv4Network("10.244.0.0/24")) as (port, _):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(
                    dns.message.make_query("web.shop.svc.cluster.local", "A").to_wire(), ("127.0.0.1", port)
                )
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await reader.read() == b"", "closed at once"
                writer.close()
                client.settimeout(0)
                with pytest.raises(BlockingIOError):
                    client.recv(4096)

    asyncio.run(story())
