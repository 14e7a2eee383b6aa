"""port-forward in its three dialects, to a real server on the loopback."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import struct
import threading
from contextlib import suppress

import aiohttp
import pytest

from minikubelet.api.streams import port_forward, spdy
from minikubelet.errors import PortForwardError
from minikubelet.runtime.pod_connection import dial as dial_pod
from tests.unit.api.conftest import PODS, pod
from tests.unit.api.echo import Echo
from tests.unit.api.spdy_peer import Refused, SpdyPeer
from tests.unit.api.test_streams import talk
from tests.unit.api.waiting import wait_for

FORWARD = f"{PODS}/web/portforward"
PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"


def open_pair(peer: SpdyPeer, port: object, request: str = "0") -> tuple[int, int]:
    return tuple(peer.open(streamtype=kind, port=str(port), requestid=request) for kind in ("error", "data"))


def wait_ended(api, echo: Echo, count: int) -> None:
    wait_for(lambda: echo.ended == count)


def test_data_flows_both_ways_and_a_half_that_ended_leaves_the_other(web, dial, echo):
    peer = dial(FORWARD, PROTOCOL)
    assert f"X-Stream-Protocol-Version: {PROTOCOL}\r\n" in peer.head
    error, data = open_pair(peer, echo.port)
    peer.send(error, b"", fin=True)  # as kubectl does
    peer.send(data, b"hello")
    peer.until(lambda: peer.data[data] == b"hello")
    peer.send(data, b"", fin=True)
    peer.until(lambda: peer.ended == {error, data})
    assert (peer.data[data], peer.data[error], peer.reset) == (b"hellobye", b"", {})


def test_many_connections_share_one_and_do_not_mix(web, dial, echo):
    peer = dial(FORWARD, PROTOCOL)
    pairs = [open_pair(peer, echo.port, str(number)) for number in range(50)]
    for number, (_, data) in enumerate(pairs):
        peer.send(data, b"%d" % number * 1000, fin=True)
    peer.until(lambda: len(peer.ended) == 100)
    assert [peer.data[data] for _, data in pairs] == [b"%d" % n * 1000 + b"bye" for n in range(50)]


def test_a_port_nobody_listens_on_is_told_in_containerds_words(web, dial, free_port):
    peer = dial(FORWARD, PROTOCOL)
    error, data = open_pair(peer, free_port)
    peer.until(lambda: peer.ended == {error, data})
    assert peer.data[error].decode() == (
        f"error forwarding port {free_port} to pod sandbox, uid : failed to execute portforward in network "
        f'namespace "/proc/1/ns/net": failed to connect to localhost:{free_port} inside namespace "sandbox", '
        f"IPv4: dial tcp4 127.0.0.1:{free_port}: connect: connection refused "
        f"IPv6 dial tcp6 [::1]:{free_port}: connect: connection refused "
    )


def test_a_server_that_resets_its_connection_is_an_error_of_that_connection(web, dial, echo):
    peer = dial(FORWARD, PROTOCOL)
    error, data = open_pair(peer, echo.port)
    peer.send(data, b"reset")
    peer.until(lambda: peer.ended == {error, data})
    assert b"read: connection reset by peer" in peer.data[error]
    assert open_pair(peer, echo.port)[1] not in peer.reset


class SlowToConnect(socket.socket):
    """Comes back from connect(2) when the server has reset the connection already."""

    def connect(self, address):
        self.setblocking(True)
        super().connect(address)
        hung_up = select.poll()
        hung_up.register(self, select.POLLHUP)
        assert hung_up.poll(20_000)
        self.setblocking(False)


def test_a_server_that_resets_before_anything_was_said_is_told_with_both_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def reset() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        async def open_socket(family: str) -> socket.socket:
            return SlowToConnect()

        async def story() -> None:
            connection = await dial_pod(open_socket, port, "sandbox", "/proc/1/ns/net")
            try:
                words = rf"read tcp4 127\.0\.0\.1:\d+->127\.0\.0\.1:{port}: read: connection reset by peer$"
                with pytest.raises(PortForwardError, match=words):
                    await connection.read()
            finally:
                connection.close()

        resetting = threading.Thread(target=reset)
        resetting.start()
        asyncio.run(story())
        resetting.join()


class Refusing:
    """A server that answers and takes no more; the answer is read a little later than the write fails."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()
        self.answer = [b"too large", b""]

    async def read(self) -> bytes:
        await self.refused.wait()
        for _ in range(9):
            await asyncio.sleep(0)
        return self.answer.pop(0)

    async def write(self, data: bytes) -> None:
        self.refused.set()
        raise PortForwardError("broken pipe")


