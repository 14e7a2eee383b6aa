"""Every request passes here: who is it, as whom do they act, may they."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from minikubelet.agent.service_account_tokens import ServiceAccountTokens
from minikubelet.api.access.authorization import Attributes, Authorizer
from minikubelet.api.access.doors import LOOPBACK, Doorkeeper
from minikubelet.api.access.impersonation import impersonated
from minikubelet.api.access.user import NOBODY, User
from minikubelet.api.pki import PKI
from minikubelet.errors import Unauthorized
from minikubelet.store import Store


class Gate:
    """One for the server. The doorkeeper changes when a port is opened."""

    def __init__(self, store: Store, tokens: ServiceAccountTokens) -> None:
        self.tokens = tokens
        self.authorizer = Authorizer(store)
        self.doorkeeper = Doorkeeper(tokens)
        self.pki: PKI | None = None  # with it, certificates can be made for users
        self.https = ""

    def open(self, pki: PKI, https: str, names: Sequence[str]) -> None:
        """There is a port now, reached under these names."""
        self.pki, self.https = pki, https
        hosts = LOOPBACK | {name.lower() for name in names}
        self.doorkeeper = Doorkeeper(self.tokens, pki.token(), hosts)

    def identify(self, http: web.BaseRequest) -> User:
        """The user the request is to be taken for. Unauthorized, Forbidden, BadRequest."""
        user = self.doorkeeper.identify(http)
        if user is None:
            return NOBODY
        return impersonated(user, http.headers, self.authorizer)

    def check(self, user: User, wanted: Attributes) -> None:
        """Unauthorized for nobody in particular, Forbidden for somebody who may not."""
        if user is NOBODY and self.authorizer.decide(user, wanted) is None:
            raise Unauthorized("Unauthorized")
        self.authorizer.check(user, wanted)
