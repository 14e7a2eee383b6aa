"""The doors of the resolver: UDP and TCP on the bridge's address, and who may come in."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Coroutine
from ipaddress import IPv4Address, IPv4Network

from minikubelet.runtime.resolver.answers import (
    Names,
    Question,
    answer,
    failure,
    question_about_alias,
    read_question,
)
from minikubelet.runtime.resolver.forwarding import PORT, Forwarder, NoAnswer

RATE, BURST = 500.0, 1000.0  # questions a second of one asker, and how many at once
LARGEST_QUESTION = 4096  # bytes
CONNECTIONS, CONNECTIONS_OF_ONE = 64, 16
IDLE = 5.0  # seconds until a silent connection is closed


class Resolver:
    """Answers the pods of `network` and the node, which asks under the bridge's address."""

    def __init__(self, names: Names, network: IPv4Network, forwarder: Forwarder) -> None:
        self._names = names
        self._network = network
        self._forwarder = forwarder
        self._budgets: dict[str, _Budget] = {}
        self._connections: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def start(self, address: IPv4Address, port: int = PORT) -> None:
        """Raises OSError when somebody has the port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(str(address), port)
        )
        try:
            self._server = await asyncio.start_server(self._connected, str(address), port)
        except OSError:
            self._transport.close()
            raise

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def datagram(self, data: bytes, asker: str, port: int) -> None:
        """What can be answered at once is; for the rest a task waits."""
        if not self._may_ask(asker) or len(data) > LARGEST_QUESTION:
            return
        question = read_question(data, self._names)
        if question is None:
            return
        if not question.local:
            self._spawn(self._forward(data, asker, port))
        elif further := question_about_alias(question, self._names):
            self._spawn(self._follow(question, further, asker, port))
        else:
            self._reply(answer(question, self._names, udp=True), asker, port)

    async def _forward(self, message: bytes, asker: str, port: int) -> None:
        self._reply(await self._ask(message, asker, udp=True), asker, port)

    async def _follow(self, question: Question, further: bytes, asker: str, port: int) -> None:
        self._reply(await self._with_alias(question, further, asker, udp=True), asker, port)

    async def _with_alias(self, question: Question, further: bytes, asker: str, *, udp: bool) -> bytes | None:
        """The alias is told also when nobody knows what it stands for."""
        try:
            said = await self._forwarder.ask(further, asker, udp=udp)
        except NoAnswer:
            said = None
        return answer(question, self._names, udp=udp, about_alias=said)

    async def _ask(self, message: bytes, asker: str, *, udp: bool) -> bytes:
        try:
            return await self._forwarder.ask(message, asker, udp=udp)
        except NoAnswer:
            return failure(message)

    def _reply(self, message: bytes | None, asker: str, port: int) -> None:
        if message is not None and self._transport is not None:
            self._transport.sendto(message, (asker, port))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker = str(writer.get_extra_info("peername")[0])
        full = self._connections.total() >= CONNECTIONS or self._connections[asker] >= CONNECTIONS_OF_ONE
        if full or IPv4Address(asker) not in self._network:
            writer.close()
            return
        self._connections[asker] += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one_by_tcp(reader, writer, asker):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return  # it went away, or was silent for too long
        finally:
            self._tasks.discard(task)
            self._connections[asker] -= 1
            if not self._connections[asker]:
                del self._connections[asker]
            writer.close()

    async def _one_by_tcp(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: str
    ) -> bool:
        """False when there is no sense in going on with this client."""
        async with asyncio.timeout(IDLE):
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            if length > LARGEST_QUESTION:
                return False
            message = await reader.readexactly(length)
        if not self._may_ask(asker):
            return False
        question = read_question(message, self._names)
        if question is None:
            return False
        reply: bytes | None
        if not question.local:
            reply = await self._ask(message, asker, udp=False)
        elif further := question_about_alias(question, self._names):
            reply = await self._with_alias(question, further, asker, udp=False)
        else:
            reply = answer(question, self._names, udp=False)
        if reply is None:
            return False
        writer.write(struct.pack(">H", len(reply)) + reply)
        async with asyncio.timeout(IDLE):
            await writer.drain()
        return True

    def _may_ask(self, asker: str) -> bool:
        """Only pods and this node, and not too often. Their addresses are pinned, so their budgets are."""
        if IPv4Address(asker) not in self._network:
            return False
        now = asyncio.get_running_loop().time()
        return self._budgets.setdefault(asker, _Budget(now)).take(now)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Budget:
    """A token bucket, filled at RATE up to BURST."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._at, self._left = now, BURST

    def take(self, now: float) -> bool:
        self._left = min(BURST, self._left + (now - self._at) * RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        self._resolver.datagram(data, str(addr[0]), addr[1])