class Uploading:
    """A client with much to say."""

    said = b""

    async def read(self) -> bytes:
        return b"much"

    async def write(self, data: bytes) -> None:
        self.said += data


def test_the_answer_of_a_server_that_takes_no_more_reaches_the_client():
    async def story() -> bytes:
        client = Uploading()
        with pytest.raises(PortForwardError, match="broken pipe"):
            await port_forward.pump(client, Refusing())
        return client.said

    assert asyncio.run(story()) == b"too large"


def test_a_connection_the_client_gives_up_is_closed(web, dial, echo):
    peer = dial(FORWARD, PROTOCOL)
    _, data = open_pair(peer, echo.port)
    peer.send(data, b"hello")
    peer.until(lambda: peer.data[data] == b"hello")
    peer.sock.sendall(spdy.rst_stream(data, spdy.CANCEL))
    wait_ended(web, echo, 1)


def test_a_client_that_vanishes_closes_all_its_connections(web, dial, echo):
    peer = dial(FORWARD, PROTOCOL)
    for number in range(10):
        _, data = open_pair(peer, echo.port, str(number))
        peer.send(data, b"hello")
    peer.until(lambda: sum(map(len, peer.data.values())) == 50)
    peer.close()
    wait_ended(web, echo, 10)


@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "data", "requestid": "1"},
        {"streamtype": "data", "port": "0", "requestid": "1"},
        {"streamtype": "data", "port": "65536", "requestid": "1"},
        {"streamtype": "data", "port": "http", "requestid": "1"},
        {"streamtype": "stdin", "port": "80", "requestid": "1"},
        {"port": "80", "requestid": "1"},
    ],
)
def test_a_stream_that_makes_no_sense_is_refused_alone(web, dial, echo, headers):
    peer = dial(FORWARD)
    bad = peer.open(**headers)
    error, data = open_pair(peer, echo.port)
    peer.send(data, b"", fin=True)
    peer.until(lambda: peer.ended == {error, data})
    assert peer.reset == {bad: spdy.PROTOCOL_ERROR}


def test_half_a_pair_is_waited_for_only_so_long(web, dial, monkeypatch):
    monkeypatch.setattr(port_forward, "CREATION_SECONDS", 0.05)
    peer = dial(FORWARD, PROTOCOL)
    error = peer.open(streamtype="error", port="80", requestid="7")
    peer.until(lambda: error in peer.ended)
    assert peer.data[error] == b"(request=7) timed out waiting for streams"


def test_a_client_has_only_so_many_streams(web, dial, echo, monkeypatch):
    monkeypatch.setattr(port_forward, "STREAM_LIMIT", 4)
    peer = dial(FORWARD, PROTOCOL)
    kept = [open_pair(peer, echo.port, str(number)) for number in range(2)]
    refused = open_pair(peer, echo.port, "2")
    peer.until(lambda: len(peer.reset) == 2)
    assert peer.reset == dict.fromkeys(refused, spdy.REFUSED_STREAM)
    for pair in kept:
        peer.send(pair[0], b"", fin=True)
        peer.send(pair[1], b"", fin=True)
    peer.until(lambda: len(peer.ended) == 4)
    error, _ = open_pair(peer, echo.port, "3")
    peer.send(error + 2, b"", fin=True)
    peer.until(lambda: error in peer.ended)


