"""The HTTP reader, against a server that says exactly what the test wants."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from minikubelet.cli.client import Client, target
from minikubelet.cli.errors import AgentUnreachable, CliError, StatusError, TimedOut
from minikubelet.cli.main import run


class Server:
    """Accepts one connection, reads a request, says the answer; `request` is what came."""

    def __init__(self, path: Path, answer: bytes, *, keep_open: bool = False) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(10)
        self.request = b""
        self.answer, self.keep_open = answer, keep_open
        self.release = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10)
            while b"\r\n\r\n" not in self.request and (data := connection.recv(65536)):
                self.request += data
            connection.sendall(self.answer)
            if self.keep_open:
                self.release.wait(10)

    def close(self) -> None:
        self.release.set()
        self.thread.join(10)
        self.listener.close()


@contextmanager
def serving(answer: bytes, *, keep_open: bool = False):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "s")
        server = Server(path, answer, keep_open=keep_open)
        try:
            yield Client(path), server
        finally:
            server.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 7\r\n\r\n[1,\n 2]tail", id="counted"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n4;x=y\r\n\n 2]\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(OK + b"\r\n[1,\n 2]", id="until the end of the connection"),
    ],
)
def test_a_body_is_read_however_it_is_framed(answer):
    with serving(answer) as (client, _):
        assert client.get("/x") == [1, 2]


def test_a_request_says_what_it_must():
    with serving(OK + b"Content-Length: 2\r\n\r\n{}") as (client, server):
        client.post("/api/v1/x y", {"a": "ä"}, {"q": ["1", "&"], "none": None, "yes": True})
        head, _, body = server.request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /api/v1/x%20y?q=1&q=%26&yes=true HTTP/1.1\r\n")
        assert b"Content-Type: application/json\r\n" in head + b"\r\n"
        assert f"Content-Length: {len(body)}".encode() in head
        assert body == '{"a":"ä"}'.encode()


def test_a_target_keeps_selectors_readable():
    assert target("/apis/a.b/v1/x:y", {}) == "/apis/a.b/v1/x:y"
    assert target("/a", {"labelSelector": "a in (b,c)"}) == "/a?labelSelector=a+in+%28b%2Cc%29"


def test_lines_come_when_they_are_complete_not_when_the_chunk_is():
    chunks = b'2\r\n{"\r\n8\r\na":1}\n{"\r\n7\r\nb":2}\nx\r\n0\r\n\r\n'
    with serving(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) as (client, _):
        response = client.request("GET", "/")
        assert list(response.lines()) == [b'{"a":1}', b'{"b":2}', b"x"]
        response.close()


def test_a_status_becomes_an_error_with_its_reason():
    body = b'{"kind":"Status","reason":"NotFound","code":404,"message":"pods \\"x\\" not found"}'
    with serving(b"HTTP/1.1 404 Not Found\r\n\r\n" + body) as (client, _):
        with pytest.raises(StatusError) as caught:
            client.get("/x")
        assert caught.value.lines() == ['Error from server (NotFound): pods "x" not found']
        assert caught.value.code == 404


def test_a_plain_text_refusal_is_shown_as_client_go_shows_it():
    words = r'an error on the server \("no way"\) has prevented'
    with serving(b"HTTP/1.1 502 Bad\r\n\r\nno way\n") as (client, _), pytest.raises(StatusError, match=words):
        client.get("/x")


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ('299 - "one"', ["one"]),
        ('299 - "say \\"hi\\"", 299 - "back\\\\slash"', ['say "hi"', "back\\slash"]),
        ('299 - "dated" "Sun, 22 Nov 2026 10:00:00 GMT", 299 - "next, one"', ["dated", "next, one"]),
    ],
)
def test_warnings_are_printed_once_each(header, texts, capsys):
    answer = OK + f"Warning: {header}\r\nWarning: {header}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with serving(answer) as (client, _):
        client.get("/x")
    assert capsys.readouterr().err == "".join(f"Warning: {text}\n" for text in texts)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "closed the connection without an answer"),
        (OK + b"Content-Length: 9\r\n\r\n{}", "closed in the middle"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "closed in the middle"),
    ],
)
def test_a_broken_answer_is_one_clear_error(answer, words):
    with serving(answer) as (client, _), pytest.raises(CliError, match=words):
        client.get("/x")


def test_a_watch_ends_at_its_deadline():
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with serving(answer, keep_open=True) as (client, _), pytest.raises(TimedOut):
        next(client.watch("/x", {}, deadline=time.monotonic() + 0.01))


def test_a_socket_deep_in_the_tree_is_reached_all_the_same():
    with tempfile.TemporaryDirectory() as directory:
        deep = Path(directory, "d" * 100)
        deep.mkdir()
        short = Path(directory, "s")
        server = Server(short, OK + b"Content-Length: 2\r\n\r\n{}")
        short.rename(deep / "socket")
        assert len(str(deep / "socket")) > 107
        try:
            assert Client(deep / "socket").get("/x") == {}
        finally:
            server.close()


def test_no_agent_is_exit_code_3_and_says_how_to_start_one(tmp_path, capsys):
    assert run(["--root", str(tmp_path), "get", "pods"]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"error: cannot reach the agent at {tmp_path}/run/minikubelet.sock")
    assert "minikubelet agent" in err
    assert err.count("\n") == 1


def test_a_socket_that_nobody_listens_on_is_no_agent(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(AgentUnreachable, match="is it running"):
        Client(path).get("/x")
