"""HTTP probes against real servers, tame and hostile, in the words of Go's client."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import resource

import pytest

from minikubelet.agent.probes import http
from minikubelet.agent.probes.outcome import OUTPUT_LIMIT, Outcome, error, failure, success, warning
from minikubelet.v1 import Container, ContainerPort, HTTPGetAction, HTTPHeader
from tests.unit.agent.servers import Peer, answering, response, serving
from tests.virtual_time import in_virtual_time, until

NOWHERE = Container(name="c")
NO_ANSWER = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
NO_BODY = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = "net/http: HTTP/1.x transport connection broken: "


def in_real_time(story):
    @functools.wraps(story)
    def test(*args, **kwargs):
        asyncio.run(asyncio.wait_for(story(*args, **kwargs), 20))

    return test


async def probe(port: int | str, timeout: float = 10, container: Container = NOWHERE, **action) -> Outcome:
    return await http.probe(HTTPGetAction(port=port, **action), container, "127.0.0.1", timeout)


async def probe_answer(data: bytes | str, timeout: float = 10, **action) -> Outcome:
    async with serving(answering(data)) as port:
        outcome = await probe(port, timeout, **action)
        return Outcome(outcome.verdict, _without_ports(outcome.output, port), outcome.state)


def _without_ports(text: str, port: int) -> str:
    return re.sub(r"127\.0\.0\.1:\d+->", "OURS->", text.replace(str(port), "PORT"))


def get(cause: str, url: str = "http://127.0.0.1:PORT/") -> str:
    return f'Get "{url}": {cause}'


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("200 OK", success("body"), id="200"),
        pytest.param("299 Odd", success("body"), id="299"),
        pytest.param("300 Many", warning("Probe terminated redirects, Response body: body"), id="300"),
        pytest.param(
            "304 Same", warning("Probe terminated redirects, Response body: "), id="304 has no body"
        ),
        pytest.param(
            "302 Found", warning("Probe terminated redirects, Response body: body"), id="no Location"
        ),
        pytest.param("400 No", failure("HTTP probe failed with statuscode: 400"), id="400"),
        pytest.param("503 No", failure("HTTP probe failed with statuscode: 503"), id="503, without body"),
        pytest.param("101 Switch", failure("HTTP probe failed with statuscode: 101"), id="101"),
        pytest.param("200", success("body"), id="no reason phrase"),
    ],
)
def test_3_6_http_the_status_decides(status, expected):
    assert asyncio.run(probe_answer(response(status, "body"))) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", failure(get("EOF")), id="hangs up"),
        pytest.param(
            b"HTTP/1.1 2", failure(get(BROKEN + "unexpected EOF")), id="hangs up in the status line"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nA: b\r\n", failure(get(BROKEN + "unexpected EOF")), id="in the head"
        ),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.2\r\n",
            failure(get(BROKEN + 'malformed HTTP response "SSH-2.0-OpenSSH_9.2"')),
            id="an SSH server",
        ),
        pytest.param(
            b"\x15\x03\x01\x00\x02\x02\n",
            failure(get(BROKEN + r'malformed HTTP response "\x15\x03\x01\x00\x02\x02"')),
            id="a TLS alert",
        ),
        pytest.param(
            b"HTTP/1.1 abc OK\r\n\r\n",
            failure(get(BROKEN + 'malformed HTTP status code "abc"')),
            id="a status that is no number",
        ),
        pytest.param(
            b"HTTP/x 200 OK\r\n\r\n",
            failure(get(BROKEN + 'malformed HTTP version "HTTP/x"')),
            id="a version that is none",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            failure(get(BROKEN + 'malformed MIME header: missing colon: "nonsense"')),
            id="a header without colon",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            failure(get(BROKEN + 'bad Content-Length "-1"')),
            id="a negative length",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            failure(
                get(BROKEN + 'http: message cannot contain multiple Content-Length headers; got ["1" "2"]')
            ),
            id="two lengths",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            failure(get(BROKEN + 'unsupported transfer encoding: "gzip"')),
            id="an unknown transfer encoding",
        ),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", success("ok"), id="bare line feeds"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nup to the end", success("up to the end"), id="body until EOF"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            success("x"),
            id="1xx answers first",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            error("unexpected EOF", state="failure"),
            id="a body that breaks off is an error of the check",
        ),
        pytest.param(
            b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nshort",
            error("unexpected EOF", state="failure"),
            id="of a bad status too",
        ),
        pytest.param(
            CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
            success("abcde"),
            id="chunks",
        ),
        pytest.param(
            CHUNKED + b"xyz\r\n",
            error("invalid byte in chunk length", state="failure"),
            id="invalid chunk length",
        ),
        pytest.param(
            CHUNKED + b"f" * 17 + b"\r\n",
            error("http chunk length too large", state="failure"),
            id="a chunk of sixteen exabytes",
        ),
        pytest.param(
            CHUNKED + b"1\r\nabc\r\n",
            error("malformed chunked encoding", state="failure"),
            id="a chunk longer than it says",
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 5000,
            error("header line too long", state="failure"),
            id="a size line without end",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"1;" + b"x" * 4000 + b"\r\na\r\n") * 9,
            error("chunked encoding contains too much non-data", state="failure"),
            id="more chunk extensions than data",
        ),
    ],
)
def test_3_6_http_every_answer_has_its_words(raw, expected):
    assert asyncio.run(probe_answer(raw)) == expected


@in_real_time
async def test_3_6_http_nobody_listens():
    async with serving(answering("")) as port:
        pass
    outcome = await probe(port, path="/healthz")
    assert outcome == failure(
        f'Get "http://127.0.0.1:{port}/healthz": dial tcp 127.0.0.1:{port}: connect: connection refused'
    )


@in_real_time
async def test_3_6_http_a_reset_connection_names_both_ends():
    async def talk(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with serving(talk) as port:
        outcome = await probe(port)
    assert outcome.verdict == "failure"
    end = r"127\.0\.0\.1:\d+"
    pattern = rf'Get "http://{end}/": read tcp {end}->{end}: read: connection reset by peer'
    assert re.fullmatch(pattern, outcome.output)


@in_real_time
async def test_a37_a_reset_at_any_byte_gives_one_outcome():
    answer = response("200 OK", "abc", "X-Filler: 12345").encode()
    for cut in range(len(answer) + 1):

        async def talk(peer: Peer, cut: int = cut) -> None:
            await peer.request()
            await peer.send(answer[:cut])
            peer.reset()

        async with serving(talk) as port:
            outcome = await probe(port)
        assert outcome.verdict in ("success", "failure", "error"), cut
        if outcome.verdict != "success":
            assert outcome.output.endswith(("connection reset by peer", "EOF")), (cut, outcome)


@in_real_time
async def test_3_6_http_the_request_is_go_s():
    seen: list[str] = []
    async with serving(answering(response(), seen)) as port:
        await probe(port, path="/a b?q=1&r=%2F#frag")
    assert seen == [
        f"GET /a%20b?q=1&r=%2F HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "User-Agent: kube-probe/1.36\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n\r\n"
    ]


@in_real_time
async def test_3_6_http_given_headers_are_canonical_sorted_repeated_and_win_over_defaults():
    seen: list[str] = []
    headers = [
        HTTPHeader(name="x-b", value="2"),
        HTTPHeader(name="x-a", value=" 1 "),
        HTTPHeader(name="X-B", value="3"),
        HTTPHeader(name="user-agent", value="me"),
        HTTPHeader(name="accept", value=""),
        HTTPHeader(name="host", value="example.test"),
        HTTPHeader(name="content-length", value="5"),
    ]
    async with serving(answering(response(), seen)) as port:
        await probe(port, http_headers=headers)
    assert seen[0].split("\r\n")[:-2] == [
        "GET / HTTP/1.1",
        "Host: example.test",
        "User-Agent: me",
        "X-A: 1",
        "X-B: 2",
        "X-B: 3",
        "Connection: close",
    ]


@in_real_time
async def test_3_6_http_an_empty_user_agent_is_not_sent():
    seen: list[str] = []
    async with serving(answering(response(), seen)) as port:
        await probe(port, http_headers=[HTTPHeader(name="User-Agent", value="")])
    assert "User-Agent" not in seen[0]


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        pytest.param(
            HTTPHeader(name="X", value="a\r\nInjected: 1"),
            'net/http: invalid header field value for "X"',
            id="a value that would be two headers",
        ),
        pytest.param(
            HTTPHeader(name="X Y", value="1"), 'net/http: invalid header field name "X Y"', id="a name"
        ),
        pytest.param(HTTPHeader(name="Host", value="a\nb"), "http: invalid Host header", id="a host"),
    ],
)
def test_3_6_http_headers_cannot_inject(header, cause):
    outcome = asyncio.run(probe_answer(response(), http_headers=[header]))
    assert outcome == failure(get(cause))


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param(0, error("invalid port number: 0"), id="0"),
        pytest.param(65536, error("invalid port number: 65536"), id="65536"),
        pytest.param("x", error('strconv.Atoi: parsing "x": invalid syntax'), id="an unknown name"),
        pytest.param("99999", error("invalid port number: 99999"), id="a number as text"),
    ],
)
def test_3_6_http_a_port_that_leads_nowhere_is_an_error_of_the_check(port, expected):
    assert asyncio.run(probe(port)) == expected


@in_real_time
async def test_3_6_http_a_port_may_be_named():
    async with serving(answering(response("200 OK", "named"))) as port:
        container = Container(name="c", ports=[ContainerPort(name="web", container_port=port)])
        assert await probe("web", container=container) == success("named")


@in_real_time
async def test_3_6_http_a_body_is_read_up_to_ten_kibibytes_and_no_further():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await peer.send(b"x" * 65536)

    async with serving(talk) as port:
        outcome = await probe(port)
    assert outcome == success("x" * OUTPUT_LIMIT)


@in_real_time
async def test_a37_headers_without_end_are_given_up():
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send("HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X-Filler: " + b"y" * 4000 + b"\r\n")

    async with serving(talk) as port:
        outcome = await probe(port, timeout=10)
    assert outcome == failure(
        f'Get "http://127.0.0.1:{port}/": net/http: server response headers exceeded 1048576 bytes; aborted'
    )


@in_real_time
async def test_a37_1xx_answers_without_end_are_given_up():
    async def talk(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)

    async with serving(talk) as port:
        outcome = await probe(port, timeout=10)
    assert outcome.output.endswith("net/http: server response headers exceeded 1048576 bytes; aborted")


async def silent(peer: Peer) -> None:
    await peer.request()
    await asyncio.Event().wait()


async def deaf(peer: Peer) -> None:
    await asyncio.Event().wait()


async def dripping_head(peer: Peer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        await peer.send(bytes([byte]))
        await asyncio.sleep(0.9)


async def dripping_body(peer: Peer) -> None:
    await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(5000):
        await peer.send(b"x")
        await asyncio.sleep(0.9)


async def endless_chunks_of_nothing(peer: Peer) -> None:
    await peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await peer.send("1\r\nx\r\n")
        await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        pytest.param(silent, failure(get(NO_ANSWER)), id="no answer"),
        pytest.param(deaf, failure(get(NO_ANSWER)), id="nobody reads"),
        pytest.param(dripping_head, failure(get(NO_ANSWER)), id="a head of one byte a second"),
        pytest.param(dripping_body, error(NO_BODY, state="failure"), id="a body of one byte a second"),
        pytest.param(endless_chunks_of_nothing, error(NO_BODY, state="failure"), id="endless chunks"),
    ],
)
@in_virtual_time
async def test_3_6_http_one_time_limit_for_everything(talk, expected):
    loop = asyncio.get_running_loop()
    async with serving(talk) as port:
        began = loop.time()
        outcome = await probe(port, timeout=3)
        assert loop.time() - began == pytest.approx(3)
    assert Outcome(outcome.verdict, _without_ports(outcome.output, port), outcome.state) == expected


@in_real_time
async def test_3_6_http_redirects_on_the_same_host_are_followed_with_headers_and_referer():
    seen: list[str] = []

    async def talk(peer: Peer) -> None:
        seen.append(await peer.request())
        if "GET /old" in seen[-1]:
            await peer.send(response("301 Moved", "", "Location: ../../new?x=1"))
        else:
            await peer.send(response("200 OK", "there"))

    async with serving(talk) as port:
        outcome = await probe(port, path="/old/x/", http_headers=[HTTPHeader(name="X-A", value="1")])
        assert outcome == success("there")
    assert seen[1].startswith("GET /new?x=1 HTTP/1.1\r\n")
    assert "X-A: 1\r\n" in seen[1]
    assert f"Referer: http://127.0.0.1:{port}/old/x/\r\n" in seen[1]


@pytest.mark.parametrize(
    "location",
    ["http://other.test/", "//other.test/x", "https://169.254.169.254/latest", "http://localhost:1/"],
)
def test_3_6_http_a_redirect_to_another_host_is_not_followed_and_counts_as_success(location):
    answer = response("302 Found", "elsewhere", f"Location: {location}")
    assert asyncio.run(probe_answer(answer)) == warning(
        "Probe terminated redirects, Response body: elsewhere"
    )


@in_real_time
async def test_3_6_http_redirects_without_end_stop_after_ten():
    seen: list[str] = []
    async with serving(answering(response("302 Found", "", "Location: /again"), seen)) as port:
        outcome = await probe(port)
    assert outcome == failure('Get "/again": stopped after 10 redirects')
    assert len(seen) == 10


@in_real_time
async def test_3_6_http_a_redirect_may_change_the_port():
    async with (
        serving(answering(response("200 OK", "second"))) as second,
        serving(answering(response("307 Go", "", f"Location: http://127.0.0.1:{second}/"))) as first,
    ):
        assert await probe(first) == success("second")


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        pytest.param(
            "/%zz",
            'failed to parse Location header "/%zz": parse "/%zz": invalid URL escape "%zz"',
            id="escape",
        ),
        pytest.param("ftp://127.0.0.1/", 'unsupported protocol scheme "ftp"', id="another protocol"),
    ],
)
def test_3_6_http_a_redirect_that_leads_nowhere_is_a_failure(location, cause):
    outcome = asyncio.run(probe_answer(response("302 Found", "", f"Location: {location}")))
    assert outcome.verdict == "failure"
    assert outcome.output.endswith(cause)


@in_real_time
async def test_3_6_http_https_is_not_verified():
    async with serving(answering(response("200 OK", "secret")), tls=True) as port:
        assert await probe(port, scheme="HTTPS") == success("secret")


@in_real_time
async def test_3_6_http_a_plain_answer_to_https_is_said_so():
    async def talk(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send("HTTP/1.0 400 Bad Request\r\n\r\n")

    async with serving(talk) as port:
        outcome = await probe(port, scheme="HTTPS")
    assert outcome == failure(
        f'Get "https://127.0.0.1:{port}/": http: server gave HTTP response to HTTPS client'
    )


@pytest.mark.parametrize(
    ("greeting", "cause"),
    [
        pytest.param(b"", "EOF", id="hangs up"),
        pytest.param(b"SSH-2.0-x\r\n", "tls: first record does not look like a TLS handshake", id="SSH"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", "remote error: tls: handshake failure", id="an alert"),
    ],
)
def test_3_6_http_a_handshake_that_fails_says_how(greeting, cause):
    async def talk(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send(greeting)

    async def story() -> Outcome:
        async with serving(talk) as port:
            return await probe(port, scheme="HTTPS")

    outcome = asyncio.run(story())
    assert outcome.verdict == "failure"
    assert outcome.output.endswith(": " + cause)


@in_virtual_time
async def test_3_6_http_a_silent_tls_server_costs_the_timeout():
    async with serving(deaf) as port:
        outcome = await probe(port, timeout=2, scheme="HTTPS")
    assert outcome == failure(f'Get "https://127.0.0.1:{port}/": {NO_ANSWER}')


@in_virtual_time
async def test_hung_servers_delay_nobody():
    async with serving(silent) as hung, serving(answering(response("200 OK", "ok"))) as good:
        slow = [asyncio.create_task(probe(hung, timeout=60)) for _ in range(300)]
        assert await probe(good) == success("ok")
        assert asyncio.get_running_loop().time() < 1
        assert {(await task).verdict for task in slow} == {"failure"}


@in_virtual_time
async def test_nothing_is_left_open():
    async def hangs(peer: Peer) -> None:
        await peer.request()
        await peer.reader.read()

    async with serving(hangs) as port:
        await probe(port)
        await asyncio.sleep(1)  # the server's end is closed a little later
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await probe(port)
        cancelled = asyncio.create_task(probe(port))
        await asyncio.sleep(0.5)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await until(lambda: len(os.listdir("/proc/self/fd")) == before)


def test_3_6_http_a_name_nobody_knows_is_a_failure():
    """Whatever time the servers of names take to say so, or to say nothing."""
    outcome = asyncio.run(probe(80, host="no.such.host.invalid", timeout=300))
    assert outcome.verdict == "failure"
    assert "dial tcp: lookup no.such.host.invalid" in outcome.output


@pytest.mark.parametrize("host", ["x" * 64 + ".test", "a..test"], ids=["too long", "empty"])
@in_real_time
async def test_3_6_http_a_name_with_a_part_that_no_name_can_have_is_a_failure(host):
    outcome = await probe(80, host=host)
    assert outcome == failure(f'Get "http://{host}:80/": dial tcp: lookup {host}: no such host')


@in_virtual_time
async def test_3_6_http_no_proxy_is_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(answering(response(body="direct"))) as port:
        assert await probe(port) == success("direct")


@in_virtual_time
async def test_3_6_http_a_new_connection_for_every_check_even_if_the_server_would_keep_it():
    connections = 0

    async def talk(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        while await peer.request():
            await peer.send(response("200 OK", "ok", "Connection: keep-alive"))

    async with serving(talk) as port:
        for _ in range(3):
            assert await probe(port) == success("ok")
    assert connections == 3


@in_virtual_time
async def test_3_6_http_a_given_host_goes_into_the_request_and_not_into_the_connection():
    seen: list[str] = []
    async with serving(answering(response(body="ok"), seen)) as port:
        header = HTTPHeader(name="host", value="web.example.com")
        assert await probe(port, http_headers=[header]) == success("ok")
    assert "Host: web.example.com\r\n" in seen[0]


@in_real_time
async def test_3_6_http_500_hung_servers_delay_no_other_probe():
    """By order, not by the clock: while 500 checks hang, another begins, is answered and ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # both ends of each are ours: more than 1024
    waiting = asyncio.Semaphore(0)

    async def say_nothing(peer: Peer) -> None:
        waiting.release()
        await asyncio.Event().wait()

    async with serving(say_nothing) as hung, serving(answering(response("200 OK", "well"))) as well:
        checks = [asyncio.create_task(probe(hung, timeout=19)) for _ in range(500)]
        for _ in checks:
            await waiting.acquire()
        assert await probe(well) == success("well")
        assert not any(check.done() for check in checks)
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
