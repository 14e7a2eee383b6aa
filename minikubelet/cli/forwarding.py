"""The client's half of port-forward: listeners here, and for each connection one WebSocket to the agent.

Spoken is the simplest of the three dialects (`?ports=80`: channel 0 carries the data, 1 what went wrong, the
first message on each is the port), in v5, where a half can be ended. Two threads per connection, one for each
direction; each waits for the other side, so nothing piles up. A connection that fails says why and leaves the
others alone.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

from minikubelet.cli import websocket
from minikubelet.cli.base import complain, say
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.websocket import WebSocket

CHUNK = 32 * 1024
DATA, ERROR = 0, 1  # channels

Address = tuple[str, bool]  # an IP address, and whether it may be missing


def listen_addresses(words: Sequence[str]) -> list[Address]:
    """`localhost` is both loopbacks, as far as they exist."""
    found: list[Address] = []
    for word in words:
        if word == "localhost":
            found += [("127.0.0.1", True), ("::1", True)]
        elif _is_address(word):
            found.append((word, False))
        else:
            raise UsageError(f"{word} is not a valid IP")
    return list(dict.fromkeys(found))


def _is_address(word: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, word)
            return True
    return False


class Forwarder:
    """The listeners of one command."""

    def __init__(self, client: Client, path: str) -> None:
        self._client, self._path = client, path
        self._listeners: list[socket.socket] = []

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            listener.close()

    def listen(self, addresses: Sequence[Address], ports: Sequence[tuple[int, int]]) -> None:
        """`ports` are (local, remote). An error only when not one of them can be had."""
        for local, remote in ports:
            self._listen_port(addresses, local, remote)
        if not self._listeners:
            listed = " ".join(f"{{{local} {remote}}}" for local, remote in ports)
            raise CliError(f"unable to listen on any of the requested ports: [{listed}]")

    def _listen_port(self, addresses: Sequence[Address], local: int, remote: int) -> None:
        """On all addresses the same port, whichever the first one got."""
        errors, got = [], 0
        for address, may_be_missing in addresses:
            try:
                listener = _listener(address, got or local)
            except OSError as error:
                where = f"{_shown(address)}:{got or local}"
                network = "tcp6" if ":" in address else "tcp4"
                cause = (error.strerror or str(error)).lower()
                errors.append(f"unable to create listener: Error listen {network} {where}: bind: {cause}")
                if may_be_missing:
                    continue
                break
            got = listener.getsockname()[1]
            self._listeners.append(listener)
            say(f"Forwarding from {_shown(address)}:{got} -> {remote}")
            serve = threading.Thread(target=self._accept, args=(listener, got, remote), daemon=True)
            serve.start()
        if not got or (errors and not addresses[-1][1]):
            causes = f"Listeners failed to create with the following errors: [{' '.join(errors)}]"
            complain(f"Unable to listen on port {local}: {causes}")

    def _accept(self, listener: socket.socket, local: int, remote: int) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                say(f"Handling connection for {local}")
                serve = threading.Thread(target=self._serve, args=(connection, local, remote), daemon=True)
                serve.start()

    def _serve(self, connection: socket.socket, local: int, remote: int) -> None:
        """Why it ends is said before whoever connected sees that it does, and perhaps ends us."""
        with connection:
            try:
                text = self._forward(connection, remote)
            except CliError as error:
                text = str(error)
            if text:
                complain(f"error: an error occurred forwarding {local} -> {remote}: {text}")
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes the sender

    def _forward(self, connection: socket.socket, remote: int) -> str:
        """What went wrong in the pod; empty when nothing did."""
        tunnel = WebSocket.connect(self._client, self._path, {"ports": remote})
        sender = threading.Thread(target=_send, args=(connection, tunnel), daemon=True)
        greeted, text = set[int](), b""
        try:
            sender.start()
            for channel, data in tunnel.messages():
                if channel not in greeted:
                    greeted.add(channel)  # the port
                elif channel == DATA:
                    connection.sendall(data)
                elif channel == ERROR:
                    text += data
        except OSError:
            return ""  # whoever connected here has left
        finally:
            tunnel.close()
        return text.decode(errors="replace")


def _send(connection: socket.socket, tunnel: WebSocket) -> None:
    """From here to the pod, until one of the two ends."""
    try:
        while data := connection.recv(CHUNK):
            tunnel.send(DATA, data)
        tunnel.send(websocket.CLOSE, bytes([DATA]))
    except OSError:
        with contextlib.suppress(OSError):  # wakes who reads from it
            tunnel.response.sock.shutdown(socket.SHUT_RDWR)


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
