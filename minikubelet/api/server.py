"""The doors of the API: a unix socket for root, and HTTPS on loopback for everybody with credentials.

`serve` opens them; `Server.answer` is what happens to every request: who is it, which route, call, and one
place where errors become Status objects. An unexpected exception is logged with its traceback and answered
"Internal error occurred" without it.

Limits: 3 MiB for a body, 128 KiB for a header line, 30 s for the headers to arrive and between two
requests. A client that vanishes cancels whatever was being done for it (`handler_cancellation`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from minikubelet.api import pki, respond, routes
from minikubelet.api.access import Doorkeeper
from minikubelet.api.backend import Backend
from minikubelet.api.initial import make_initial
from minikubelet.api.objects import Objects
from minikubelet.api.request import BODY_LIMIT, Call
from minikubelet.config import SERVICE_CIDR, Paths
from minikubelet.errors import (
    ApiError,
    Forbidden,
    InternalError,
    NodeNotFit,
    RuntimeServiceError,
    Unauthorized,
)

log = logging.getLogger(__name__)

HEADER_LIMIT = 128 << 10
IDLE_SECONDS = 30.0
CLOSE_SECONDS = 1.0


class Server:
    """The running API. `objects` are the verbs behind it; `https` is where it really listens
    ("https://127.0.0.1:6443"), empty without.
    """

    def __init__(self, backend: Backend, service_cidr: str = SERVICE_CIDR) -> None:
        self.https = ""
        self._backend = backend
        self.objects = Objects(backend.store, backend.refuse, service_cidr)
        self._doorkeeper = Doorkeeper()
        self._listeners: list[asyncio.Server] = []
        self._http = web.Server(
            self.answer,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
        )

    async def open_socket(self, paths: Paths) -> None:
        """The unix socket. One that is left over from a dead agent is replaced: the agent's lock says it
        is.
        """
        path = paths.socket
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
        self._listeners.append(await loop.create_unix_server(self._http, sock=sock, backlog=512))

    async def open_port(self, paths: Paths, listen: str) -> None:
        """HTTPS on HOST:PORT (port 0: any free one), and the kubeconfig for it."""
        host, port = split_address(listen)
        keys = pki.PKI(paths.etc / "pki")
        await keys.prepare(host)
        self._doorkeeper = Doorkeeper(keys.token(), Doorkeeper().hosts | {host.lower()})
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(keys.ca))
        context.load_cert_chain(keys.server, keys.server_key)
        context.verify_mode = ssl.CERT_OPTIONAL  # or a token, which only the request shows
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._http, host, port, ssl=context, backlog=512)
        except OSError as error:
            raise NodeNotFit(f"cannot listen on {listen}: {error}") from error
        self._listeners.append(server)
        bound = server.sockets[0].getsockname()
        self.https = f"https://{f'[{host}]' if ':' in host else host}:{bound[1]}"
        pki.write_kubeconfig(paths.kubeconfig, keys.kubeconfig(self.https))

    async def close(self) -> None:
        """Close the doors, then the connections; streams get a moment to end."""
        for listener in self._listeners:
            listener.close()
        await self._http.shutdown(CLOSE_SECONDS)

    async def answer(self, http: web.BaseRequest) -> web.StreamResponse:
        """One request from its first byte to its last."""
        return respond.finished(http, await self._answer(http))

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        warnings: list[str] = []
        try:
            return await self._route(http, warnings)
        except ApiError as error:
            return respond.status_response(error, warnings)
        except RuntimeServiceError as error:
            return respond.status_response(InternalError(f"Internal error occurred: {error}"))
        except ConnectionError:
            raise  # the client has left
        except Exception as error:
            log.exception("cannot answer %s %s", http.method, http.path)
            text = f"Internal error occurred: {type(error).__name__}; the agent's log says more"
            return respond.status_response(InternalError(text))

    async def _route(self, http: web.BaseRequest, warnings: list[str]) -> web.StreamResponse:
        user = self._doorkeeper.identify(http)
        if user is None and not routes.is_open(http.path):
            raise Unauthorized("Unauthorized")
        route, endpoint, params, info = routes.find(http.path, http.method)
        if user is not None and route.access == routes.ADMIN and "system:masters" not in user.groups:
            raise Forbidden(f'User "{user.name}" may not use this node: not in group system:masters')
        call = Call(http, self._backend, self.objects, params, warnings=warnings, info=info)
        if user is not None:
            call.user, call.groups = user.name, user.groups
        return await endpoint(call)

    def _request(
        self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        """As aiohttp's own, with our limit for bodies."""
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


def split_address(listen: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise NodeNotFit(f"cannot listen on {listen}: write HOST:PORT, for instance 127.0.0.1:6443")
    return host, int(port)


async def serve(
    backend: Backend,
    paths: Paths,
    listen: str | None = None,
    service_cidr: str = SERVICE_CIDR,
) -> Server:
    """Open the API: the unix socket always, HTTPS when `listen` says where."""
    server = Server(backend, service_cidr)
    try:
        make_initial(server.objects)
        await server.open_socket(paths)
        if listen:
            await server.open_port(paths, listen)
    except BaseException:
        await server.close()
        raise
    return server
