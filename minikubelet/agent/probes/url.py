"""URLs with the rules and texts of Go's net/url, as far as a probe needs them.

The path of a probe is a *reference*: it may carry a query and a fragment, and what cannot be parsed is used
as a path, escaped (kubelet-behaviour 3.6). A redirect's Location is a reference too. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from minikubelet.go_text import join_host_port, quoted

DEFAULT_PORTS = {"http": 80, "https": 443}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_COLON_FIRST = re.compile(r"[^/?#]*:")
_VALID_PATH = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:@\[\]%/]*")
_PATH_SAFE = "$&+,/:;=@~"


class URLError(Exception):
    """Not a URL; the message is Go's."""


@dataclass(frozen=True, slots=True)
class URL:
    """`path` is escaped and begins with a slash, or is empty; query and fragment as they came."""

    scheme: str
    host: str  # "10.0.0.5:8080", "[::1]", as written
    path: str
    query: str | None = None
    fragment: str = ""

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query is not None else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{self.host}{self.path}{query}{fragment}"

    @property
    def request_uri(self) -> str:
        query = f"?{self.query}" if self.query is not None else ""
        return (self.path or "/") + query

    @property
    def hostname(self) -> str:
        """Without port and brackets."""
        host, _, port = self.host.rpartition(":")
        if not host or "]" in port:
            host = self.host
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @property
    def port(self) -> int:
        _, _, port = self.host.rpartition(":")
        return int(port) if port.isdigit() and self.host != port else DEFAULT_PORTS.get(self.scheme, 0)


def probe_url(scheme: str, host: str, port: int, path: str) -> URL:
    """Where an httpGet action goes. Whatever else a path that looks like a URL says, host and scheme win."""
    try:
        _check(path)
        parts = urlsplit(path)
        found, query, fragment = parts.path, parts.query, parts.fragment
    except (URLError, ValueError):
        found, query, fragment = quote(path, safe=_PATH_SAFE), "", ""
    escaped = _escaped_path(found)
    if escaped and not escaped.startswith("/"):
        escaped = "/" + escaped
    return URL(
        scheme.lower(),
        join_host_port(host, port),
        escaped,
        query or None,
        quote(fragment, safe="/?:@%!$&'()*+,;="),
    )


def redirect_url(base: URL, location: str) -> URL:
    """Where a Location header leads. URLError says why it leads nowhere."""
    try:
        _check(location)
        parts = urlsplit(urljoin(str(base), location))
        parts.port  # noqa: B018  (a port that is no number is found when it is asked for)
    except URLError as error:
        raise URLError(f"failed to parse Location header {quoted(location)}: {error}") from None
    except ValueError as error:
        text = f"parse {quoted(location)}: {error}"
        raise URLError(f"failed to parse Location header {quoted(location)}: {text}") from None
    host = parts.netloc.rpartition("@")[2]
    return URL(parts.scheme, host, _escaped_path(parts.path), parts.query or None, parts.fragment)


def is_absolute(reference: str) -> bool:
    return bool(_SCHEME.match(reference))


def _check(text: str) -> None:
    """What `url.Parse` refuses and Python's urlsplit lets pass (or silently strips)."""
    if _CONTROL.search(text):
        raise URLError(f"parse {quoted(text)}: net/url: invalid control character in URL")
    before_query = re.split(r"[?#]", text, maxsplit=1)[0]
    if found := _BAD_ESCAPE.search(before_query):
        raise URLError(f"parse {quoted(text)}: invalid URL escape {quoted(found.group())}")
    if before_query.startswith(":"):
        raise URLError(f"parse {quoted(text)}: missing protocol scheme")
    if not _SCHEME.match(text) and _COLON_FIRST.match(before_query):
        raise URLError(f"parse {quoted(text)}: first path segment in URL cannot contain colon")


def _escaped_path(path: str) -> str:
    """`URL.EscapedPath`: as written if that is a valid encoding, else decoded and encoded again."""
    return path if _VALID_PATH.fullmatch(path) else quote(unquote_to_bytes(path), safe=_PATH_SAFE)
