"""exec and attach over SPDY/3.1, as kubectl before 1.30 asks for them."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import pytest

from minikubelet.api.streams import spdy, spdy_client, spdy_session
from minikubelet.api.streams.remote_command import exit_status
from tests.unit.api.conftest import PODS
from tests.unit.api.spdy_peer import Refused
from tests.unit.api.waiting import wait_for

V4, V3, V1 = "v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io"
EXEC = f"{PODS}/web/exec?"


def wait_all_closed(api, count: int) -> None:
    sessions = api.node.sessions
    wait_for(lambda: len(sessions) == count and all(session.closed for session in sessions))


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_exec_answers_output_then_a_status(web, dial, method):
    versions = ("v5.channel.k8s.io", V4, V3, "v2.channel.k8s.io", V1)
    peer = dial(EXEC + "command=exit&command=3&stdout=1&stderr=1", *versions, method=method)
    assert "Upgrade: SPDY/3.1\r\n" in peer.head
    assert f"X-Stream-Protocol-Version: {V4}\r\n" in peer.head
    error, stdout, stderr = (peer.open(streamtype=kind) for kind in ("error", "stdout", "stderr"))
    peer.until(lambda: peer.ended == {error, stdout, stderr})
    assert peer.data[stdout] == b"exit 3\n"
    assert json.loads(peer.data[error]) == exit_status(3)
    wait_all_closed(web, 1)


@pytest.mark.parametrize("versions", [(V3,), (V1,), ()], ids=["v3", "the first", "none named"])
def test_before_v4_the_end_is_a_text_or_nothing(web, dial, versions):
    for code, said in (("0", b""), ("3", b"command terminated with non-zero exit code: exit status 3")):
        peer = dial(EXEC + f"command=exit&command={code}&stdout=1", *versions)
        error, _ = peer.open(streamtype="error"), peer.open(streamtype="stdout")
        peer.until(lambda: len(peer.ended) == 2)  # noqa: B023
        assert peer.data[error] == said
        peer.close()


def test_stdin_its_end_and_the_size_of_the_terminal_reach_the_process(web, dial):
    peer = dial(EXEC + "command=cat&stdin=1&stdout=1&tty=1", V4)
    kinds = ("error", "stdin", "stdout", "resize")
    error, stdin, stdout, resize = (peer.open(streamtype=kind) for kind in kinds)
    peer.send(resize, b'{"Width":100,"Heig')
    peer.send(resize, b'ht":30}\nnonsense\n')
    peer.send(stdin, b"hello")
    peer.until(lambda: b"hello" in peer.data[stdout])
    peer.send(stdin, b"", fin=True)
    peer.until(lambda: stdout in peer.ended)
    assert peer.data[stdout] == b"cat\nhello"
    assert json.loads(peer.data[error])["status"] == "Success"
    assert web.node.sessions[0].sizes == [(100, 30)]


def test_nothing_begins_before_all_streams_are_there(web, dial):
    peer = dial(EXEC + "command=exit&command=0&stdin=1&stdout=1", V4)
    for kind in ("error", "stdout"):
        peer.open(streamtype=kind)
    web.get("/healthz")
    assert web.node.sessions == []


def test_a_client_that_opens_no_streams_is_sent_away(web, dial, monkeypatch):
    monkeypatch.setattr(spdy_client, "CREATION_SECONDS", 0.05)
    peer = dial(EXEC + "command=hang&stdout=1", V4)
    peer.until(lambda: peer.closed)
    assert web.node.sessions == []


def test_streams_nobody_asked_for_are_refused(web, dial):
    peer = dial(EXEC + "command=hang&stdout=1", V4)
    stdin, error, again = (peer.open(streamtype=kind) for kind in ("stdin", "error", "error"))
    peer.until(lambda: len(peer.reset) == 2)
    assert peer.reset == {stdin: spdy.REFUSED_STREAM, again: spdy.REFUSED_STREAM}, error


def test_pings_come_back_and_who_pinged_and_falls_silent_is_gone(web, dial, monkeypatch):
    monkeypatch.setattr(spdy_session, "SILENCE", 0.2)
    quiet = dial(EXEC + "command=hang&stdout=1", V4)
    peer = dial(EXEC + "command=hang&stdout=1", V4)
    for one in (quiet, peer):
        one.open(streamtype="error")
        one.open(streamtype="stdout")
    peer.sock.sendall(spdy.ping(5))
    peer.until(lambda: peer.closed)
    assert peer.pongs == [5]
    assert sorted(session.closed for session in web.node.sessions) == [False, True]
    quiet.close()
    wait_all_closed(web, 2)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n" * 100, id="another protocol"),
        pytest.param(spdy.Encoder().syn_stream(2, {}), id="an even stream"),
        pytest.param(b"\x80\x03\x00\x01\x00\xff\xff\xff", id="a huge frame"),
    ],
)
def test_a_client_that_makes_no_sense_ends_its_session_and_no_other(web, dial, wire):
    peer = dial(EXEC + "command=hang&stdout=1", V4)
    peer.open(streamtype="error")
    peer.open(streamtype="stdout")
    wait_for(lambda: web.node.sessions)
    peer.sock.sendall(wire)
    peer.until(lambda: peer.closed)
    wait_all_closed(web, 1)
    assert web.get("/healthz").code == 200


def test_much_data_passes_both_ways_at_the_pace_of_who_is_slower(web, dial):
    """The process echoes: while nobody reads its output, it takes no input, and the client has to wait."""
    peer = dial(EXEC + "command=cat&stdin=1&stdout=1", V4)
    _, stdin, stdout = (peer.open(streamtype=kind) for kind in ("error", "stdin", "stdout"))
    peer.sock.settimeout(0.5)
    piece, sent = spdy.data(stdin, bytes(32 << 10)), 0
    with contextlib.suppress(TimeoutError):
        while sent < 16 << 20:
            sent += peer.sock.send(piece[sent % len(piece) :])
    assert sent < 16 << 20
    peer.sock.settimeout(20)
    rest = piece[sent % len(piece) :] if sent % len(piece) else b""
    rest += spdy.data(stdin, b"", fin=True)
    sending = threading.Thread(target=peer.sock.sendall, args=(rest,))
    sending.start()
    peer.until(lambda: stdout in peer.ended)
    sending.join()
    assert len(peer.data[stdout]) == len("cat\n") + -(-sent // len(piece)) * (32 << 10)


def test_a_client_that_is_slow_to_read_gets_the_last_words_all_the_same(web, dial, monkeypatch):
    monkeypatch.setattr(spdy_session, "LINGER", 0.01)
    peer = dial(EXEC + f"command=flood&command={6 << 16}&stdout=1", V4)
    error, stdout = (peer.open(streamtype=kind) for kind in ("error", "stdout"))
    wait_all_closed(web, 1)  # the process has ended, and what it wrote is on its way
    time.sleep(0.3)  # the client has something better to do
    peer.until(lambda: peer.ended == {error, stdout})
    assert len(peer.data[stdout]) == 6 << 16
    assert json.loads(peer.data[error])["status"] == "Success"


def test_a_client_that_vanishes_while_its_input_is_not_taken_is_noticed(web, dial):
    """Nobody reads from the connection then, so its end is not found by reading."""
    peer = dial(EXEC + "command=hang&stdin=1&stdout=1", V4)
    _, stdin, _ = (peer.open(streamtype=kind) for kind in ("error", "stdin", "stdout"))
    peer.sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            peer.send(stdin, bytes(32 << 10))
    peer.close()
    wait_all_closed(web, 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("stdout=1", 422, id="no command"),
        pytest.param("command=x", 400, id="no stream"),
        pytest.param("command=x&stdout=1&container=nope", 400, id="no such container"),
        pytest.param("command=x&stdout=1&stderr=1&tty=1", 400, id="tty and stderr"),
    ],
)
def test_errors_before_the_upgrade_are_those_of_a_websocket(web, dial, query, code):
    with pytest.raises(Refused) as refused:
        dial(EXEC + query, V4)
    head, _, body = str(refused.value).partition("\r\n\r\n")
    assert f" {code} " in head.splitlines()[0]
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    connection = web.connect()
    connection.request("GET", EXEC + query, headers={**asked, "Sec-WebSocket-Key": "a" * 22 + "=="})
    assert json.loads(connection.getresponse().read()) == json.loads(body)
    connection.close()
    assert web.node.sessions == []


def test_versions_nobody_knows_are_forbidden(web, dial):
    with pytest.raises(Refused, match="unable to negotiate protocol") as refused:
        dial(EXEC + "command=x&stdout=1", "v9.channel.k8s.io")
    assert " 403 " in str(refused.value).splitlines()[0]
