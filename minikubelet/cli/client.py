"""HTTP over the agent's unix socket: the only way from the command line to the agent.

A small reader of HTTP/1.1 instead of `http.client`, which would cost 15 ms of imports (email, ssl) in every
command. One connection per request: connecting to a unix socket is almost free, and a stream (logs, watch,
exec) then simply owns its connection. Every answer other than 2xx becomes a StatusError here, every failure
to connect an AgentUnreachable; nothing above this module sees an OSError from the socket. `Warning:` headers
are printed on the way.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

from minikubelet.cli.errors import AgentUnreachable, CliError, StatusError, TimedOut

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
CHUNK = 64 * 1024

Query = dict[str, Any]


class Response:
    """One answer. Read it whole (`read`, `json`) or as it comes (`chunks`, `lines`)."""

    def __init__(self, sock: socket.socket, stream: IO[bytes], code: int, headers: dict[str, str]) -> None:
        self.sock = sock
        self.stream = stream
        self.code = code
        self.headers = headers
        self.deadline: float | None = None  # monotonic; a read that lasts longer raises TimedOut

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()
        self.sock.close()

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives."""
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunked()
            elif "content-length" in self.headers:
                yield from self._counted(int(self.headers["content-length"]))
            else:
                while data := self.stream.read1(CHUNK):  # type: ignore[attr-defined]
                    yield data
        except TimeoutError:
            raise TimedOut("timed out waiting for the condition") from None
        except OSError as error:
            raise CliError(f"cannot read the agent's answer: {error.strerror or error}") from error

    def lines(self) -> Iterator[bytes]:
        """The body's lines, each as soon as it is complete (a watch, a followed log)."""
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def read(self) -> bytes:
        with self:
            return b"".join(self.chunks())

    def json(self) -> Any:
        return json.loads(self.read())

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            self._keep_deadline()
            data = self.stream.read1(min(left, CHUNK))  # type: ignore[attr-defined]
            if not data:
                raise CliError(
                    "cannot read the agent's answer: the connection was closed in the middle of it"
                )
            left -= len(data)
            yield data

    def _chunked(self) -> Iterator[bytes]:
        self._keep_deadline()
        while size := int(self.stream.readline().split(b";")[0] or b"0", 16):
            yield from self._counted(size)
            self.stream.readline()
            self._keep_deadline()

    def _keep_deadline(self) -> None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)


