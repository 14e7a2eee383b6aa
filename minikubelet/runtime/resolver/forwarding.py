"""Ask the node's own DNS servers what is not ours to answer; messages pass as they are.

A question goes out from a port of its own and under an id of its own, both from the kernel's random numbers,
so that nobody can answer in the server's place. Who asks for more than is left gets a failure at once.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections import Counter
from collections.abc import Callable, Sequence

PORT = 53
TIMEOUT = 2.0  # seconds for each server
PENDING, PENDING_OF_ONE = 256, 32  # questions on their way: of all, of one asker
MAX_SERVERS = 3  # as resolv.conf(5)

Servers = Callable[[], Sequence[str]]


class NoAnswer(Exception):
    """No server answered, or too many questions wait already."""


class Forwarder:
    """`servers` is asked each time: the node's resolv.conf changes with its networks."""

    def __init__(self, servers: Servers, port: int = PORT, timeout: float = TIMEOUT) -> None:
        self._servers = servers
        self._port = port
        self._timeout = timeout
        self._pending: Counter[str] = Counter()

    async def ask(self, message: bytes, asker: str, *, udp: bool) -> bytes:
        """The first answer of any server. Raises NoAnswer."""
        if self._pending.total() >= PENDING or self._pending[asker] >= PENDING_OF_ONE:
            raise NoAnswer
        self._pending[asker] += 1
        try:
            for server in self._servers()[:MAX_SERVERS]:
                try:
                    async with asyncio.timeout(self._timeout):
                        return await (self._by_udp if udp else self._by_tcp)(server, message)
                except (OSError, TimeoutError):
                    continue
        finally:
            self._pending[asker] -= 1
            if not self._pending[asker]:
                del self._pending[asker]
        raise NoAnswer

    async def _by_udp(self, server: str, message: bytes) -> bytes:
        number = secrets.token_bytes(2)
        transport, reply = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Reply(number), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(number + message[2:])
            return message[:2] + (await reply.answer)[2:]
        finally:
            transport.close()

    async def _by_tcp(self, server: str, message: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack(">H", len(message)) + message)
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            return await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(f"{server} closed the connection") from error
        finally:
            writer.close()


class _Reply(asyncio.DatagramProtocol):
    """Waits for the datagram with the right number; others are somebody's attempt."""

    def __init__(self, number: bytes) -> None:
        self._number = number
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        if data[:2] == self._number and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)
