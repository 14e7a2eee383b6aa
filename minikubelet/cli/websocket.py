"""The client's half of WebSocket (RFC 6455), as far as `v5.channel.k8s.io` needs it.

Own framing because every library for it costs more to import than the whole of `exec` may (wsproto: 20 ms).
Binary messages only; the first byte of each names the channel. The reader answers pings and joins fragments;
what a client sends is masked, as the RFC demands. One thread may read while another sends: sending is under a
lock. Who reads never waits for it: the agent may take nothing before its output is read. So answers to pings
are sent by a thread of their own, and so are new window sizes, which come from a signal handler.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from queue import SimpleQueue

from minikubelet.cli.client import Client, Query, Response
from minikubelet.cli.errors import CliError

PROTOCOL = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


class WebSocket:
    """One exec or attach."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.sending = threading.Lock()
        self._soon: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        threading.Thread(target=self._send_soon, daemon=True, name="websocket").start()

    @classmethod
    def connect(cls, client: Client, path: str, query: Query) -> WebSocket:
        """Raises StatusError when the agent refuses before the upgrade."""
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": PROTOCOL,
        }
        return cls(client.request("GET", path, query, upgrade=upgrade))

    def close(self) -> None:
        self._soon.put(None)
        self.response.close()

    def send(self, channel: int, data: bytes) -> None:
        """One message on a channel. An agent that is gone is noticed by the reader, not here."""
        self._send_frame(_BINARY, bytes([channel]) + data)

    def send_soon(self, channel: int, data: bytes) -> None:
        """The same, without waiting for it; a signal handler may call this."""
        self._soon.put((_BINARY, bytes([channel]) + data))

    def close_stdin(self) -> None:
        self.send(CLOSE, bytes([STDIN]))

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """(channel, data) until the agent closes."""
        whole = b""
        while True:
            final, opcode, payload = self._read_frame()
            if opcode == _PING:
                self._soon.put((_PONG, payload))
            elif opcode == _CLOSE:
                self._send_frame(_CLOSE, payload)
                return
            elif opcode in (_BINARY, _TEXT, _CONTINUATION):
                whole += payload
                if final and whole:
                    yield whole[0], whole[1:]
                if final:
                    whole = b""

    def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(8), "big")
        return bool(first & 0x80), first & 0x0F, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        try:
            data = self.response.stream.read(size)
        except OSError as error:
            raise CliError(f"lost connection to the agent: {error.strerror or error}") from error
        if len(data) < size:
            raise CliError("lost connection to the agent")
        return data

    def _send_soon(self) -> None:
        while (frame := self._soon.get()) is not None:
            self._send_frame(*frame)

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
        key = os.urandom(4)
        with self.sending:
            try:
                self.response.sock.sendall(head + key + _masked(payload, key))
            except OSError:  # the agent has gone, or we have closed it meanwhile
                return  # the reader finds the end of the stream, with the reason before it


def _masked(payload: bytes, key: bytes) -> bytes:
    """XOR with the repeated key, as one big number: fast without a C helper."""
    size = len(payload)
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
