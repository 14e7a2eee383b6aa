"""GET, as the kubelet's HTTP client does it, and the verdict on the answer (kubelet-behaviour 3.6).

One request a connection; redirects are followed as long as they stay on the host of the first URL, ten at
most; one time limit for everything from the first dial to the last byte of the body. Whatever a server does,
the caller gets one answer or one of three errors in time: FetchError (no usable head), BodyError, or the
cancellation it asked for itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from minikubelet.go_text import quoted
from minikubelet.v1 import Container, HTTPGetAction

from .connection import Connection, TransportError, connect
from .outcome import OUTPUT_LIMIT, Outcome, error, failure, success, warning
from .response import BodyError, Head, read_body, read_head
from .target import TargetError, resolve_host, resolve_port
from .url import URL, URLError, is_absolute, probe_url, redirect_url

KUBERNETES_VERSION = "1.36"
MAX_REDIRECTS = 10

_REDIRECTS = (301, 302, 303, 307, 308)
_NEVER_SENT = ("Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9!$%&'()*+,\-.:;=\[\]_~@]+")

_NO_HEAD_IN_TIME = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
_NO_BODY_IN_TIME = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET. `headers` are canonical names with all their values; `host` overrides the URL's."""

    url: URL
    headers: dict[str, list[str]] = field(default_factory=dict)
    host: str = ""

    def encode(self) -> bytes:
        """In Go's order: Host, User-Agent, the others sorted, Connection. TransportError if unspeakable."""
        host = self.host or self.url.host
        if not _HOST.fullmatch(host):
            raise TransportError("http: invalid Host header")
        lines = [f"GET {self.url.request_uri} HTTP/1.1", f"Host: {host}"]
        agent = self.headers.get("User-Agent", [""])[0]
        if agent:
            lines.append(f"User-Agent: {agent}")
        for name in sorted(self.headers):
            if not _TOKEN.fullmatch(name):
                raise TransportError(f"net/http: invalid header field name {quoted(name)}")
            for value in self.headers[name]:
                if _BAD_VALUE.search(value):
                    raise TransportError(f"net/http: invalid header field value for {quoted(name)}")
                if name not in _NEVER_SENT:
                    lines.append(f"{name}: {value.strip()}")
        if "close" not in ",".join(self.headers.get("Connection", [])).lower():
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class FetchError(Exception):
    """No answer: `Get "<url>": <cause>`. `plain_answer`: HTTP came where TLS was expected."""

    def __init__(self, url: object, cause: str, *, plain_answer: bool = False) -> None:
        super().__init__(f"Get {quoted(str(url))}: {cause}")
        self.plain_answer = plain_answer


def request_for(action: HTTPGetAction, container: Container, pod_ip: str, purpose: str) -> Request:
    """The request an httpGet action stands for; `purpose` is "probe" or "lifecycle". TargetError."""
    url = probe_url(
        action.scheme or "http",
        resolve_host(action.host, pod_ip),
        resolve_port(action.port, container),
        action.path or "/",
    )
    headers = _collected((header.name or "", header.value or "") for header in action.http_headers or ())
    headers.setdefault("User-Agent", [f"kube-{purpose}/{KUBERNETES_VERSION}"])
    if not headers.setdefault("Accept", ["*/*"])[0]:
        del headers["Accept"]
    return Request(url, headers, headers.get("Host", [""])[0])


def _collected(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(canonical(name), []).append(value)
    return found


def canonical(name: str) -> str:
    """`textproto.CanonicalMIMEHeaderKey`: `x-a` is `X-A`; what is no token stays as it is."""
    return "-".join(part.capitalize() for part in name.split("-")) if _TOKEN.fullmatch(name) else name


async def fetch(request: Request, timeout: float | None) -> Answer:
    """Ask, follow redirects, read the body up to the limit. FetchError, BodyError."""
    exchange = _Exchange(request)
    try:
        async with asyncio.timeout(timeout):
            return await exchange.run()
    except TimeoutError:
        if exchange.reading_body:
            raise BodyError(_NO_BODY_IN_TIME) from None
        raise FetchError(exchange.request.url, _NO_HEAD_IN_TIME) from None
    finally:
        exchange.abort()


class _Exchange:
    """A request and what its redirects lead to; remembers how far it came, for the error's words."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.reading_body = False
        self._first = request
        self._connection: Connection | None = None

    async def run(self) -> Answer:
        followed = 0
        while True:
            head = await self._ask()
            location = head.get("location") if head.status in _REDIRECTS else ""
            target = self._redirect(location) if location else None
            if target is None or target.url.hostname != self._first.url.hostname:
                return await self._finish(head)
            followed += 1
            if followed >= MAX_REDIRECTS:
                raise FetchError(location, f"stopped after {MAX_REDIRECTS} redirects")
            self.abort()
            self.request = target

    async def _ask(self) -> Head:
        url = self.request.url
        try:
            if url.scheme not in ("http", "https"):
                raise TransportError(f"unsupported protocol scheme {quoted(url.scheme)}")
            data = self.request.encode()
            self._connection = connection = await connect(url.hostname, url.port)
            if url.scheme == "https":
                await connection.start_tls(url.hostname)
            await connection.send(data)
            return await read_head(connection)
        except TransportError as cause:
            raise FetchError(url, str(cause), plain_answer=cause.plain_answer) from None

    def _redirect(self, location: str) -> Request:
        """The next request. A given Host stays for a relative Location, as in Go."""
        url = self.request.url
        try:
            target = redirect_url(url, location)
        except URLError as cause:
            raise FetchError(url, str(cause)) from None
        headers = dict(self._first.headers)
        if "Referer" not in headers and not (url.scheme == "https" and target.scheme == "http"):
            headers["Referer"] = [str(url)]
        return Request(target, headers, "" if is_absolute(location) else self.request.host)

    async def _finish(self, head: Head) -> Answer:
        self.reading_body = True
        connection = self._connection
        if connection is None:  # cannot be: a head came
            raise BodyError("EOF")
        body = await read_body(connection, head, OUTPUT_LIMIT)
        if len(body) < OUTPUT_LIMIT:  # all of it: part as friends
            connection.close()
            self._connection = None
        return Answer(head.status, body)

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None


async def probe(action: HTTPGetAction, container: Container, pod_ip: str, timeout: float) -> Outcome:
    """One httpGet probe."""
    try:
        answer = await fetch(request_for(action, container, pod_ip, "probe"), timeout)
    except TargetError as cause:
        return error(str(cause))
    except FetchError as cause:
        return failure(str(cause))
    except BodyError as cause:
        return error(str(cause), state="failure")
    body = answer.body.decode(errors="replace")
    if 200 <= answer.status < 300:
        return success(body)
    if 300 <= answer.status < 400:
        return warning(f"Probe terminated redirects, Response body: {body}")
    return failure(f"HTTP probe failed with statuscode: {answer.status}")


def without_tls(request: Request) -> Request:
    """The same over plain HTTP, without credentials (the fall-back of lifecycle hooks, 5.1)."""
    headers = {name: values for name, values in request.headers.items() if name != "Authorization"}
    return replace(request, url=replace(request.url, scheme="http"), headers=headers)
