"""Being let in by a registry: the answer to its WWW-Authenticate, by password or by token.

A registry names the server that gives out tokens (its realm), and that may be any host. A password is shown
to the registry itself, to the domain it belongs to, and to realms that `hosts.toml` allows; from all others
an anonymous token is asked for (threats A35, CVE-2020-15157, CVE-2024-3727).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from minikubelet.runtime.images.credentials import Credentials
from minikubelet.runtime.images.hosts import Host
from minikubelet.runtime.images.manifest import failed
from minikubelet.runtime.images.transport import AccessDenied, Transport, bounded, origin, status_text

MAX_TOKEN = 1 << 20
MAX_CHALLENGE = 8192
CLIENT = "minikubelet"


class Authorization:
    """Of one repository on one host; `header` is what is shown, empty until it was asked for."""

    def __init__(
        self, host: Host, repository: str, credentials: Credentials | None, transport: Transport
    ) -> None:
        self.header = ""
        self._allowed = host.auth_realms
        self._repository = repository
        self._credentials = credentials
        self._transport = transport

    def answer(self, challenge: str) -> bool:
        """Get what a 401 asks for; is there anything new to show? Raises ImageError."""
        scheme, parameters = read_challenge(challenge)
        known = self._credentials
        if scheme == "basic" and known is not None and known.username:
            self.header = _basic(known)
            return True
        if scheme == "bearer" and parameters.get("realm"):
            self.header = f"Bearer {self._token(parameters)}"
            return True
        return False

    def _token(self, parameters: Mapping[str, str]) -> str:
        realm = parameters["realm"]
        if urlsplit(realm).scheme != "https" and origin(realm) != origin(self._transport.base):
            raise failed(f"failed to authorize: {origin(realm)} does not speak HTTPS")
        query = {
            "service": parameters.get("service", ""),
            "scope": parameters.get("scope") or f"repository:{self._repository}:pull",
        }
        known = self._credentials if self._may_see_password(realm) else None
        if known is not None and known.identity_token:
            form = {
                **query,
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": CLIENT,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._transport.once("POST", realm, headers, urlencode(form).encode())
        else:
            headers = {} if known is None else {"Authorization": _basic(known)}
            separator = "&" if urlsplit(realm).query else "?"
            response = self._transport.once("GET", f"{realm}{separator}{urlencode(query)}", headers)
        try:
            if response.status != HTTPStatus.OK:
                raise AccessDenied("ErrImagePull", self._refusal(realm, response.status, known))
            return _token_in(bounded(response, MAX_TOKEN), realm)
        finally:
            response.close()

    def _refusal(self, realm: str, status: int, known: Credentials | None) -> str:
        what = "anonymous token" if known is None else "oauth token"
        text = f"failed to authorize: failed to fetch {what}: unexpected status from request to {realm}: "
        text += status_text(status)
        if self._credentials is not None and known is None:
            text += (
                f"; the password was not shown to {origin(realm)}, which is another host: "
                "if that is right, allow it by auth_realms in hosts.toml"
            )
        return text

    def _may_see_password(self, realm: str) -> bool:
        """The registry itself, the domain it is in (`registry.x.org` → `x.org`), and whom we were told."""
        if origin(realm) == origin(self._transport.base) or origin(realm) in self._allowed:
            return True
        own, theirs = urlsplit(self._transport.base), urlsplit(realm)
        domain = (own.hostname or "").partition(".")[2]
        return theirs.scheme == "https" and "." in domain and theirs.netloc == domain


def read_challenge(header: str) -> tuple[str, dict[str, str]]:
    """`Bearer realm="…",service="…",scope="…"` → ("bearer", {...})."""
    scheme, _, rest = header.partition(" ")
    found = re.findall(r'([A-Za-z_]+)=(?:"([^"]*)"|([^\s,"]+))', rest[:MAX_CHALLENGE])
    return scheme.lower(), {name.lower(): quoted or bare for name, quoted, bare in found}


def _basic(credentials: Credentials) -> str:
    plain = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(plain).decode()


def _token_in(body: bytes, realm: str) -> str:
    try:
        answer = json.loads(body)
        return str(answer.get("token") or answer["access_token"])
    except (ValueError, KeyError, AttributeError) as error:
        raise failed(f"failed to authorize: {origin(realm)} gave no token") from error
