"""What types are called in OpenAPI: `io.k8s.api.core.v1.PodSpec`."""

from __future__ import annotations

import sys
from functools import cache

from minikubelet.v1 import base
from minikubelet.v1.meta import Resource
from minikubelet.v1.resources import ResourceInfo

REFERENCE = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
DELETE_OPTIONS = f"{META}.DeleteOptions"
LIST_META = f"{META}.ListMeta"
STATUS = f"{META}.Status"

_OF_META = frozenset(
    {
        "ObjectMeta",
        "OwnerReference",
        "ManagedFieldsEntry",
        "LabelSelector",
        "LabelSelectorRequirement",
        "Condition",
    }
)


@cache
def of_struct(struct: type[base.Object]) -> str:
    """The name of a struct's schema."""
    name = struct.__name__
    return f"{META}.{name}" if name in _OF_META else f"{_package(_api_version(struct))}.{name}"


def of_list(info: ResourceInfo) -> str:
    return f"{of_struct(info.type)}List"


def _api_version(struct: type[base.Object]) -> str:
    """A part of an object belongs where its kind does: the kind it is named after in its module, or all
    kinds of its module, if they are of one group.
    """
    if issubclass(struct, Resource):
        return struct.API_VERSION
    kinds = [
        value
        for value in vars(sys.modules[struct.__module__]).values()
        if isinstance(value, type) and issubclass(value, Resource) and value.__module__ == struct.__module__
    ]
    named = {kind.API_VERSION for kind in kinds if struct.__name__.startswith(kind.__name__)}
    versions = named or {kind.API_VERSION for kind in kinds}
    return versions.pop() if len(versions) == 1 else "v1"


def _package(api_version: str) -> str:
    group, _, version = api_version.rpartition("/")
    if group == "metrics.k8s.io":
        return f"io.k8s.metrics.pkg.apis.metrics.{version}"
    return f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}"
