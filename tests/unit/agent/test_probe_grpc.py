"""gRPC probes (kubelet-behaviour 3.6) against servers that speak HTTP/2 well, badly and with ill will.

The honest servers are made with h2; what a real gRPC library makes of our request is asked in
tests/contract/test_grpc_probe.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.agent.probes import grpc
from minikubelet.agent.probes.http2 import RECEIVE_LIMIT, RpcError
from minikubelet.agent.probes.outcome import Outcome, error, failure, success
from minikubelet.v1 import GRPCAction
from tests.unit.agent.servers import Peer, serving
from tests.virtual_time import in_virtual_time
from tests.virtual_time import run as run_virtually

OK_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
SERVING = b"\0\0\0\0\2\x08\x01"
GRPC_OK = [("grpc-status", "0")]
NO_REPLY = "timeout: health rpc did not complete within 1s"


async def probe(port: int, service: str | None = None, timeout: float = 1, ip: str = "127.0.0.1") -> Outcome:
    return await grpc.probe(GRPCAction(port=port, service=service), ip, timeout)


def rpc_failed(text: str) -> Outcome:
    return failure(f"error: health rpc probe failed: rpc error: {text}")


def not_connected(port: int, within: str = "1s") -> Outcome:
    return failure(
        f'timeout: failed to connect service "127.0.0.1:{port}" within {within}: context deadline exceeded'
    )


def asked(talk, timeout: float = 1) -> Outcome:
    """What a probe of such a server finds, in virtual time."""

    async def story() -> Outcome:
        async with serving(talk) as port:
            return await probe(port, timeout=timeout)

    return run_virtually(story())


class Server:
    """The server's side of one connection. `requests` has the headers of every call, then its body."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.headers: dict[str, str] = {}
        self.body = b""

    async def greet(self) -> None:
        self.h2.initiate_connection()
        await self.flush()

    async def request(self) -> None:
        """Read until the client has said everything."""
        while data := await self.peer.reader.read(65536):
            for event in self.h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.headers = dict(event.headers)
                elif isinstance(event, StreamEnded):
                    return await self.flush()
                elif hasattr(event, "data"):
                    self.body += event.data
            await self.flush()

    async def flush(self) -> None:
        await self.peer.send(self.h2.data_to_send())

    async def answer(self, body: bytes = SERVING, headers=OK_HEADERS, trailers=GRPC_OK) -> None:
        self.h2.send_headers(1, headers)
        if body:
            self.h2.send_data(1, body)
        self.h2.send_headers(1, trailers, end_stream=True)
        await self.flush()


def answering(reply: Callable[[Server], Awaitable[None]], seen: list[Server] | None = None):
    """Greet, read the request, reply, wait for the client to go."""

    async def talk(peer: Peer) -> None:
        server = Server(peer)
        if seen is not None:
            seen.append(server)
        await server.greet()
        await server.request()
        await reply(server)
        await peer.reader.read()

    return talk


def with_answer(body: bytes = SERVING, headers=OK_HEADERS, trailers=GRPC_OK):
    return answering(lambda server: server.answer(body, headers, trailers))


def with_headers_only(*headers: tuple[str, str]):
    async def reply(server: Server) -> None:
        server.h2.send_headers(1, list(headers), end_stream=True)
        await server.flush()

    return answering(reply)


# 3.6: what is asked


@in_virtual_time
async def test_3_6_grpc_asks_health_check_in_plain_text_with_the_kubelet_s_user_agent():
    seen: list[Server] = []
    async with serving(answering(lambda server: server.answer(), seen)) as port:
        assert await probe(port, service="db", timeout=2) == success("service healthy")
    assert seen[0].headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": f"127.0.0.1:{port}",
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "kube-probe/1.36",
        "grpc-timeout": "2000m",
    }
    assert seen[0].body == b"\0\0\0\0\4\x0a\x02db"


@in_virtual_time
async def test_3_1_grpc_without_service_asks_for_the_whole_server():
    seen: list[Server] = []
    async with serving(answering(lambda server: server.answer(), seen)) as port:
        assert await probe(port) == success("service healthy")
    assert seen[0].body == b"\0\0\0\0\0"


