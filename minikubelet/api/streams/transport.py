"""Which transport a request for a stream asks to be upgraded to."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from aiohttp import web

from minikubelet.api.request import Call
from minikubelet.api.streams import spdy_client, websocket_client
from minikubelet.api.streams.remote_command import Client, Streams
from minikubelet.errors import BadRequest


def asks_for_spdy(http: web.BaseRequest) -> bool:
    """True: SPDY/3.1, False: a WebSocket; BadRequest when it is neither."""
    connection, upgrade = (http.headers.get(name, "").lower() for name in ("Connection", "Upgrade"))
    if "upgrade" in connection and upgrade.strip() == spdy_client.UPGRADE.lower():
        return True
    if "upgrade" in connection and upgrade.strip() == "websocket":
        return False
    raise BadRequest("Upgrade request required")


def command_client(call: Call, streams: Streams) -> AbstractAsyncContextManager[Client]:
    """The client of an exec or attach; entering the context sends the 101."""
    if asks_for_spdy(call.http):
        return spdy_client.upgrade(call, streams)
    return websocket_client.upgrade(call)
