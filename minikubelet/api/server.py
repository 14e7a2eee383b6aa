"""The API, served: a unix socket for root, and HTTPS for everybody with credentials.

`serve` opens it; `Server.answer` is what happens to every request: who is it, which route, may they, call, a
line in the audit log, and one place where errors become Status objects. An unexpected exception is logged
with its traceback and answered "Internal error occurred" without it.

HTTPS is on loopback, for kubectl, and on the pods' bridge, for the Service `kubernetes`: the same API with
the same credentials.

Limits: 3 MiB for a body, 128 KiB for a header line, 30 s for the headers to arrive and between two
requests, IN_FLIGHT requests at once (streams and watches have the bound of `listeners`). A client that
vanishes cancels whatever was being done for it (`handler_cancellation`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from minikubelet.agent.service_account_tokens import ServiceAccountTokens
from minikubelet.api import pki, respond, routes
from minikubelet.api.access.audit import Audit, FailedLogins
from minikubelet.api.access.authorization import Attributes
from minikubelet.api.access.gate import Gate
from minikubelet.api.access.user import User
from minikubelet.api.backend import Backend
from minikubelet.api.initial import make_initial
from minikubelet.api.listeners import Listeners
from minikubelet.api.objects import Objects
from minikubelet.api.request import BODY_LIMIT, TRUE, Call
from minikubelet.config import SERVICE_CIDR, Paths
from minikubelet.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NodeNotFit,
    NotFound,
    RuntimeServiceError,
    TooManyRequests,
    Unauthorized,
)

log = logging.getLogger(__name__)

HEADER_LIMIT = 128 << 10
IDLE_SECONDS = 30.0
CLIENT_LEFT = 499  # in the audit log: nobody waited for the answer
IN_FLIGHT = 400  # kube-apiserver's --max-requests-inflight


@dataclass(frozen=True, slots=True)
class PodsDoor:
    """Where pods find the API: an address of the node that they can reach, and the cluster's domain."""

    address: str
    domain: str = "cluster.local"


class Server:
    """The running API. `objects` are the verbs behind it.

    `https` is where it really listens ("https://127.0.0.1:6443"), empty without; `for_pods` is address and
    port for them, None without; `root_ca` is what they trust it by.
    """

    def __init__(
        self, backend: Backend, paths: Paths, tokens: ServiceAccountTokens, service_cidr: str = SERVICE_CIDR
    ) -> None:
        self.https = ""
        self.for_pods: tuple[str, int] | None = None
        self.root_ca = ""
        self._backend = backend
        self.objects = Objects(backend.store, backend.refuse, service_cidr)
        self._service_ip = str(IPv4Network(service_cidr)[1])
        self._gate = Gate(backend.store, tokens)
        self._audit = Audit(paths.audit_log)
        self._failed_logins = FailedLogins(time.monotonic)
        self._in_flight = 0
        self._listeners = Listeners(
            self.answer,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
        )

    async def open_socket(self, paths: Paths) -> None:
        """The unix socket."""
        await self._listeners.open_unix(paths.socket)

    async def open_port(self, paths: Paths, listen: str, pods: PodsDoor | None) -> None:
        """HTTPS on HOST:PORT (port 0: any free one), the kubeconfig for it, and HTTPS where pods find it."""
        host, port = split_address(listen)
        keys = pki.PKI(paths.etc / "pki")
        names = [host, *(_names_for_pods(pods, self._service_ip) if pods else ())]
        await keys.prepare(names)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(keys.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(keys.server, keys.server_key)
        context.verify_mode = ssl.CERT_OPTIONAL  # or a token, which only the request shows
        try:
            bound = self._listeners.open_tls(host, port, context)
        except OSError as error:
            raise NodeNotFit(f"cannot listen on {listen}: {error}") from error
        self.https = f"https://{f'[{host}]' if ':' in host else host}:{bound}"
        if pods:
            self._open_for_pods(pods.address, host, bound, context)
        self._gate.open(keys, self.https, names)
        self.root_ca = keys.ca.read_text()
        pki.write_kubeconfig(paths.kubeconfig, keys.kubeconfig(self.https))

    def _open_for_pods(self, address: str, host: str, port: int, context: ssl.SSLContext) -> None:
        """The same port if it is free there; the API listens there already if it listens everywhere."""
        if host in ("0.0.0.0", "::", address):
            self.for_pods = address, port
            return
        for wanted in (port, 0):
            try:
                self.for_pods = address, self._listeners.open_tls(address, wanted, context)
                return
            except OSError as error:
                log.warning("pods cannot use port %d of %s for the API: %s", wanted, address, error)

    async def close(self) -> None:
        """Close the doors, then the connections; streams get a moment to end."""
        await self._listeners.close()
        self._audit.close()

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
        _check_headers(http)
        user = self._identify(http)
        try:
            found = routes.find(http.path, http.method)
        except (NotFound, MethodNotAllowed):
            # What there is and what not is nobody's business who may not see it.
            self._gate.check(user, Attributes(http.method.lower(), path=http.path))
            raise
        watching = http.method == "GET" and http.query.get("watch", "") in TRUE
        wanted = routes.attributes(found, http.method, http.path, watching=watching)
        code = 500
        try:
            self._gate.check(user, wanted)
            call = Call(http, self._backend, self.objects, self._gate, found.params,
                        user=user, warnings=warnings, info=found.info)  # fmt: skip
            response = await self._call(call, found, watching=watching)
            code = response.status
            return response
        except ApiError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = CLIENT_LEFT
            raise
        finally:
            if code != Unauthorized.code:
                self._audit.record(user, wanted, code, http)

    def _identify(self, http: web.BaseRequest) -> User:
        try:
            return self._gate.identify(http)
        except Unauthorized:
            self._failed_logins.add(http.remote or "unix")
            raise

    async def _call(self, call: Call, found: routes.Found, *, watching: bool) -> web.StreamResponse:
        """Within the number of requests at once; what is meant to last does not count."""
        if watching or found.lasting:
            return await found.endpoint(call)
        if self._in_flight >= IN_FLIGHT:
            raise TooManyRequests("Too many requests, please try again later.")
        self._in_flight += 1
        try:
            return await found.endpoint(call)
        finally:
            self._in_flight -= 1

    def _request(
        self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        """As aiohttp's own, with our limit for bodies."""
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


def _check_headers(http: web.BaseRequest) -> None:
    """Bytes that are no text could be written down nowhere: in no object, and not in the audit log."""
    for name, value in http.raw_headers:
        try:
            value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"the header {name.decode('latin-1')} is not UTF-8") from None


def _names_for_pods(pods: PodsDoor, service_ip: str) -> list[str]:
    """What pods may call the API: the Service `kubernetes` by its names and its address."""
    service = "kubernetes.default.svc"
    return ["kubernetes", "kubernetes.default", service, f"{service}.{pods.domain}", service_ip, pods.address]


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
    *,
    tokens: ServiceAccountTokens | None = None,
    pods: PodsDoor | None = None,
) -> Server:
    """Open the API: the unix socket always, HTTPS when `listen` says where, and then for `pods`, too."""
    tokens = tokens or ServiceAccountTokens(backend.store, paths.account_key)
    server = Server(backend, paths, tokens, service_cidr)
    server.objects.token_volumes = listen is not None
    try:
        make_initial(server.objects)
        await server.open_socket(paths)
        if listen:
            await server.open_port(paths, listen, pods)
    except BaseException:
        await server.close()
        raise
    return server