@in_virtual_time
async def test_a_pod_without_address_is_an_error_of_the_check():
    assert await probe(9000, ip="") == error("cannot probe: the pod has no IP address yet")


# 3.6: what it says


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        pytest.param(with_answer(), success("service healthy"), id="SERVING"),
        pytest.param(
            with_answer(b"\0\0\0\0\2\x08\x02"),
            failure('service unhealthy (responded with "NOT_SERVING")'),
            id="NOT_SERVING",
        ),
        pytest.param(
            with_answer(b"\0\0\0\0\0"),
            failure('service unhealthy (responded with "UNKNOWN")'),
            id="an empty message is UNKNOWN",
        ),
        pytest.param(
            with_answer(b"\0\0\0\0\2\x08\x07"),
            failure('service unhealthy (responded with "7")'),
            id="a status nobody knows",
        ),
        pytest.param(
            with_answer(b"\0\0\0\0\7\x12\x03abc\x08\x01"),
            success("service healthy"),
            id="fields nobody knows are passed over",
        ),
        pytest.param(
            with_headers_only(*OK_HEADERS, ("grpc-status", "12"), ("grpc-message", "unknown service x")),
            failure(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
                "unknown service x"
            ),
            id="unimplemented",
        ),
        pytest.param(
            with_headers_only(*OK_HEADERS, ("grpc-status", "5"), ("grpc-message", "unknown%20service")),
            rpc_failed("code = NotFound desc = unknown service"),
            id="other rpc error, percent-decoded",
        ),
        pytest.param(
            with_answer(b"", trailers=[("grpc-status", "14"), ("grpc-message", "later")]),
            rpc_failed("code = Unavailable desc = later"),
            id="other rpc error, in trailers",
        ),
        pytest.param(
            with_headers_only(*OK_HEADERS, ("grpc-status", "42")),
            rpc_failed("code = Code(42) desc = "),
            id="a code nobody knows",
        ),
        pytest.param(
            with_headers_only(*OK_HEADERS, ("grpc-status", "4")),
            failure(NO_REPLY),
            id="the server gave up first",
        ),
        pytest.param(
            with_headers_only((":status", "404"), ("content-type", "text/plain")),
            failure(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
                "unexpected HTTP status code received from server: 404 (Not Found); "
                'transport: received unexpected content-type "text/plain"'
            ),
            id="an HTTP/2 server without gRPC",
        ),
        pytest.param(
            with_headers_only((":status", "200")),
            rpc_failed("code = Unknown desc = malformed header: missing HTTP content-type"),
            id="without content type",
        ),
    ],
)
def test_3_6_grpc_verdicts(talk, expected):
    assert asked(talk) == expected


async def hang_up(peer: Peer) -> None:
    await peer.reader.read(24)


async def speak_http1(peer: Peer) -> None:
    await peer.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def silent(peer: Peer) -> None:
    await peer.reader.read()


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(hang_up, id="hangs up"),
        pytest.param(speak_http1, id="speaks HTTP/1"),
        pytest.param(silent, id="says nothing"),
    ],
)
@in_virtual_time
async def test_3_6_grpc_no_connection_in_time(talk):
    async with serving(talk) as port:
        assert await probe(port) == not_connected(port)


@in_virtual_time
async def test_3_6_grpc_a_refused_connection_shows_up_as_the_timeout_text():
    async with serving(silent) as port:
        pass
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await probe(port, timeout=80) == not_connected(port, within="1m20s")
    assert loop.time() - began == pytest.approx(80)


@in_virtual_time
async def test_3_6_grpc_a_server_that_comes_late_is_found_within_the_timeout():
    async with serving(silent) as port:
        pass
    check = asyncio.create_task(probe(port, timeout=5))
    await asyncio.sleep(2)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(lambda server: server.answer())(Peer(reader, writer))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    assert await check == success("service healthy")
    server.close()
    await server.wait_closed()


async def never_answers(server: Server) -> None:
    await server.peer.reader.read()


