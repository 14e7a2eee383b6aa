"""Tokens of ServiceAccounts: what is in one, and for how long it is good.

The claims are Kubernetes': whose the token is (`sub`), for whom (`aud`), from when to when, and in
`kubernetes.io` the account and the object it is bound to, each with its uid. A token ends with its time or
with one of these objects, whichever is first: whoever shows it is looked up in the store.

    API: `serviceaccounts/NAME/token`, and everybody who comes with a token
    volumes: `for_pod`, the token of a projected serviceAccountToken

Used in the event loop, as the store is; what `for_pod` returns may be called in a thread.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.agent.token_signer import TokenSigner
from minikubelet.errors import NotFound
from minikubelet.runtime.volumes.plugin import Token
from minikubelet.store import Store
from minikubelet.v1 import Pod

Object = dict[str, Any]

ISSUER = "https://kubernetes.default.svc.cluster.local"
USER_PREFIX = "system:serviceaccount:"
ACCOUNTS = "serviceaccounts"
RENEW_SHARE, RENEW_SECONDS = 0.8, 24 * 3600  # the kubelet's: of its life, and at the latest
AFTER_DELETION = timedelta(seconds=60)  # how long a token outlives what it is bound to, when that is ending


class Bound(msgspec.Struct, omit_defaults=True):
    """An object, by name and uid."""

    name: str
    uid: str = ""


class Where(msgspec.Struct, omit_defaults=True):
    """The claim `kubernetes.io`."""

    namespace: str
    serviceaccount: Bound
    pod: Bound | None = None
    secret: Bound | None = None
    node: Bound | None = None


class Claims(msgspec.Struct, omit_defaults=True):
    """All that a token says. Times are seconds since 1970."""

    aud: list[str]
    exp: int
    iat: int
    iss: str
    jti: str
    where: Where = msgspec.field(name="kubernetes.io")
    nbf: int
    sub: str


_read_claims = msgspec.json.Decoder(Claims).decode  # made here, in one thread: see `v1.wire`


class ServiceAccountTokens:
    """One for the node."""

    def __init__(self, store: Store, key: Path, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._signer = TokenSigner(key)
        self._clock = clock

    def issue(self, where: Where, audiences: Sequence[str], seconds: int) -> tuple[str, int]:
        """A token, and when it ends. No audience means the API itself."""
        now = int(self._clock())
        claims = Claims(
            aud=list(audiences) or [ISSUER],
            exp=now + seconds,
            iat=now,
            iss=ISSUER,
            jti=str(uuid.uuid4()),
            where=where,
            nbf=now,
            sub=f"{USER_PREFIX}{where.namespace}:{where.serviceaccount.name}",
        )
        return self._signer.sign(msgspec.json.encode(claims)), claims.exp

    def check(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> Claims | None:
        """What a token says that is good now, for one of these audiences; None for any other."""
        claims = self._read(token)
        if claims is None or not set(audiences) & set(claims.aud):
            return None
        return claims if self._alive(claims) else None

    def for_pod(self, pod: Pod) -> Token | None:
        """What makes the tokens of a pod's volumes; None when its account is not there."""
        assert pod.metadata is not None
        assert pod.spec is not None
        namespace = pod.metadata.namespace or ""
        account = self._find(ACCOUNTS, namespace, pod.spec.service_account_name or "")
        if account is None:
            return None
        where = Where(
            namespace=namespace,
            serviceaccount=bound(account),
            pod=Bound(pod.metadata.name or "", pod.metadata.uid or ""),
        )
        node = self._find("nodes", "", pod.spec.node_name or "")
        if node is not None:
            where.node = bound(node)

        def token(audience: str, seconds: int, present: str) -> str:
            """The present one, as long as it need not be renewed."""
            claims = self._read(present) if present else None
            wanted = [audience or ISSUER]
            if claims and claims.where == where and claims.aud == wanted and not self._old(claims):
                return present
            return self.issue(where, wanted, seconds)[0]

        return token

    def _old(self, claims: Claims) -> bool:
        """It is to be renewed."""
        life = claims.exp - claims.iat
        return self._clock() >= claims.iat + min(life * RENEW_SHARE, RENEW_SECONDS)

    def _read(self, token: str) -> Claims | None:
        """Signed by us, and now is between its times."""
        data = self._signer.read(token)
        if data is None:
            return None
        claims = _read_claims(data)
        in_time = claims.nbf <= self._clock() < claims.exp
        return claims if claims.iss == ISSUER and in_time else None

    def _alive(self, claims: Claims) -> bool:
        """The account and what the token is bound to are still the same objects."""
        where = claims.where
        bindings = [(ACCOUNTS, where.namespace, where.serviceaccount)]
        if where.pod:
            bindings.append(("pods", where.namespace, where.pod))
        elif where.secret:
            bindings.append(("secrets", where.namespace, where.secret))
        elif where.node:
            bindings.append(("nodes", "", where.node))
        return all(self._is_there(*binding) for binding in bindings)

    def _is_there(self, resource: str, namespace: str, wanted: Bound) -> bool:
        found = self._find(resource, namespace, wanted.name)
        if found is None or found["metadata"]["uid"] != wanted.uid:
            return False
        ending = found["metadata"].get("deletionTimestamp")
        if ending is None:
            return True
        end = datetime.fromisoformat(ending) + AFTER_DELETION
        return self._clock() < end.timestamp()

    def _find(self, resource: str, namespace: str, name: str) -> Object | None:
        try:
            return self._store.get(resource, namespace, name)
        except NotFound:
            return None


def bound(obj: Object) -> Bound:
    """A reference to an object as it is now."""
    return Bound(obj["metadata"]["name"], obj["metadata"]["uid"])
