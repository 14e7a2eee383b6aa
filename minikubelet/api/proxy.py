"""HTTP to a pod through the API: `…/pods/[SCHEME:]NAME[:PORT]/proxy/PATH`.

The request goes on to the pod's address as it came, without what concerns this connection or tells who asked
(credentials, impersonation); the answer comes back as it is, with its redirects led through here again.
Bodies pass in pieces, in both directions; a WebSocket passes message by message. A certificate of the pod is
not verified, as kube-apiserver does not.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
    WSMsgType,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, ServiceUnavailable

Object = dict[str, Any]
Headers = CIMultiDict[str]

# Of one connection only (RFC 9110, 7.6.1); the next makes its own.
HOP_BY_HOP = frozenset(
    {
        "connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
PRIVATE = frozenset({"authorization", "impersonate-user", "impersonate-group", "impersonate-uid"})
HANDSHAKE = "sec-websocket-"  # is made anew, too
CONNECT_SECONDS = 30.0
PIECE = 64 << 10  # bytes
MESSAGE_LIMIT = 4 << 20  # bytes
_PLACE = re.compile(r"(/api/v1/namespaces/[^/]+/pods/[^/]+/proxy)(/.*)?")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, and the path under which the client sees that server."""

    origin: str  # http://10.244.0.5:8080
    prefix: str  # /api/v1/namespaces/default/pods/web:8080/proxy
    path: str

    @property
    def url(self) -> URL:
        return URL(self.origin + self.path, encoded=True)

    def seen_by_client(self, location: str) -> str:
        """A redirect of that server, so that the client comes through here again."""
        parts = urlsplit(location)
        own = f"{parts.scheme}://{parts.netloc}" == self.origin
        if not own and (parts.netloc or not parts.path.startswith("/")):
            return location
        return self.prefix + parts._replace(scheme="", netloc="").geturl()


async def proxy(call: Call) -> web.StreamResponse:
    """Any method."""
    scheme, name, port = split_name(call.name)
    pod = call.objects.get(call.resource, call.namespace, name)
    target = _target(call.http.rel_url, f"{scheme}://{_address(pod, port)}")
    async with ClientSession(
        connector=TCPConnector(ssl=False, force_close=True),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    ) as session:
        try:
            if call.http.headers.get("Upgrade", "").lower() == "websocket":
                return await _messages(call.http, session, target)
            return await _exchange(call.http, session, target)
        except (ClientError, TimeoutError) as error:
            raise ServiceUnavailable(f"error trying to reach service: {error}") from error


def split_name(text: str) -> tuple[str, str, str]:
    """`web`, `web:8080`, `https:web:8443` as scheme, name and port. Raises BadRequest."""
    match text.split(":"):
        case [name]:
            return "http", name, ""
        case [name, port]:
            return "http", name, port
        case [("" | "http" | "https") as scheme, name, port]:
            return scheme or "http", name, port
    raise BadRequest(f'invalid pod request "{text}"')


def _address(pod: Object, port: str) -> str:
    """ADDRESS:PORT: the port asked for, or the first one of the pod's, or 80."""
    ports = [one for container in pod["spec"]["containers"] for one in container.get("ports") or ()]
    if re.fullmatch(r"\d{1,5}", port, re.ASCII):
        number = int(port)
    elif port:
        number = next((one["containerPort"] for one in ports if one.get("name") == port), 0)
    else:
        number = ports[0]["containerPort"] if ports else 80
    if not 0 < number < 1 << 16:
        raise BadRequest(f'invalid port "{port}"')
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise ServiceUnavailable(
            f"error trying to reach service: pod {pod['metadata']['name']} has no address"
        )
    found = ip_address(address)
    if found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified:
        raise BadRequest("address not allowed")
    return f"[{found}]:{number}" if found.version == 6 else f"{found}:{number}"


def _target(url: URL, origin: str) -> Target:
    found = _PLACE.fullmatch(url.raw_path)
    assert found is not None  # the route says so
    query = f"?{url.raw_query_string}" if url.raw_query_string else ""
    return Target(origin, found[1], (found[2] or "/") + query)


def _passed_on(headers: Mapping[str, str]) -> Headers:
    of_this_connection = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    dropped = HOP_BY_HOP | PRIVATE | of_this_connection
    return CIMultiDict(
        (key, value)
        for key, value in headers.items()
        if key.lower() not in dropped and not key.lower().startswith(HANDSHAKE)
    )


async def _exchange(http: web.BaseRequest, session: ClientSession, target: Target) -> web.StreamResponse:
    body = http.content.iter_chunked(PIECE) if http.can_read_body else None
    headers = _passed_on(http.headers)
    async with session.request(
        http.method, target.url, headers=headers, data=body, allow_redirects=False
    ) as answer:
        passed = _passed_on(answer.headers)
        if "Location" in passed:
            passed["Location"] = target.seen_by_client(passed["Location"])
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=passed)
        await response.prepare(http)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def _messages(http: web.BaseRequest, session: ClientSession, target: Target) -> web.StreamResponse:
    """Both directions of a WebSocket, until one side closes it."""
    wanted = [word.strip() for word in http.headers.get("Sec-WebSocket-Protocol", "").split(",") if word]
    async with session.ws_connect(
        target.url,
        protocols=wanted,
        headers=_passed_on(http.headers),
        max_msg_size=MESSAGE_LIMIT,
        autoping=True,
    ) as far:
        chosen = (far.protocol,) if far.protocol else ()
        near = web.WebSocketResponse(protocols=chosen, compress=False, max_msg_size=MESSAGE_LIMIT)
        await near.prepare(http)
        ways = [asyncio.create_task(_pass(near, far)), asyncio.create_task(_pass(far, near))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        await near.close(code=far.close_code or 1000)
        return near


Side = web.WebSocketResponse | ClientWebSocketResponse


async def _pass(source: Side, sink: Side) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
