"""Who may come in, and by which door.

The unix socket is for root: mode 0600, and the peer's credentials are asked of the kernel, because a mode
can be changed. The TCP port is open to every user of the machine, so it wants a client certificate of our
CA or the bearer token; and because a browser of that user may be tricked into connecting (DNS rebinding),
it wants a Host it knows and no foreign Origin.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from minikubelet.errors import BadRequest, Forbidden, Unauthorized

ADMIN_USER = "kubernetes-admin"
ADMIN_GROUPS = ("system:masters", "system:authenticated")
_PEER = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has shown who they are."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What the doors know: the token and the names under which the port is reached."""

    token: str = ""
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"})

    def identify(self, http: web.BaseRequest) -> User | None:
        """The user of a request, None for nobody in particular. Unauthorized when credentials are wrong."""
        if _is_unix(http):
            return _peer_user(http)
        self._check_names(http)
        bearer = http.headers.get("Authorization", "")
        if bearer:
            kind, _, token = bearer.partition(" ")
            good = kind.lower() == "bearer" and self.token != ""
            if good and hmac.compare_digest(token.strip().encode(), self.token.encode()):
                return User(ADMIN_USER, ADMIN_GROUPS)
            raise Unauthorized("Unauthorized")
        return _certificate_user(http)

    def _check_names(self, http: web.BaseRequest) -> None:
        if _host(f"//{http.headers.get('Host', '')}") not in self.hosts:
            raise BadRequest("this server does not answer to the name in the Host header")
        origin = http.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != http.headers.get("Host"):
            raise Forbidden("requests from web pages are not allowed")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_unix(http: web.BaseRequest) -> bool:
    transport = http.transport
    sock = transport.get_extra_info("socket") if transport else None
    return sock is not None and sock.family == socket.AF_UNIX


def _peer_user(http: web.BaseRequest) -> User:
    """Root, or the user the agent runs as (tests); anybody else is refused."""
    assert http.transport is not None
    sock = http.transport.get_extra_info("socket")
    _, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if uid not in (0, os.geteuid()):
        raise Forbidden(f"the socket is for root only: you are user {uid}")
    return User(ADMIN_USER, ADMIN_GROUPS)


def _certificate_user(http: web.BaseRequest) -> User | None:
    """CN is the name, each O a group, as in Kubernetes. The TLS layer has verified it against our CA."""
    certificate = http.transport.get_extra_info("peercert") if http.transport else None
    if not certificate:
        return None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(names[0] if names else "", groups)
