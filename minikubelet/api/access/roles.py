"""What each role may do: Kubernetes' ClusterRoles of these names, as far as they speak of what is served.

view    reads what is in namespaces, but no Secret (with one, one could be somebody else)
edit    changes it too, gets into containers, acts as a ServiceAccount. As in Kubernetes, whoever may make
        pods may make privileged ones, and is root on the node in the end
admin   also asks what others may do in a namespace

Nobody may change who has which role: groups are in the certificate, and the roles of ServiceAccounts stand on
their Namespace, which only the cluster's admin may write.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("*",)
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of API groups (`pods/log` is a resource), or on paths that are no objects."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def _rule(verbs: tuple[str, ...], group: str, *resources: str) -> Rule:
    return Rule(verbs, (group,), resources)


_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")

VIEW = (
    _rule(
        READ,
        "",
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "serviceaccounts",
        "services",
        "services/status",
    ),
    _rule(
        READ,
        "",
        "bindings",
        "events",
        "limitranges",
        "namespaces/status",
        "pods/log",
        "pods/status",
        "resourcequotas",
        "resourcequotas/status",
    ),
    _rule(READ, "", "namespaces"),
    _rule(READ, "discovery.k8s.io", "endpointslices"),
    _rule(
        READ,
        "apps",
        "deployments",
        "deployments/scale",
        "deployments/status",
        "replicasets",
        "replicasets/scale",
        "replicasets/status",
    ),
    _rule(READ, "batch", "jobs", "jobs/status"),
    _rule(READ, "metrics.k8s.io", "pods", "nodes"),
)
EDIT = (
    _rule(
        READ,
        "",
        "pods/attach",
        "pods/exec",
        "pods/portforward",
        "pods/proxy",
        "secrets",
        "services/proxy",
    ),
    _rule(("impersonate",), "", "serviceaccounts"),
    _rule(WRITE, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
    _rule(("create",), "", "pods/eviction"),
    _rule(
        WRITE,
        "",
        "configmaps",
        "events",
        "persistentvolumeclaims",
        "secrets",
        "serviceaccounts",
        "services",
        "services/proxy",
    ),
    _rule(("create",), "", "serviceaccounts/token"),
    _rule(WRITE, "apps", "deployments", "deployments/scale", "replicasets", "replicasets/scale"),
    _rule(WRITE, "batch", "jobs"),
    _rule((*WRITE, *READ), "coordination.k8s.io", "leases"),
)
ADMIN = (_rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),)

ROLES: dict[str, tuple[Rule, ...]] = {
    "cluster-admin": (Rule(ALL, ALL, ALL), Rule(ALL, paths=ALL)),
    "admin": (*ADMIN, *EDIT, *VIEW),
    "edit": (*EDIT, *VIEW),
    "view": VIEW,
    "system:basic-user": (
        _rule(("create",), "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        _rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
    ),
    "system:discovery": (Rule(("get",), paths=(*_DISCOVERY, *_HEALTH)),),
    "system:public-info-viewer": (Rule(("get",), paths=(*_HEALTH, "/livez/*", "/readyz/*")),),
}

# Who has them, everywhere.
GROUPS: dict[str, tuple[str, ...]] = {
    "system:masters": ("cluster-admin",),
    "admin": ("admin",),
    "edit": ("edit",),
    "view": ("view",),
    "system:authenticated": ("system:basic-user", "system:discovery", "system:public-info-viewer"),
    "system:unauthenticated": ("system:public-info-viewer",),
}

# … and a ServiceAccount, in its own namespace: an annotation on the Namespace, `PREFIX<account>: <role>`.
ACCOUNT_ROLE_PREFIX = "role.minikubelet.io/"
ACCOUNT_ROLES = frozenset({"view", "edit", "admin", "cluster-admin"})
