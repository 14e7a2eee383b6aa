"""A client of SPDY/3.1 for tests: opens streams, sends what it is told to, and keeps what came."""

from __future__ import annotations

import socket
from collections import defaultdict

from minikubelet.api.streams import spdy


class Refused(Exception):
    """The answer to the upgrade was not 101: its head and what came with it."""


class SpdyPeer:
    """One connection after its upgrade. Odd stream ids are ours."""

    def __init__(self, sock: socket.socket, path: str, *versions: str, method: str = "POST") -> None:
        self.sock = sock
        sock.settimeout(20)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
        lines += [f"X-Stream-Protocol-Version: {version}" for version in versions]
        sock.sendall("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        self.head = head.decode()
        if " 101 " not in self.head.splitlines()[0]:
            with sock:
                raise Refused(self.head + sock.recv(1 << 16).decode())
        self.encoder, self.decoder = spdy.Encoder(), spdy.Decoder()
        self.next_id = 1
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.pongs: list[int] = []
        self.closed = False

    def open(self, **headers: str) -> int:
        stream_id, self.next_id = self.next_id, self.next_id + 2
        self.sock.sendall(self.encoder.syn_stream(stream_id, headers))
        return stream_id

    def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        self.sock.sendall(spdy.data(stream_id, data, fin=fin))

    def read(self) -> bool:
        """Some more; False at the end."""
        try:
            received = self.sock.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        self.closed = not received
        for frame in self.decoder.feed(received):
            match frame:
                case spdy.Data():
                    self.data[frame.stream_id] += frame.data
                    if frame.fin:
                        self.ended.add(frame.stream_id)
                case spdy.RstStream():
                    self.reset[frame.stream_id] = frame.status
                case spdy.Ping():
                    self.pongs.append(frame.ping_id)
        return not self.closed

    def until(self, check) -> None:
        while not check():
            assert self.read() or check(), (dict(self.data), self.ended, self.reset)

    def close(self) -> None:
        self.sock.close()
