"""HTTP to a registry: connections, proxies, certificates, redirects, second tries.

Blocks; runs in the pulling process (see `puller`). Redirects are followed by hand, so that only the registry
itself is ever shown the authorization. The words of errors are containerd's, which people look up.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from minikubelet.errors import ImageError
from minikubelet.runtime.images.hosts import Host
from minikubelet.runtime.images.manifest import failed

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0  # seconds
MAX_REDIRECTS = 5
ATTEMPTS = 4
MAX_RETRY_AFTER = 15.0
RETRIED = (429, 500, 502, 503, 504)
REDIRECTS = (301, 302, 303, 307, 308)
MAX_ERROR = 64 << 10


class AccessDenied(ImageError):
    """Other credentials may be let in."""


class Unavailable(ImageError):
    """This host cannot say; another one may."""


class Transport:
    """One host. Threads may share it."""

    def __init__(self, host: Host) -> None:
        self.base = host.base
        self._plain_http = host.plain_http
        self._pool = _pool(host)

    def send(self, method: str, url: str, headers: Mapping[str, str], authorization: str = "") -> Any:
        """The answer, whatever its status, after redirects and, of a busy server, after some patience."""
        for attempt in range(1, ATTEMPTS + 1):
            response = self._follow(method, url, headers, authorization)
            if response.status not in RETRIED or attempt == ATTEMPTS:
                break
            pause = _retry_after(response, attempt)
            response.close()
            time.sleep(pause)
        return response

    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Any:
        """Without redirects and second tries."""
        try:
            return self._pool.request(
                method, url, headers={"User-Agent": "minikubelet", **headers}, body=body,
                redirect=False, retries=False, preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            )  # fmt: skip
        except HTTPError as error:
            if self._plain_http and url.startswith("https:") and _speaks_no_tls(error):
                self.base = self.base.replace("https:", "http:", 1)
                return self.once(method, url.replace("https:", "http:", 1), headers, body)
            text = f'failed to do request: {method.capitalize()} "{url}": {cause(error)}'
            raise Unavailable("ErrImagePull", text) from error

    def _follow(self, method: str, url: str, headers: Mapping[str, str], authorization: str) -> Any:
        for _ in range(MAX_REDIRECTS + 1):
            is_own = origin(url) == origin(self.base)
            shown = {**headers, "Authorization": authorization} if authorization and is_own else headers
            response = self.once(method, url, shown)
            if response.status not in REDIRECTS:
                return response
            target = urljoin(url, response.headers.get("Location", ""))
            response.close()
            if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
                raise failed(f"refusing to follow a redirect from {origin(url)} to {origin(target)}")
            url = target
        raise failed(f"stopped after {MAX_REDIRECTS} redirects")


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def bounded(response: Any, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises Unavailable, ImageError."""
    try:
        data: bytes = response.read(limit + 1, decode_content=False)
    except HTTPError as error:
        raise Unavailable("ErrImagePull", f"failed to read the answer: {cause(error)}") from error
    if len(data) > limit:
        raise failed(f"the answer is larger than {limit} bytes")
    return data


def cause(error: BaseException) -> str:
    """The innermost reason, in one line."""
    while isinstance(error, HTTPError):
        inner = getattr(error, "reason", None) or error.__cause__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error).rpartition(">: ")[2] or type(error).__name__


def _pool(host: Host) -> urllib3.PoolManager:
    """With the node's certificates, the host's own, and the proxy of the environment."""
    context = ssl.create_default_context()
    try:
        for file in host.ca:
            context.load_verify_locations(file)
        if host.client is not None:
            context.load_cert_chain(*host.client)
    except OSError as error:  # it names no file by itself
        files = ", ".join((*host.ca, *(host.client or ())))
        raise failed(f"cannot use the certificates of {host.url} ({files}): {error}") from error
    if host.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    address = urlsplit(host.url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if not proxy or urllib.request.proxy_bypass(address.netloc):
        return urllib3.PoolManager(ssl_context=context, maxsize=4)
    login = urlsplit(proxy)
    headers = None
    if login.username:
        headers = urllib3.make_headers(proxy_basic_auth=f"{login.username}:{login.password or ''}")
    return urllib3.ProxyManager(proxy, proxy_headers=headers, ssl_context=context, maxsize=4)


def expect_success(response: Any, url: str) -> None:
    """Raises AccessDenied, Unavailable."""
    if response.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        said = _said(response)
        text = "pull access denied, repository does not exist or may require authorization"
        raise AccessDenied("ErrImagePull", f"{text}: server message: {said}" if said else text)
    if response.status == HTTPStatus.NOT_FOUND:
        raise Unavailable("ErrImagePull", "not found")
    text = f"unexpected status from GET request to {url}: {status_text(response.status)}"
    raise Unavailable("ErrImagePull", text)


def status_text(status: int) -> str:
    """`503 Service Unavailable`."""
    known = status in HTTPStatus._value2member_map_
    return f"{status} {HTTPStatus(status).phrase}" if known else str(status)


def _said(response: Any) -> str:
    """code: message of the registry's error document, shortened."""
    try:
        first = json.loads(bounded(response, MAX_ERROR))["errors"][0]
        return f"{first.get('code', '')}: {first.get('message', '')}"[:500]
    except (ImageError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _retry_after(response: Any, attempt: int) -> float:
    """Seconds, as the server wishes, within reason."""
    text = response.headers.get("Retry-After", "")
    seconds = float(text[:9]) if text.isascii() and text.isdigit() else 0.5 * 2.0 ** (attempt - 1)
    return min(seconds, MAX_RETRY_AFTER)


def _speaks_no_tls(error: BaseException) -> bool:
    return any(
        word in str(error) for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
    )