class Client:
    """Requests to one agent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warned: set[str] = set()

    def get(self, path: str, query: Query | None = None, accept: str = JSON) -> Any:
        return self.request("GET", path, query, accept=accept).json()

    def post(self, path: str, body: Any, query: Query | None = None) -> Any:
        return self.request("POST", path, query, body=body).json()

    def patch(self, path: str, patch: Any, query: Query | None = None) -> Any:
        """A JSON merge patch."""
        return self.request("PATCH", path, query, body=patch, content_type=MERGE_PATCH).json()

    def delete(self, path: str, body: Any = None, query: Query | None = None) -> Any:
        return self.request("DELETE", path, query, body=body).json()

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        upgrade: dict[str, str] | None = None,
    ) -> Response:
        """Send one request. `body` is bytes, an iterable of bytes (sent chunked) or anything JSON can say."""
        headers = {"Host": "localhost", "Accept": accept, "User-Agent": "minikubelet"}
        headers.update(upgrade or {"Connection": "close"})
        payload: bytes | Iterable[bytes] | None = body
        if isinstance(body, dict | list):
            payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        if payload is not None:
            headers["Content-Type"] = content_type
        sock = self._connect()
        try:
            response = _exchange(sock, f"{method} {target(path, query)} HTTP/1.1\r\n", headers, payload)
        except OSError as error:
            sock.close()
            raise CliError(f"cannot talk to the agent: {error.strerror or error}") from error
        except BaseException:
            sock.close()
            raise
        self._show_warnings(response)
        if response.code >= 300 or (response.code == 101) != (upgrade is not None):
            raise StatusError(_status(response))
        return response

    def watch(
        self, path: str, query: Query, accept: str = JSON, deadline: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """The events of a watch, until the agent ends it; TimedOut at `deadline` (monotonic)."""
        with self.request("GET", path, {**query, "watch": "true"}, accept=accept) as response:
            response.deadline = deadline
            for line in response.lines():
                event: dict[str, Any] = json.loads(line)
                if event["type"] == "ERROR":
                    raise StatusError(event["object"])
                yield event

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect_long(sock, self.path)
        except OSError as error:
            sock.close()
            raise AgentUnreachable(_unreachable(self.path, error)) from error
        return sock

    def _show_warnings(self, response: Response) -> None:
        for text in _warnings(response.headers.get("warning", "")):
            if text not in self.warned:
                self.warned.add(text)
                warn(text)


def warn(text: str) -> None:
    """`Warning: …` on stderr, yellow on a terminal."""
    word = "\x1b[33;1mWarning:\x1b[0m" if sys.stderr.isatty() else "Warning:"
    print(word, text, file=sys.stderr, flush=True)


def target(path: str, query: Query | None) -> str:
    """The request target; None leaves a parameter out, a list repeats it, a bool is true or false."""
    pairs = []
    for key, value in (query or {}).items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                pairs.append((key, str(item).lower() if isinstance(item, bool) else str(item)))
    path = quote(path, safe="/:@!$&'()*+,;=~", errors="surrogateescape")  # an argument may be no UTF-8
    return f"{path}?{urlencode(pairs, errors='surrogateescape')}" if pairs else path


def _connect_long(sock: socket.socket, path: Path) -> None:
    """A socket's path may have 107 bytes; a longer one is reached through a descriptor of its directory."""
    if len(bytes(path)) < 108:
        sock.connect(str(path))
        return
    import os

    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _unreachable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"cannot reach the agent at {path}: permission denied; use sudo"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return (
            f"cannot reach the agent at {path}: is it running? Start it with `minikubelet agent` or "
            "`systemctl start minikubelet`; name its --root if it has one"
        )
    return f"cannot reach the agent at {path}: {error.strerror or error}"


def _exchange(sock: socket.socket, request: str, headers: dict[str, str], body: Any) -> Response:
    chunked = body is not None and not isinstance(body, bytes)
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    elif body is not None:
        headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    stream = sock.makefile("rb")
    # An agent that refuses a large body answers and closes before it has read it all: then the answer counts,
    # not EPIPE.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(f"{request}{lines}\r\n".encode() + (body if isinstance(body, bytes) else b""))
        if chunked:
            for piece in body:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
    return _read_head(sock, stream)


def _read_head(sock: socket.socket, stream: IO[bytes]) -> Response:
    words = stream.readline().split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise CliError("cannot talk to the agent: it closed the connection without an answer")
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("utf-8", "replace").partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return Response(sock, stream, int(words[1]), headers)


def _status(response: Response) -> dict[str, Any]:
    """The Status in a refusal; anything else in its place is wrapped the way client-go does it."""
    text = response.read().decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError):
        status = json.loads(text)
        if isinstance(status, dict) and status.get("kind") == "Status":
            return status
    message = f"an error on the server ({json.dumps(text)}) has prevented the request from succeeding"
    return {"kind": "Status", "code": response.code, "reason": "InternalError", "message": message}


def _warnings(header: str) -> list[str]:
    r"""The texts of `299 - "text with \" escaped", 299 - "another"` (RFC 7234, 5.5)."""
    texts = []
    rest = header
    while (start := rest.find('"')) >= 0:
        text, at = "", start + 1
        while at < len(rest) and rest[at] != '"':
            at += rest[at] == "\\"
            text += rest[at : at + 1]
            at += 1
        texts.append(text)
        rest = rest[at + 1 :]
        date = rest.lstrip()
        if date.startswith('"'):  # an optional quoted date follows its text without a comma
            rest = date[date.find('"', 1) + 1 :]
    return texts
