"""`kubectl --as NAME --as-group GROUP`: a request by one user in the name of another.

Each thing that is impersonated (user, groups, uid, extra) must be allowed by a rule with the verb
`impersonate`. Nothing of the real user is left then but a note for the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from minikubelet.api.access.authorization import Attributes, Authorizer
from minikubelet.api.access.user import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_of,
    service_account,
)
from minikubelet.errors import BadRequest

USER, GROUP, UID = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid"
EXTRA = "impersonate-extra-"
AUTHENTICATION = "authentication.k8s.io"


def impersonated(user: User, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> User:
    """Whom the request is to be taken for: the user, if nobody else is named. Forbidden, BadRequest."""
    name, groups, uid = headers.get(USER, ""), headers.getall(GROUP, []), headers.get(UID, "")
    extra = _extra(headers)
    if not name:
        if groups or uid or extra:
            raise BadRequest("groups, uid or extra cannot be impersonated without a user")
        return user
    account = account_of(name)
    for wanted in _wanted(name, account, groups, uid, extra):
        authorizer.check(user, wanted)
    if not groups and account is not None:
        groups = list(service_account(*account).groups)
    everybody = UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED
    return User(name, tuple(dict.fromkeys([*groups, everybody])), uid, extra, impersonator=user.name)


def _wanted(
    name: str,
    account: tuple[str, str] | None,
    groups: list[str],
    uid: str,
    extra: Mapping[str, tuple[str, ...]],
) -> list[Attributes]:
    verb = "impersonate"
    if account is not None:
        wanted = [Attributes(verb, resource="serviceaccounts", namespace=account[0], name=account[1])]
    else:
        wanted = [Attributes(verb, resource="users", name=name)]
    wanted += [Attributes(verb, resource="groups", name=group) for group in groups]
    if uid:
        wanted.append(Attributes(verb, AUTHENTICATION, "uids", name=uid))
    for key, values in extra.items():
        wanted += [Attributes(verb, AUTHENTICATION, "userextras", key, name=value) for value in values]
    return wanted


def _extra(headers: CIMultiDictProxy[str]) -> dict[str, tuple[str, ...]]:
    """From `Impersonate-Extra-<key>`, the key in lower case and with %-escapes."""
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.lower().startswith(EXTRA):
            key = unquote(header.lower().removeprefix(EXTRA))
            extra[key] = (*extra.get(key, ()), value)
    return extra
