"""The kinds this node serves, in one table: discovery, routes, the store and the CLI all read it.

`plural` is the word in URLs, `singular` and `short_names` are what people may type, `type` is the struct that
holds one. A plural is known within its API group only, so that everybody asks by `key`, the name with the
group behind it as in the API server's messages: `pods`, `leases.coordination.k8s.io`. It is also where the
objects are in the store, unless two groups show the same ones (`stored_as`).
"""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.v1 import authentication_v1beta1, events_v1
from minikubelet.v1.apps import Deployment, ReplicaSet
from minikubelet.v1.authentication import SelfSubjectReview, TokenReview
from minikubelet.v1.authorization import (
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
)
from minikubelet.v1.batch import Job
from minikubelet.v1.claim import PersistentVolumeClaim
from minikubelet.v1.cluster import Lease, Namespace, ServiceAccount
from minikubelet.v1.config import ConfigMap, Secret
from minikubelet.v1.endpoint_slice import EndpointSlice
from minikubelet.v1.endpoints import Endpoints
from minikubelet.v1.event import Event
from minikubelet.v1.meta import Resource
from minikubelet.v1.metrics import NodeMetrics, PodMetrics
from minikubelet.v1.node import Node
from minikubelet.v1.pod import Pod, PodTemplate
from minikubelet.v1.priority_class import PriorityClass
from minikubelet.v1.quota import LimitRange, ResourceQuota
from minikubelet.v1.service import Service

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ = ("get", "list")  # of what is made when it is asked for


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """One row of discovery."""

    plural: str
    singular: str
    type: type[Resource]
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    unmade: str = ""  # why none can be made, although they can be asked for
    stored_as: str = ""  # the key of the resource whose objects these are, if it is another

    @property
    def kind(self) -> str:
        return self.type.__name__

    @property
    def api_version(self) -> str:
        return self.type.API_VERSION

    @property
    def group(self) -> str:
        """The API group; empty for core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def key(self) -> str:
        """`pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> str:
        """The key in the store."""
        return self.stored_as or self.key


def _review(plural: str, kind: type[Resource], *, namespaced: bool = False) -> ResourceInfo:
    """A question: it can be created, and is answered and forgotten."""
    return ResourceInfo(plural, plural.removesuffix("s"), kind, namespaced=namespaced, verbs=("create",))


RESOURCES: tuple[ResourceInfo, ...] = (
    ResourceInfo(
        "pods",
        "pod",
        Pod,
        ("po",),
        categories=("all",),
        subresources=(
            "log",
            "exec",
            "attach",
            "portforward",
            "proxy",
            "status",
            "eviction",
            "ephemeralcontainers",
            "resize",
        ),
    ),
    ResourceInfo("configmaps", "configmap", ConfigMap, ("cm",)),
    ResourceInfo("secrets", "secret", Secret),
    ResourceInfo(
        "namespaces", "namespace", Namespace, ("ns",), namespaced=False, subresources=("status", "finalize")
    ),
    ResourceInfo("nodes", "node", Node, ("no",), namespaced=False, subresources=("status",)),
    ResourceInfo("events", "event", Event, ("ev",)),
    ResourceInfo("events", "event", events_v1.Event, ("ev",), stored_as="events"),
    ResourceInfo(
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        PersistentVolumeClaim,
        ("pvc",),
        subresources=("status",),
    ),
    ResourceInfo(
        "resourcequotas",
        "resourcequota",
        ResourceQuota,
        ("quota",),
        verbs=(*READ, "watch"),
        unmade="this node keeps no quotas: it has one user's pods",
    ),
    ResourceInfo(
        "limitranges",
        "limitrange",
        LimitRange,
        ("limits",),
        verbs=(*READ, "watch"),
        unmade="this node sets no bounds for a namespace: write them into the pods",
    ),
    ResourceInfo("serviceaccounts", "serviceaccount", ServiceAccount, ("sa",), subresources=("token",)),
    ResourceInfo("services", "service", Service, ("svc",), categories=("all",), subresources=("status",)),
    ResourceInfo("endpoints", "endpoints", Endpoints, ("ep",)),
    ResourceInfo("endpointslices", "endpointslice", EndpointSlice),
    ResourceInfo("podtemplates", "podtemplate", PodTemplate),
    ResourceInfo(
        "deployments",
        "deployment",
        Deployment,
        ("deploy",),
        categories=("all",),
        subresources=("status", "scale"),
    ),
    ResourceInfo(
        "replicasets",
        "replicaset",
        ReplicaSet,
        ("rs",),
        categories=("all",),
        subresources=("status", "scale"),
    ),
    ResourceInfo("jobs", "job", Job, categories=("all",), subresources=("status",)),
    ResourceInfo("leases", "lease", Lease),
    ResourceInfo("pods", "pod", PodMetrics, verbs=READ),
    ResourceInfo("nodes", "node", NodeMetrics, namespaced=False, verbs=READ),
    ResourceInfo("priorityclasses", "priorityclass", PriorityClass, ("pc",), namespaced=False),
    _review("selfsubjectreviews", SelfSubjectReview),
    _review("selfsubjectreviews", authentication_v1beta1.SelfSubjectReview),
    _review("tokenreviews", TokenReview),
    _review("selfsubjectaccessreviews", SelfSubjectAccessReview),
    _review("selfsubjectrulesreviews", SelfSubjectRulesReview),
    _review("subjectaccessreviews", SubjectAccessReview),
    _review("localsubjectaccessreviews", LocalSubjectAccessReview, namespaced=True),
)

BY_KEY = {resource.key: resource for resource in RESOURCES}
_SERVED = {(resource.api_version, resource.plural): resource for resource in RESOURCES}


def served(api_version: str, plural: str) -> ResourceInfo | None:
    """The resource at `v1`, `pods` or `apps/v1`, `deployments`."""
    return _SERVED.get((api_version, plural))
