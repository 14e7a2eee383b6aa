"""Where the API listens: the unix socket, and TLS ports with a bound on who may wait at them.

A TLS port takes at most CONNECTIONS at once, each port by itself, so that pods cannot use up what kubectl on
the node needs; whoever comes later waits in the kernel's queue. A handshake must be over in
HANDSHAKE_SECONDS, the headers of a request in aiohttp's keep-alive time: whoever says nothing is put out
(slowloris).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from minikubelet.errors import NodeNotFit

log = logging.getLogger(__name__)

CONNECTIONS = 1000  # on each port
BACKLOG = 512
HANDSHAKE_SECONDS = 10.0
PAUSE_SECONDS = 0.1  # after accept(2) has failed: no descriptor is free
CLOSE_SECONDS = 1.0


class Listeners:
    """All of them, and the HTTP behind."""

    def __init__(
        self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **settings: Any
    ) -> None:
        self._http = _Http(answer, **settings)
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open_unix(self, path: Path) -> None:
        """A socket for the owner only. One that is left over from a dead agent is replaced: the agent's lock
        says that it is dead.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError as error:
            sock.close()
            raise NodeNotFit(f"cannot listen on {path}: {error}") from error
        finally:
            os.umask(mask)
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self._http, sock=sock, backlog=BACKLOG))

    def open_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen on an address; the port that it became. Raises OSError."""
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        sock.setblocking(False)
        self._sockets.append(sock)
        self._begin(self._accept(sock, context), f"listen on {host}")
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        """Close the doors, then the connections; streams get a moment to end."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._sockets:
            sock.close()
        await self._http.shutdown(CLOSE_SECONDS)
        await self._http.cut(CLOSE_SECONDS)

    async def _accept(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """accept(2) and the begin of the greeting are one step, so that nobody is lost in between."""
        free = asyncio.Semaphore(CONNECTIONS)
        while True:
            await free.acquire()
            await _somebody_at(sock)
            try:
                connection, _ = sock.accept()
            except OSError as error:
                free.release()
                log.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            connection.setblocking(False)
            greeting = self._begin(self._greet(connection, context, free), "handshake")
            greeting.add_done_callback(partial(_close_if_cancelled, connection))  # even before it began

    async def _greet(
        self, connection: socket.socket, context: ssl.SSLContext, free: asyncio.Semaphore
    ) -> None:
        """From here on the connection lives by itself; its place is free when it has ended."""
        handler = self._http()
        self._http.at_end[handler] = free.release
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: handler, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError as error:  # no TLS, too slow, gone
            log.debug("no connection: %s", error)
            self._drop(connection, handler)
        except BaseException:
            self._drop(connection, handler)
            raise

    def _drop(self, connection: socket.socket, handler: object) -> None:
        connection.close()
        self._http.forget(handler)

    def _begin(self, story: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(story, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _somebody_at(sock: socket.socket) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(sock)


def _close_if_cancelled(connection: socket.socket, greeting: asyncio.Task[None]) -> None:
    if greeting.cancelled():
        connection.close()


class _Http(web.Server):
    """aiohttp's server, which knows its connections until they have ended, and tells when one has."""

    def __init__(
        self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **settings: Any
    ) -> None:
        super().__init__(answer, **settings)
        self.at_end: dict[object, Callable[[], None]] = {}
        self._alive: dict[object, asyncio.Transport] = {}
        self._one_ended = asyncio.Event()

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._alive[handler] = transport

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._alive.pop(handler, None)
        self._one_ended.set()
        self.forget(handler)

    async def cut(self, patience: float) -> None:
        """After `shutdown`: a client may neither take what it was sent nor answer the good-bye of TLS."""
        if not await self._all_ended(patience):
            for transport in list(self._alive.values()):
                transport.abort()
            await self._all_ended(patience)

    async def _all_ended(self, patience: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._alive:
                    self._one_ended.clear()
                    await self._one_ended.wait()
        return not self._alive

    def forget(self, handler: object) -> None:
        end = self.at_end.pop(handler, None)
        if end is not None:
            end()