async def answers_without_an_end(server: Server) -> None:
    server.h2.send_headers(1, OK_HEADERS)
    server.h2.send_data(1, SERVING)
    await server.flush()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(never_answers, id="no answer"),
        pytest.param(answers_without_an_end, id="A38: no END_STREAM"),
    ],
)
def test_3_6_grpc_call_too_slow(reply):
    assert asked(answering(reply)) == failure(NO_REPLY)


async def reset_stream(server: Server) -> None:
    server.h2.reset_stream(1, error_code=2)
    await server.flush()


async def refuse_stream(server: Server) -> None:
    server.h2.reset_stream(1, error_code=7)
    await server.flush()


async def say_goodbye(server: Server) -> None:
    server.h2.close_connection(last_stream_id=0)
    await server.flush()


async def leave(server: Server) -> None:
    server.peer.writer.close()


async def end_without_trailers(server: Server) -> None:
    server.h2.send_headers(1, OK_HEADERS)
    server.h2.send_data(1, SERVING, end_stream=True)
    await server.flush()


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        pytest.param(
            reset_stream,
            "code = Internal desc = stream terminated by RST_STREAM with error code: INTERNAL_ERROR",
            id="RST_STREAM",
        ),
        pytest.param(
            refuse_stream,
            "code = Unavailable desc = stream terminated by RST_STREAM with error code: REFUSED_STREAM",
            id="refused stream",
        ),
        pytest.param(
            say_goodbye,
            "code = Unavailable desc = error reading from server: connection error: the server said GOAWAY",
            id="GOAWAY",
        ),
        pytest.param(leave, "code = Unavailable desc = error reading from server: EOF", id="hangs up"),
        pytest.param(
            end_without_trailers,
            "code = Internal desc = server closed the stream without sending trailers",
            id="no trailers",
        ),
        pytest.param(
            lambda server: server.answer(b""),
            "code = Internal desc = cardinality violation: received no response message",
            id="no message",
        ),
        pytest.param(
            lambda server: server.answer(b"\1\0\0\0\2\x08\x01"),
            "code = Internal desc = grpc: compressed flag set with identity or empty encoding",
            id="compressed, unasked",
        ),
        pytest.param(
            lambda server: server.answer(b"\0\0\1\0\0" + b"x" * 100),
            "code = ResourceExhausted desc = grpc: received message larger than max (65536 vs. 4096)",
            id="a message too long",
        ),
        pytest.param(
            lambda server: server.answer(b"\0\0\0\0\2\x0f\x01"),
            "code = Internal desc = grpc: failed to unmarshal the received message: "
            "proto: cannot parse invalid wire-format data",
            id="no protobuf",
        ),
        pytest.param(
            lambda server: server.answer(trailers=[("grpc-status", "x")]),
            'code = Internal desc = malformed grpc-status: "x"',
            id="a status that is no number",
        ),
    ],
)
def test_3_6_grpc_other_rpc_errors(reply, text):
    assert asked(answering(reply)) == rpc_failed(text)


@in_virtual_time
async def test_a_server_that_grants_nothing_at_first_is_waited_for():
    streams, window = b"\0\3", b"\0\4"

    async def talk(peer: Peer) -> None:
        await peer.send(frame(4, 0, streams + bytes(4) + window + bytes(4), stream=0))
        await asyncio.sleep(0.2)
        await peer.send(frame(4, 0, streams + b"\0\0\0\1", stream=0))
        await asyncio.sleep(0.2)
        await peer.send(frame(4, 0, window + b"\0\0\0\4", stream=0))
        await asyncio.sleep(0.2)
        await answering(lambda server: server.answer())(peer)

    async with serving(talk) as port:
        assert await probe(port, service="db") == success("service healthy")


# Threat A38: one outcome, in time, within bounded memory

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
MORE_THAN_ENOUGH = f"more than {RECEIVE_LIMIT} bytes came in answer to a health check"


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def flooding(*, first: bytes = b"", again: bytes):
    """After the request, `first` once and `again` for ever."""

    async def reply(server: Server) -> None:
        await server.peer.send(first)
        while True:
            await server.peer.send(again)
            await asyncio.sleep(0)

    return answering(reply)


async def everything_but_a_greeting(peer: Peer) -> None:
    while True:
        await peer.send(frame(6, 0, b"x" * 8, stream=0) * 100)  # PING
        await asyncio.sleep(0)


