"""The kinds this node serves, in one table: discovery, routes, the store and the CLI all read it.

`plural` is the word in URLs, `singular` and `short_names` are what people may type, `type` is the struct that
holds one.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.v1.claim import PersistentVolumeClaim
from minikubelet.v1.cluster import Lease, Namespace, ServiceAccount
from minikubelet.v1.config import ConfigMap, Secret
from minikubelet.v1.event import Event
from minikubelet.v1.meta import Resource
from minikubelet.v1.node import Node
from minikubelet.v1.pod import Pod
from minikubelet.v1.priority_class import PriorityClass


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
    ResourceInfo(
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        PersistentVolumeClaim,
        ("pvc",),
        subresources=("status",),
    ),
    ResourceInfo("serviceaccounts", "serviceaccount", ServiceAccount, ("sa",)),
    ResourceInfo("leases", "lease", Lease),
    ResourceInfo("priorityclasses", "priorityclass", PriorityClass, ("pc",), namespaced=False),
)

BY_PLURAL = {resource.plural: resource for resource in RESOURCES}
BY_KIND = {resource.kind: resource for resource in RESOURCES}


def find(word: str) -> ResourceInfo | None:
    """By plural, singular, short name or kind, in any case, as people type it."""
    lowered = word.lower()
    for resource in RESOURCES:
        if lowered in (resource.plural, resource.singular, *resource.short_names, resource.kind.lower()):
            return resource
    return None
