"""Which resources there are: in one aggregated answer, and in the older one per group version.

Both come from `v1.resources`. The aggregated form saves kubectl a request per group; `auth can-i` and
`drain` read the older one always.
"""

from __future__ import annotations

from typing import Any

from minikubelet.v1.resources import RESOURCES, ResourceInfo

Object = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
# What can be done with a subresource, and the kind it speaks.
SUBRESOURCES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "attach": (("create", "get"), "v1", "PodAttachOptions"),
    "binding": (("create",), "v1", "Binding"),
    "ephemeralcontainers": (("get", "patch", "update"), "v1", "Pod"),
    "eviction": (("create",), "policy/v1", "Eviction"),
    "exec": (("create", "get"), "v1", "PodExecOptions"),
    "log": (("get",), "v1", "Pod"),
    "portforward": (("create", "get"), "v1", "PodPortForwardOptions"),
    "proxy": (("create", "delete", "get", "patch", "update"), "v1", "PodProxyOptions"),
    "scale": (("get", "patch", "update"), "autoscaling/v1", "Scale"),
    "token": (("create",), "authentication.k8s.io/v1", "TokenRequest"),
    "resize": (("get", "patch", "update"), "v1", "Pod"),
}


def group_versions() -> dict[str, list[ResourceInfo]]:
    """The resources by `v1`, `coordination.k8s.io/v1`, …"""
    groups: dict[str, list[ResourceInfo]] = {}
    for info in RESOURCES:
        groups.setdefault(info.api_version, []).append(info)
    return groups


def subresource(info: ResourceInfo, name: str) -> tuple[tuple[str, ...], str, str]:
    """Verbs, API version and kind of a subresource; status and finalize speak the kind itself."""
    verbs = ("update",) if name == "finalize" else ("get", "patch", "update")
    return SUBRESOURCES.get(name, (verbs, info.api_version, info.kind))


def wanted_aggregate(accept: str) -> str | None:
    """The version of APIGroupDiscoveryList the client prefers, if it knows one."""
    if "as=APIGroupDiscoveryList" not in accept:
        return None
    return "v2" if "v=v2;" in accept.replace(" ", "") + ";" else "v2beta1"


def aggregated(version: str, *, core: bool) -> Object:
    """`/api` (core) or `/apis` in one document."""
    groups: dict[str, list[Object]] = {}
    for group_version, infos in group_versions().items():
        group, _, name = group_version.rpartition("/")
        if core == (group == ""):
            entry = {"version": name, "freshness": "Current", "resources": [_aggregated(i) for i in infos]}
            groups.setdefault(group, []).append(entry)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {"metadata": {"name": group} if group else {}, "versions": versions}
            for group, versions in groups.items()
        ],
    }


def _aggregated(info: ResourceInfo) -> Object:
    entry: Object = {
        "resource": info.plural,
        "responseKind": _kind(info.api_version, info.kind),
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    if info.subresources:
        entry["subresources"] = [_aggregated_subresource(info, name) for name in info.subresources]
    return entry


def _aggregated_subresource(info: ResourceInfo, name: str) -> Object:
    verbs, api_version, kind = subresource(info, name)
    return {"subresource": name, "responseKind": _kind(api_version, kind), "verbs": list(verbs)}


def _kind(api_version: str, kind: str) -> Object:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}


# The older form.


def api_versions(address: str) -> Object:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def api_group_list() -> Object:
    groups = sorted({group_version.rpartition("/")[0] for group_version in group_versions()} - {""})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in groups]}


def api_group(group: str) -> Object | None:
    found = [entry for entry in api_group_list()["groups"] if entry["name"] == group]
    return {"kind": "APIGroup", "apiVersion": "v1", **found[0]} if found else None


def _group(group: str) -> Object:
    versions = [
        {"groupVersion": group_version, "version": group_version.rpartition("/")[2]}
        for group_version in group_versions()
        if group_version.rpartition("/")[0] == group
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def api_resource_list(group_version: str) -> Object | None:
    infos = group_versions().get(group_version)
    if infos is None:
        return None
    resources: list[Object] = []
    for info in infos:
        resources.append(_resource(info))
        resources.extend(_subresource(info, name) for name in info.subresources)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _resource(info: ResourceInfo) -> Object:
    entry: Object = {
        "name": info.plural,
        "singularName": info.singular,
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        entry["shortNames"] = list(info.short_names)
    if info.categories:
        entry["categories"] = list(info.categories)
    return entry


def _subresource(info: ResourceInfo, name: str) -> Object:
    verbs, api_version, kind = subresource(info, name)
    entry: Object = {
        "name": f"{info.plural}/{name}",
        "singularName": "",
        "namespaced": info.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
    if api_version != info.api_version:
        group, _, version = api_version.rpartition("/")
        entry.update(group=group, version=version)
    return entry
