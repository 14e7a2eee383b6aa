"""May this user do this? One decision from roles and what is asked, and the API server's words for no.

Roles come by group (`roles.GROUPS`), for all namespaces, and to a ServiceAccount by an annotation on its
Namespace, for that namespace; `cluster-admin` given so is for everything, because that is what its name says.
What is allowed by no rule is forbidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.api.access.roles import ACCOUNT_ROLE_PREFIX, ACCOUNT_ROLES, GROUPS, ROLES, Rule
from minikubelet.api.access.user import User, account_of
from minikubelet.errors import Forbidden, NotFound
from minikubelet.store import Store

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: a verb on a resource, or on a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""  # empty: all of them, or the cluster
    name: str = ""
    path: str = ""  # not empty: no resource

    @property
    def what(self) -> str:
        """`pods`, `pods/log`: as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Binding:
    """That somebody has a role, in one namespace or everywhere."""

    role: str
    subject: str  # 'Group "view"', for the reason
    namespace: str = ""

    def reason(self) -> str:
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        name = f"{self.role}/{self.namespace}" if self.namespace else self.role
        return f'RBAC: allowed by {kind} "{name}" of ClusterRole "{self.role}" to {self.subject}'


class Authorizer:
    """The decision, with the Namespaces of the store at hand."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def bindings(self, user: User) -> list[Binding]:
        """The roles of a user."""
        found = [Binding(role, f'Group "{group}"') for group in user.groups for role in GROUPS.get(group, ())]
        account = account_of(user.name)
        if account is not None:
            found += account_bindings(*account, self._annotations(account[0]))
        return found

    def decide(self, user: User, wanted: Attributes) -> str | None:
        """Why it is allowed; None when it is not."""
        return decide(self.bindings(user), wanted)

    def check(self, user: User, wanted: Attributes) -> None:
        """Raises Forbidden."""
        if self.decide(user, wanted) is None:
            raise refusal(user, wanted)

    def _annotations(self, namespace: str) -> Mapping[str, str]:
        try:
            found = self._store.get("namespaces", "", namespace)
        except NotFound:
            return {}
        return found["metadata"].get("annotations") or {}


def account_bindings(namespace: str, name: str, annotations: Mapping[str, str]) -> list[Binding]:
    """What a Namespace's annotations give one of its ServiceAccounts. An unknown role gives nothing."""
    role = annotations.get(ACCOUNT_ROLE_PREFIX + name, "")
    if role not in ACCOUNT_ROLES:
        return []
    everywhere = role == "cluster-admin"
    return [Binding(role, f'ServiceAccount "{name}/{namespace}"', "" if everywhere else namespace)]


def decide(bindings: Sequence[Binding], wanted: Attributes) -> str | None:
    """The reason, from the first role that allows it. Pure."""
    for binding in bindings:
        here = not binding.namespace or (not wanted.path and binding.namespace == wanted.namespace)
        if here and any(allows(rule, wanted) for rule in ROLES[binding.role]):
            return binding.reason()
    return None


def allows(rule: Rule, wanted: Attributes) -> bool:
    """One rule, as RBAC reads it."""
    if not _in(wanted.verb, rule.verbs):
        return False
    if wanted.path:
        return any(_path_matches(path, wanted.path) for path in rule.paths)
    return _in(wanted.group, rule.groups) and _in(wanted.what, rule.resources)


def rules_in(bindings: Sequence[Binding], namespace: str) -> Iterator[Rule]:
    """All rules that hold in a namespace, each once."""
    for binding in bindings:
        if binding.namespace in ("", namespace):
            yield from ROLES[binding.role]


def refusal(user: User, wanted: Attributes) -> Forbidden:
    """403, in the API server's words."""
    if wanted.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"')
    kind = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    thing = f'{kind} "{wanted.name}"' if wanted.name else kind
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return Forbidden(
        f'{thing} is forbidden: User "{user.name}" cannot {wanted.verb} resource "{wanted.what}" '
        f'in API group "{wanted.group}" {scope}',
        name=wanted.name,
        group=wanted.group,
        kind=wanted.resource,
    )


def _in(word: str, words: Sequence[str]) -> bool:
    return word in words or "*" in words


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return pattern == path
