"""Who it is, by the door they come through.

The unix socket is for root: mode 0600, and the peer's credentials are asked of the kernel, because a mode
can be changed. The TCP ports are open to every user and every pod of the machine, so they want a client
certificate of our CA, the admin's token or a ServiceAccount's; and because a browser of that user may be
tricked into connecting (DNS rebinding), they want a Host they know and no foreign Origin.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from minikubelet.agent.service_account_tokens import Claims, ServiceAccountTokens
from minikubelet.api.access.user import ADMIN, AUTHENTICATED, User, service_account
from minikubelet.errors import BadRequest, Forbidden, Unauthorized

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
EXTRA = "authentication.kubernetes.io/"
_PEER = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What the doors know: tokens, and the names under which the ports are reached."""

    tokens: ServiceAccountTokens
    admin_token: str = ""
    hosts: frozenset[str] = LOOPBACK

    def identify(self, http: web.BaseRequest) -> User | None:
        """The user of a request, None for nobody in particular. Unauthorized when credentials are wrong."""
        if _is_unix(http):
            return _peer_user(http)
        self._check_names(http)
        bearer = http.headers.get("Authorization", "")
        if not bearer:
            return _certificate_user(http)
        kind, _, token = bearer.partition(" ")
        user = self.user_of(token.strip()) if kind.lower() == "bearer" else None
        if user is None:
            raise Unauthorized("Unauthorized")
        return user

    def user_of(self, token: str) -> User | None:
        """Whose token it is; None when it is not good."""
        if self.admin_token and hmac.compare_digest(token.encode(), self.admin_token.encode()):
            return ADMIN
        claims = self.tokens.check(token) if token.count(".") == 2 else None
        return user_of_claims(claims) if claims else None

    def _check_names(self, http: web.BaseRequest) -> None:
        if _host(f"//{http.headers.get('Host', '')}") not in self.hosts:
            raise BadRequest("this server does not answer to the name in the Host header")
        origin = http.headers.get("Origin")
        if origin is not None and _place(origin) != http.headers.get("Host"):
            raise Forbidden("requests from web pages are not allowed")


def user_of_claims(claims: Claims) -> User:
    """The user that a ServiceAccount's token makes."""
    where = claims.where
    user = service_account(where.namespace, where.serviceaccount.name)
    extra = {f"{EXTRA}credential-id": (f"JTI={claims.jti}",)}
    for kind, part in (("node", where.node), ("pod", where.pod)):
        if part is not None:
            extra[f"{EXTRA}{kind}-name"], extra[f"{EXTRA}{kind}-uid"] = (part.name,), (part.uid,)
    return User(user.name, user.groups, where.serviceaccount.uid, extra)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
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
    return ADMIN


def _certificate_user(http: web.BaseRequest) -> User | None:
    """CN is the name, each O a group, as in Kubernetes. The TLS layer has verified it against our CA."""
    certificate = http.transport.get_extra_info("peercert") if http.transport else None
    if not certificate:
        return None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = [value for key, value in subject if key == "organizationName"]
    return User(names[0] if names else "", tuple(dict.fromkeys([*groups, AUTHENTICATED])))
