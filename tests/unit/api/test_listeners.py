"""Nobody who comes to the door while it closes is forgotten there."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl

import pytest
from aiohttp import web

from minikubelet.api.listeners import Listeners

LIMIT = 10.0 * float(os.environ.get("MK_TEST_FACTOR", "1"))


async def not_found(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404)


@pytest.mark.parametrize("steps", range(12))
def test_who_comes_while_the_door_closes_is_put_out(steps: int) -> None:
    """Whether it was accepted, greeted or in neither: each number of steps is another moment of it."""

    async def story() -> socket.socket:
        listeners = Listeners(not_found)
        port = listeners.open_tls("127.0.0.1", 0, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        await asyncio.sleep(0.01)
        client = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        for _ in range(steps):
            await asyncio.sleep(0)
        await listeners.close()
        return client

    with asyncio.run(story()) as client:
        gc.collect()  # a socket that nobody closed warns, and that is an error here
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
