"""A user, as the API knows them: a name and groups. There are no objects behind users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANONYMOUS = "system:anonymous"
UNAUTHENTICATED = "system:unauthenticated"
AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

ADMIN_USER = "kubernetes-admin"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody. `extra` are facts for whoever wants to know more: from which pod a token is."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    impersonator: str = ""  # who really sent the request, when that is another user


NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))
ADMIN = User(ADMIN_USER, (MASTERS, AUTHENTICATED))


def service_account(namespace: str, name: str) -> User:
    """The user that a ServiceAccount is."""
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}", groups)


def account_of(user: str) -> tuple[str, str] | None:
    """(namespace, name) of the ServiceAccount with this user name; None when it is not one's."""
    if not user.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, colon, name = user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if namespace and colon and name else None
