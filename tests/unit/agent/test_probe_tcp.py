"""TCP probes: connect and hang up."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest

from minikubelet.agent.probes import connection, grpc, http, tcp
from minikubelet.agent.probes.outcome import error, failure, success
from minikubelet.v1 import Container, GRPCAction, HTTPGetAction, TCPSocketAction
from tests.unit.agent.servers import Peer, answering, response, serving
from tests.virtual_time import in_virtual_time, until

CONTAINER = Container(name="c")


async def probe(port: int | str, timeout: float = 1, host: str | None = None):
    return await tcp.probe(TCPSocketAction(port=port, host=host), CONTAINER, "127.0.0.1", timeout)


@in_virtual_time
async def test_3_6_tcp_being_accepted_is_success_and_the_server_sees_an_orderly_end():
    seen: list[bytes] = []

    async def talk(peer: Peer) -> None:
        seen.append(await peer.reader.read())  # a reset would raise

    async with serving(talk) as port:
        assert await probe(port) == success()
        await until(lambda: seen)
    assert seen == [b""]


def sockets_about(port: int) -> list[str]:
    """The states of this machine's TCP sockets with that port at one end, without the listening one."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{port:04X}"
    return [row[3] for row in rows if row[1].endswith(ends) or row[2].endswith(ends) if row[3] != "0A"]


@in_virtual_time
async def test_3_6_socket_nothing_is_left_of_a_probe_not_even_time_wait():
    """F25, F27: 600 probes a second for an hour must use up neither ports nor connection tracking."""

    async def hold(peer: Peer) -> None:
        await peer.reader.read()

    async with serving(hold) as held, serving(answering(response(body="fine"))) as closed:
        for _ in range(50):
            assert await probe(held) == success()
            action = HTTPGetAction(port=closed, scheme="HTTP", path="/")
            assert await http.probe(action, CONTAINER, "127.0.0.1", 1) == success("fine")
            assert (await grpc.probe(GRPCAction(port=closed), "127.0.0.1", 0.5)).verdict == "failure"
        await until(lambda: not sockets_about(held) + sockets_about(closed), limit=5)


@in_virtual_time
async def test_3_6_tcp_nobody_listens():
    async with serving(lambda peer: peer.request()) as port:
        pass
    assert await probe(port) == failure(f"dial tcp 127.0.0.1:{port}: connect: connection refused")


@in_virtual_time
async def test_3_6_tcp_a_full_backlog_costs_the_timeout():
    listener = socket.socket()
    waiting: list[socket.socket] = []
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            waiting.append(client)
        began = asyncio.get_running_loop().time()
        assert await probe(port, timeout=2) == failure(f"dial tcp 127.0.0.1:{port}: i/o timeout")
        assert asyncio.get_running_loop().time() - began == pytest.approx(2)
        for client in waiting:
            client.close()


@in_virtual_time
async def test_3_6_tcp_a_port_that_leads_nowhere_is_an_error_of_the_check():
    assert await probe("db") == error('strconv.Atoi: parsing "db": invalid syntax')


@in_virtual_time
async def test_3_6_tcp_ipv6_is_shown_in_brackets():
    with socket.socket(socket.AF_INET6) as unused:
        try:
            unused.bind(("::1", 0))
            port, cause = unused.getsockname()[1], "connection refused"
        except OSError:  # a node without IPv6 has its own words
            port, cause = 9, "cannot assign requested address"
    assert await probe(port, host="::1") == failure(f"dial tcp [::1]:{port}: connect: {cause}")


@in_virtual_time
async def test_running_out_of_descriptors_is_a_failure_like_any_other(monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(connection.socket, "socket", refuse)
    assert await probe(80) == failure("dial tcp 127.0.0.1:80: socket: too many open files")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(errno.EHOSTUNREACH, "no route to host", id="no route"),
        pytest.param(errno.ENETUNREACH, "network is unreachable", id="no network"),
        pytest.param(errno.ECONNREFUSED, "connection refused", id="refused"),
        pytest.param(errno.EADDRNOTAVAIL, "cannot assign requested address", id="ports used up"),
    ],
)
@in_virtual_time
async def test_3_6_tcp_failures_of_connect_in_go_s_words(monkeypatch, number, text):
    async def fail(sock, address):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    assert await probe(80) == failure(f"dial tcp 127.0.0.1:80: connect: {text}")