LITERAL_4K = b"\x40\x01a\x7f\x81\x1f" + b"b" * 4096  # "a: bbb…", to be indexed
INDEXED_4K = b"\xbe" * 4096  # the newest entry of the table, again and again


@pytest.mark.parametrize(
    ("talk", "cause"),
    [
        pytest.param(flooding(again=SETTINGS * 1000), MORE_THAN_ENOUGH, id="SETTINGS flood"),
        pytest.param(
            flooding(again=frame(6, 0, b"x" * 8, stream=0) * 1000), MORE_THAN_ENOUGH, id="PING flood"
        ),
        pytest.param(
            flooding(first=frame(1, 0, b""), again=frame(9, 0, b"") * 100),
            "connection error: ",
            id="CONTINUATION flood, empty frames",
        ),
        pytest.param(
            flooding(
                first=frame(1, 0, b""), again=frame(9, 0, b"\x40\x01a" + b"\x7f\x80\x7f" + b"b" * 16000)
            ),
            "",
            id="CONTINUATION flood, full frames",
        ),
        pytest.param(
            flooding(again=frame(1, 4, b"\x3f\xe1\xff\xff\x07")),
            "connection error: ",
            id="a header table of 16 MiB",
        ),
        pytest.param(
            flooding(again=frame(1, 4, b"\x40\x01a\x7f\x80\x1f" + b"b" * 4095 + INDEXED_4K)),
            "connection error: ",
            id="a header bomb",
        ),
        pytest.param(
            flooding(again=b"\xff\xff\xff\0\0\0\0\0\1" + b"x" * 10000),
            MORE_THAN_ENOUGH,
            id="a frame of 16 MiB",
        ),
        pytest.param(
            flooding(again=frame(5, 4, b"\0\0\0\2", stream=1)),
            "connection error: ",
            id="PUSH_PROMISE, unasked",
        ),
        pytest.param(
            flooding(again=frame(8, 0, b"\x7f\xff\xff\xff", stream=0)),
            "connection error: ",
            id="windows beyond all measure",
        ),
    ],
)
def test_a38_floods_end_the_call(talk, cause):
    outcome = asked(talk, timeout=2)
    assert outcome.verdict == "failure"
    assert "code = Unavailable desc = error reading from server: " + cause in outcome.output


def test_a38_a_flood_before_the_greeting_is_no_connection():
    assert "failed to connect service" in asked(everything_but_a_greeting, timeout=2).output


def test_a38_a_body_without_end_stops_at_the_window():
    body = frame(0, 0, b"\0\0\0\1\0" + b"x" * 251)
    outcome = asked(flooding(first=frame(1, 4, b"\x88\x5f\x10application/grpc"), again=body * 100))
    assert outcome.verdict == "failure"


def test_a38_memory_is_bounded():
    asked(with_answer())  # imports
    tracemalloc.start()
    try:
        for again in (SETTINGS * 1000, frame(9, 0, b"x" * 16000), frame(0, 0, b"x" * 16000)):
            asked(flooding(first=frame(1, 0, b""), again=again), timeout=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@in_virtual_time
async def test_a38_floods_delay_nobody():
    """The loop of everybody: while a flood is looked at, others get their turn again and again."""
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(somebody_else())
    async with serving(flooding(again=SETTINGS * 1000)) as port:
        await probe(port, timeout=30)
    other.cancel()
    assert turns >= RECEIVE_LIMIT // 1024


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_a38_any_bytes_give_one_outcome(noise, greeted):
    async def talk(peer: Peer) -> None:
        await peer.send((SETTINGS if greeted else b"") + noise)
        await peer.reader.read()

    assert asked(talk).verdict == "failure"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_health_response_or_a_clean_error(message):
    with contextlib.suppress(RpcError):
        assert grpc.status_of(message) >= 0


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 20000])
def test_requests_carry_the_service_s_name_with_its_length(length):
    encoded = grpc.request("s" * length)
    key, position = grpc._read_field(encoded, 1, grpc.LENGTH) if length else (0, 0)
    assert (key, position) == (0, len(encoded))