def test_the_same_frames_in_a_websocket_wherever_its_messages_end(web, echo):
    async def story(socket):
        assert socket.protocol == TUNNEL
        encoder, decoder = spdy.Encoder(), spdy.Decoder()
        wire = b"".join(
            encoder.syn_stream(number, {"streamtype": kind, "port": str(echo.port), "requestid": "0"})
            for number, kind in ((1, "error"), (3, "data"))
        )
        wire += spdy.data(3, b"hello", fin=True)
        for start in range(0, len(wire), 7):
            await socket.send_bytes(wire[start : start + 7])
        said, ended = b"", set()
        async for message in socket:
            for frame in decoder.feed(message.data):
                if isinstance(frame, spdy.Data):
                    said += frame.data
                    ended |= {frame.stream_id} if frame.fin else set()
            if ended == {1, 3}:
                return said

    assert talk(web, FORWARD, story, TUNNEL) == b"hellobye"


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_the_python_clients_dialect(web, echo, free_port, protocol):
    async def story(socket):
        channels = dict.fromkeys(range(4), b"")
        await socket.send_bytes(b"\0hello")
        async for message in socket:
            channels[message.data[0]] += message.data[1:]
            if channels[0].endswith(b"hello") and channels[3].endswith(b" "):
                break
        return channels

    channels = talk(web, FORWARD, story, protocol, ports=f"{echo.port},{free_port}")
    ports = [port.to_bytes(2, "little") for port in (echo.port, free_port)]
    assert (channels[0], channels[1], channels[2]) == (ports[0] + b"hello", ports[0], ports[1])
    assert channels[3].startswith(ports[1] + b"error forwarding port %d to pod" % free_port)
    wait_ended(web, echo, 1)


def test_in_v5_a_half_of_a_port_can_be_ended_and_the_last_port_ends_it_all(web, echo):
    async def story(socket):
        await socket.send_bytes(b"\0hello")
        await socket.send_bytes(b"\xff\0")
        said = b"".join([message.data[1:] async for message in socket if message.data[0] == 0])
        return said, socket.close_code

    said, code = talk(web, FORWARD, story, ports=str(echo.port))
    assert (said[2:], code) == (b"hellobye", 1000)


def test_a_server_that_ends_its_half_and_does_not_read_holds_up_no_other_port(web, echo):
    full, over = threading.Event(), threading.Event()

    def say_enough(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            full.wait(30)
            connection.shutdown(socket.SHUT_WR)
            over.wait(30)

    async def story(socket):
        with suppress(TimeoutError):
            while True:
                await asyncio.wait_for(socket.send_bytes(b"\0" + bytes(1 << 20)), 0.5)
        full.set()
        await socket.send_bytes(b"\2hello")
        async for message in socket:
            if message.data == b"\2hello":
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=say_enough, args=(server,))
        serving.start()
        try:
            talk(web, FORWARD, story, ports=f"{server.getsockname()[1]},{echo.port}")
        finally:
            full.set()
            over.set()
            serving.join()


def test_a_websocket_that_vanishes_closes_its_connections(web, echo):
    async def story(socket):
        await socket.send_bytes(b"\0hello")
        while (await socket.receive()).data != b"\0hello":
            pass
        socket._response.connection.transport.abort()

    talk(web, FORWARD, story, ports=str(echo.port))
    wait_ended(web, echo, 1)


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ("", 'query parameter "ports" is required'),
        ("0", 'port "0" must be > 0'),
        ("x", 'unable to parse "x" as a port'),
        ("65536", 'unable to parse "65536" as a port'),
        (",".join(["80"] * 128), "too many ports: at most 127"),
    ],
)
def test_ports_that_make_no_sense_are_http_errors(web, ports, message):
    async def story(socket):
        raise AssertionError("upgraded")

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        talk(web, FORWARD, story, **({"ports": ports} if ports else {}))
    assert refused.value.status == 400
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    connection = web.connect()
    connection.request("GET", FORWARD + (f"?ports={ports}" if ports else ""), headers=upgrade)
    assert json.loads(connection.getresponse().read())["message"] == message
    connection.close()


def test_a_pod_that_does_not_run_has_no_ports(web, dial):
    web.post(PODS, pod("new"))
    assert web.request("POST", FORWARD).json["message"] == "Upgrade request required"
    with pytest.raises(Refused, match="pod new does not have a host assigned"):
        dial(f"{PODS}/new/portforward", PROTOCOL)
    web.set_status("web", phase="Succeeded")
    with pytest.raises(Refused, match="failed to find sandboxID for pod web_default"):
        dial(FORWARD, PROTOCOL)


def test_no_task_is_left_of_a_hundred_hard_closes(web, dial, echo):
    tasks = web.inside(lambda: len(asyncio.all_tasks()))
    for number in range(100):
        peer = dial(FORWARD, PROTOCOL)
        _, data = open_pair(peer, echo.port)
        peer.send(data, b"hello")
        if number % 2:
            peer.until(lambda: peer.data)  # noqa: B023
        peer.close()
    wait_for(lambda: echo.ended == echo.begun)
    wait_for(lambda: web.inside(lambda: len(asyncio.all_tasks())) <= tasks)
