"""Which words name which resources, and where they live in the API.

The kinds every node serves are written down here, so that `get pods` costs one request; any other word is
looked up in the server's own discovery (`/api/v1`, `/apis`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, StatusError, UsageError


class Resource(NamedTuple):
    """One type of object."""

    name: str  # pods
    singular: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    group_version: str = "v1"
    categories: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.group_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """`pods`, `leases.coordination.k8s.io`: kubectl's name in messages."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def label(self) -> str:
        """`pod`, `lease.coordination.k8s.io`: as in `pod/web created`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL path; no namespace means all of them."""
        base = f"/apis/{self.group_version}" if self.group else f"/api/{self.group_version}"
        if self.namespaced and namespace is not None:
            base += f"/namespaces/{namespace}"
        return "/".join(part for part in (base, self.name, name, subresource) if part)


PODS = Resource("pods", "pod", "Pod", True, ("po",), categories=("all",))
NODES = Resource("nodes", "node", "Node", False, ("no",))
EVENTS = Resource("events", "event", "Event", True, ("ev",))
NAMESPACES = Resource("namespaces", "namespace", "Namespace", False, ("ns",))
SECRETS = Resource("secrets", "secret", "Secret", True)
ENDPOINT_SLICES = Resource(
    "endpointslices", "endpointslice", "EndpointSlice", True, (), "discovery.k8s.io/v1"
)
REPLICA_SETS = Resource("replicasets", "replicaset", "ReplicaSet", True, ("rs",), "apps/v1", ("all",))

DEPLOYMENTS = Resource("deployments", "deployment", "Deployment", True, ("deploy",), "apps/v1", ("all",))
REPLICA_SETS = Resource("replicasets", "replicaset", "ReplicaSet", True, ("rs",), "apps/v1", ("all",))
JOBS = Resource("jobs", "job", "Job", True, (), "batch/v1", ("all",))
SERVICES = Resource("services", "service", "Service", True, ("svc",), categories=("all",))

KNOWN = (
    PODS,
    SERVICES,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    NODES,
    EVENTS,
    NAMESPACES,
    Resource("configmaps", "configmap", "ConfigMap", True, ("cm",)),
    SECRETS,
    Resource("endpoints", "endpoints", "Endpoints", True, ("ep",)),
    ENDPOINT_SLICES,
    Resource("podtemplates", "podtemplate", "PodTemplate"),
    Resource("persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", True, ("pvc",)),
    Resource("serviceaccounts", "serviceaccount", "ServiceAccount", True, ("sa",)),
    Resource("priorityclasses", "priorityclass", "PriorityClass", False, ("pc",), "scheduling.k8s.io/v1"),
    Resource("leases", "lease", "Lease", True, (), "coordination.k8s.io/v1"),
)


def find(client: Client, word: str) -> Resource:
    """The resource a user means by `po`, `pod`, `pods`, `Pod`, `pods.v1.` or `leases.coordination.k8s.io`."""
    for resource in KNOWN:
        if _means(resource, word):
            return resource
    for resource in discovered(client):
        if _means(resource, word):
            return resource
    raise CliError(f'the server doesn\'t have a resource type "{word}"')


def find_all(client: Client, words: str) -> list[Resource]:
    """The resources of a list such as `pods,cm` or of a category (`all`)."""
    found: list[Resource] = []
    for word in words.split(","):
        if not word:
            raise UsageError("arguments in resource/name form may not have an empty resource")
        members = [resource for resource in KNOWN if word in resource.categories]
        for resource in members or [find(client, word)]:
            if resource not in found:
                found.append(resource)
    return found


def of_kind(client: Client, api_version: str, kind: str) -> Resource:
    """The resource a manifest's kind is stored as."""
    for resource in KNOWN:
        if (resource.group_version, resource.kind) == (api_version, kind):
            return resource
    for resource in discovered(client):
        if (resource.group_version, resource.kind) == (api_version, kind):
            return resource
    raise CliError(f'no matches for kind "{kind}" in version "{api_version}"')


def discovered(client: Client) -> Iterator[Resource]:
    """Everything the server says it serves."""
    versions = ["v1"]
    for group in client.get("/apis").get("groups", ()):
        versions.append(group["preferredVersion"]["groupVersion"])
    for version in versions:
        try:
            listing = client.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
        except StatusError as error:
            if error.code != 404:
                raise
            continue
        for item in listing.get("resources", ()):
            if "/" not in item["name"]:
                yield _from_discovery(item, version)


def _from_discovery(item: dict[str, object], version: str) -> Resource:
    return Resource(
        name=str(item["name"]),
        singular=str(item.get("singularName") or str(item["kind"]).lower()),
        kind=str(item["kind"]),
        namespaced=bool(item.get("namespaced")),
        short=tuple(item.get("shortNames") or ()),  # type: ignore[arg-type]
        group_version=version,
        categories=tuple(item.get("categories") or ()),  # type: ignore[arg-type]
    )


def _means(resource: Resource, word: str) -> bool:
    word = word.lower()
    name, _, rest = word.partition(".")
    if name not in (resource.name, resource.singular, *resource.short):
        return False
    version = resource.group_version.rpartition("/")[2]
    return rest in ("", resource.group, f"{version}.{resource.group}")
