"""How many may ask at once, and what becomes of the others."""

from __future__ import annotations

import os
import socket
import ssl

import pytest

from minikubelet.api import listeners, server
from tests.unit.api.conftest import PODS, Api, pod


@pytest.fixture
def small(monkeypatch, root):
    """A server for one request at once, and for two connections."""
    monkeypatch.setattr(server, "IN_FLIGHT", 1)
    monkeypatch.setattr(listeners, "CONNECTIONS", 2)
    # The time of those who say nothing; a client that does its part may need a moment on a slow machine.
    monkeypatch.setattr(listeners, "HANDSHAKE_SECONDS", 2 * float(os.environ.get("MK_TEST_FACTOR", "1")))
    running = Api(root, "127.0.0.1:0")
    yield running
    running.close()


def test_too_many_at_once_are_sent_away_and_watches_do_not_count(small):
    watching = small.connect()
    watching.request("GET", f"{PODS}?watch=true&timeoutSeconds=60")
    assert watching.getresponse().status == 200
    waiting = small.connect()
    head = f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    waiting.sock.sendall(head.encode())  # its body is still to come
    while (refused := small.get(PODS)).code == 200:
        pass
    assert (refused.code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json["message"] == "Too many requests, please try again later."
    waiting.sock.sendall(b"0123456789")
    assert b" 400 " in waiting.sock.recv(65536).split(b"\r\n")[0]
    assert small.get(PODS).code == 200
    watching.close()
    waiting.close()


def test_a_port_that_is_full_lets_the_next_wait(small):
    host, _, port = small.server.https.removeprefix("https://").partition(":")
    silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2)]
    # The two say nothing: their time for a handshake passes, and the third has its turn.
    context = ssl.create_default_context(cafile=str(small.paths.etc / "pki/ca.crt"))
    with (
        socket.create_connection((host, int(port)), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=host) as sock,
    ):
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in sock.recv(65536).split(b"\r\n")[0]
    for each in silent:
        assert each.recv(100) == b""
        each.close()


def test_only_what_is_a_watch_does_not_count_as_a_request(monkeypatch, api):
    """What the query calls a watch, in Go's words; and nothing is written by watching."""
    monkeypatch.setattr(server, "IN_FLIGHT", 0)
    assert [api.get(PODS, watch=word).code for word in ("f", "F", "FALSE", "0", "")] == [429] * 5
    assert api.post(PODS, {}, watch="true").code == 429
    assert api.get(PODS, watch="T", timeoutSeconds="1").code == 200


def test_warnings_that_no_answer_could_hold_are_cut_and_the_last_left_out(api):
    odd = pod("odd")
    odd["spec"] |= {f"field-{number:03}-{'x' * 300}": 1 for number in range(500)}
    answer = api.post(PODS, odd)
    assert answer.code == 201
    texts = [warning.removeprefix('299 - "').removesuffix('"') for warning in answer.warnings]
    assert len(texts) == 4096 // 256
    assert all(text.startswith(r"unknown field \"spec.field-") and text.endswith("x") for text in texts)
    few = pod("few")
    few["spec"]["y" * 300] = 1
    assert "y" * 300 in api.post(PODS, few).warnings[0]
