"""Who may do what: the roles, and the words for no."""

from __future__ import annotations

import pytest

from minikubelet.api.access.authorization import Attributes, Binding, account_bindings, decide, refusal
from minikubelet.api.access.roles import GROUPS, ROLES
from minikubelet.api.access.user import User, account_of


def may(role: str, verb: str, resource: str, group: str = "", subresource: str = "") -> bool:
    wanted = Attributes(verb, group, resource, subresource, "default")
    return decide([Binding(role, 'Group "x"')], wanted) is not None


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        # verb, resource[.group][/subresource], who may
        ("list", "pods", "view edit admin"),
        ("watch", "events", "view edit admin"),
        ("get", "pods/log", "view edit admin"),
        ("get", "secrets", "edit admin"),
        ("list", "pods.metrics.k8s.io", "view edit admin"),
        ("create", "pods", "edit admin"),
        ("delete", "configmaps", "edit admin"),
        ("create", "pods/exec", "edit admin"),
        ("get", "pods/exec", "edit admin"),
        ("create", "pods/portforward", "edit admin"),
        ("create", "pods/eviction", "edit admin"),
        ("patch", "deployments.apps/scale", "edit admin"),
        ("create", "serviceaccounts/token", "edit admin"),
        ("impersonate", "serviceaccounts", "edit admin"),
        ("create", "localsubjectaccessreviews.authorization.k8s.io", "admin"),
        ("impersonate", "users", ""),
        ("impersonate", "groups", ""),
        ("patch", "namespaces", ""),
        ("delete", "nodes", ""),
        ("list", "nodes", ""),
        ("update", "pods/status", ""),
        ("create", "pods/binding", ""),
        ("create", "subjectaccessreviews.authorization.k8s.io", ""),
        ("create", "tokenreviews.authentication.k8s.io", ""),
    ],
)
def test_what_the_three_roles_may(verb, resource, allowed):
    plural, _, subresource = resource.partition("/")
    plural, _, group = plural.partition(".")
    for role in ("view", "edit", "admin"):
        assert may(role, verb, plural, group, subresource) == (role in allowed.split()), role
    assert may("cluster-admin", verb, plural, group, subresource)


def test_a_wider_role_may_all_that_a_narrower_one_may():
    assert set(ROLES["view"]) < set(ROLES["edit"]) < set(ROLES["admin"])


@pytest.mark.parametrize(
    ("path", "somebody", "anybody"),
    [
        ("/healthz", True, True),
        ("/livez/ping", True, True),
        ("/version", True, True),
        ("/api/v1", True, False),
        ("/openapi/v3", True, False),
        ("/apix", False, False),
        ("/metrics/probes", False, False),
        ("/minikubelet/v1/images", False, False),
    ],
)
def test_paths_that_are_no_objects(path, somebody, anybody):
    def allowed(group: str) -> bool:
        return decide([Binding(role, "") for role in GROUPS[group]], Attributes("get", path=path)) is not None

    assert (allowed("system:authenticated"), allowed("system:unauthenticated")) == (somebody, anybody)
    assert allowed("system:masters")


def test_the_role_of_an_account_holds_in_its_namespace_only():
    bindings = account_bindings("shop", "robot", {"role.minikubelet.io/robot": "edit"})
    assert decide(bindings, Attributes("create", "", "pods", namespace="shop"))
    assert not decide(bindings, Attributes("create", "", "pods", namespace="default"))
    assert not decide(bindings, Attributes("list", "", "pods"))  # of all namespaces
    assert not decide(bindings, Attributes("get", path="/metrics/probes"))
    assert account_bindings("shop", "other", {"role.minikubelet.io/robot": "edit"}) == []
    assert account_bindings("shop", "robot", {"role.minikubelet.io/robot": "god"}) == []
    everything = account_bindings("shop", "robot", {"role.minikubelet.io/robot": "cluster-admin"})
    assert decide(everything, Attributes("delete", "", "nodes", name="n"))


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            Attributes("list", "", "pods", namespace="default"),
            'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace '
            '"default"',
        ),
        (
            Attributes("create", "", "pods", "exec", "default", "web"),
            'pods "web" is forbidden: User "x" cannot create resource "pods/exec" in API group "" in the '
            'namespace "default"',
        ),
        (
            Attributes("delete", "apps", "deployments", "", "default", "web"),
            'deployments.apps "web" is forbidden: User "x" cannot delete resource "deployments" in API group '
            '"apps" in the namespace "default"',
        ),
        (
            Attributes("list", "", "nodes"),
            'nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
        (Attributes("get", path="/metrics"), 'forbidden: User "x" cannot get path "/metrics"'),
    ],
)
def test_no_is_said_in_the_api_servers_words(wanted, text):
    error = refusal(User("x"), wanted)
    assert (error.message, error.code) == (text, 403)


def test_names_of_accounts():
    assert account_of("system:serviceaccount:a:b") == ("a", "b")
    for name in ("eve", "system:serviceaccount:", "system:serviceaccount:a", "system:serviceaccount::b"):
        assert account_of(name) is None
