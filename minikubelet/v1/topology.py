"""Which lists are really maps or sets, and which maps and structs count as one value: KEP-555's topology.

Kubernetes writes it as markers beside the Go fields (`listType`, `mapType`, `patchStrategy`), and every
OpenAPI document repeats it. It is read here three times: server-side apply owns and merges by it
(`v1.managed_fields`), strategic merge finds its merge keys in it (`api.patches`), `api.openapi` tells it. The
tables below name only what differs from the rule; the types come from the structs (`v1.schema`).

Source: the markers of Kubernetes 1.33, by `STRUCT.FIELD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from minikubelet.v1.base import Object
from minikubelet.v1.schema import Shape, Type, fields_of

_CONDITIONS = ("type",)

# Lists that are maps: the names of the fields that tell the items apart.
KEYS: dict[str, tuple[str, ...]] = {
    "Container.env": ("name",),
    "Container.ports": ("containerPort", "protocol"),
    "Container.volumeDevices": ("devicePath",),
    "Container.volumeMounts": ("mountPath",),
    "ContainerStatus.allocatedResourcesStatus": ("name",),
    "ContainerStatus.volumeMounts": ("mountPath",),
    "DeploymentStatus.conditions": _CONDITIONS,
    "EphemeralContainer.env": ("name",),
    "EphemeralContainer.ports": ("containerPort", "protocol"),
    "EphemeralContainer.volumeDevices": ("devicePath",),
    "EphemeralContainer.volumeMounts": ("mountPath",),
    "NamespaceStatus.conditions": _CONDITIONS,
    "NodeStatus.addresses": ("type",),
    "NodeStatus.conditions": _CONDITIONS,
    "ObjectMeta.ownerReferences": ("uid",),
    "PersistentVolumeClaimStatus.conditions": _CONDITIONS,
    "PodDisruptionBudgetStatus.conditions": _CONDITIONS,
    "PodSpec.containers": ("name",),
    "PodSpec.ephemeralContainers": ("name",),
    "PodSpec.hostAliases": ("ip",),
    "PodSpec.imagePullSecrets": ("name",),
    "PodSpec.initContainers": ("name",),
    "PodSpec.resourceClaims": ("name",),
    "PodSpec.schedulingGates": ("name",),
    "PodSpec.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "PodSpec.volumes": ("name",),
    "PodStatus.conditions": _CONDITIONS,
    "PodStatus.podIPs": ("ip",),
    "PodStatus.resourceClaimStatuses": ("name",),
    "ReplicaSetStatus.conditions": _CONDITIONS,
    "ResourceRequirements.claims": ("name",),
    "ResourceStatus.resources": ("resourceID",),
    "ServiceAccount.secrets": ("name",),
    "ServiceSpec.ports": ("port", "protocol"),
    "ServiceStatus.conditions": _CONDITIONS,
}
# A key that is left out has the value that defaulting would give it.
KEY_DEFAULTS: dict[str, str] = {"protocol": "TCP"}
# Lists that are sets of their values.
SETS = frozenset(
    {
        "Endpoint.addresses",
        "NodeSpec.podCIDRs",
        "ObjectMeta.finalizers",
        "PodFailurePolicyOnExitCodesRequirement.values",
        "UncountedTerminatedPods.failed",
        "UncountedTerminatedPods.succeeded",
    }
)
# Maps and structs that are one value; all others are granular, their fields have owners of their own.
ATOMIC_MAPS = frozenset({"PodSpec.nodeSelector", "ServiceSpec.selector"})
ATOMIC_STRUCTS = frozenset(
    {
        "ConfigMapKeySelector",
        "CrossVersionObjectReference",
        "EndpointAddress",
        "EndpointPort",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "OwnerReference",
        "ResourceFieldSelector",
        "RoleRef",
        "ScopeSelector",
        "SecretKeySelector",
        "SecretReference",
        "Subject",
        "TypedLocalObjectReference",
    }
)

# Strategic merge is older than the markers above and knows less: a list merges by the first of its keys.
# Where it differs:
PATCH_KEYS = {"JobStatus.conditions": "type", "PodStatus.hostIPs": "ip"}
NOT_PATCHED_BY_KEY = frozenset({"ResourceRequirements.claims", "ResourceStatus.resources"})
PATCHED_AS_SETS = frozenset({"ObjectMeta.finalizers", "NodeSpec.podCIDRs"})
RETAINS_KEYS = frozenset(
    {
        "DeploymentSpec.strategy",
        "PodSpec.resourceClaims",
        "PodSpec.volumes",
        "PodStatus.resourceClaimStatuses",
    }
)
REPLACED_BY_PATCH = frozenset({"PodDisruptionBudgetSpec.selector"})

# What Go always writes, also when it is empty: structs without a pointer, lists without `omitempty`. Nobody
# adds these fields, and so nobody owns them as a whole.
ALWAYS_PRESENT: dict[str, dict[str, Any]] = {
    "Container": {"resources": {}},
    "Deployment": {"spec": {}, "status": {}},
    "DeploymentSpec": {"selector": None, "template": {}, "strategy": {}},
    "EphemeralContainer": {"resources": {}},
    "Event": {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "Job": {"spec": {}, "status": {}},
    "JobSpec": {"template": {}},
    "Lease": {"spec": {}},
    "LimitRange": {"spec": {}},
    "LimitRangeSpec": {"limits": None},
    "Namespace": {"spec": {}, "status": {}},
    "Node": {"spec": {}, "status": {}},
    "NodeStatus": {"daemonEndpoints": {}, "nodeInfo": {}},
    "PersistentVolumeClaim": {"spec": {}, "status": {}},
    "PersistentVolumeClaimSpec": {"resources": {}},
    "Pod": {"spec": {}, "status": {}},
    "PodDisruptionBudget": {"spec": {}, "status": {}},
    "PodSpec": {"containers": None},
    "PodTemplate": {"template": {}},
    "PodTemplateSpec": {"metadata": {}, "spec": {}},
    "PriorityClass": {"value": 0},
    "ReplicaSet": {"spec": {}, "status": {}},
    "ReplicaSetSpec": {"selector": None, "template": {}},
    "ReplicaSetStatus": {"replicas": 0},
    "ResourceQuota": {"spec": {}, "status": {}},
    "Service": {"spec": {}, "status": {}},
    "ServiceStatus": {"loadBalancer": {}},
}


class Grain(Enum):
    """How finely a value can be owned and merged."""

    LEAF = "leaf"  # a scalar, or anything that counts as one value
    STRUCT = "struct"
    MAP = "map"
    KEYED = "keyed"  # a list of items told apart by keys
    SET = "set"  # a list of values


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at one place of an object. `item` is the value of a map or the item of a list."""

    grain: Grain
    struct: type[Object] | None = None
    item: Node | None = None
    keys: tuple[str, ...] = ()


LEAF = Node(Grain.LEAF)


@cache
def root(kind: type[Object]) -> Node:
    """A whole object of this kind."""
    return Node(Grain.STRUCT, kind)


@cache
def children(struct: type[Object]) -> Mapping[str, Node]:
    """The fields of a struct by JSON name."""
    return {name: _node(f"{struct.__name__}.{name}", field.type) for name, field in fields_of(struct).items()}


def _node(place: str, type_: Type) -> Node:
    match type_.shape:
        case Shape.STRUCT:
            assert type_.struct is not None
            return LEAF if type_.struct.__name__ in ATOMIC_STRUCTS else root(type_.struct)
        case Shape.MAP:
            assert type_.item is not None
            return LEAF if place in ATOMIC_MAPS else Node(Grain.MAP, item=_node("", type_.item))
        case Shape.LIST if place in KEYS:
            assert type_.item is not None
            return Node(Grain.KEYED, item=_node("", type_.item), keys=KEYS[place])
        case Shape.LIST if place in SETS:
            return Node(Grain.SET, item=LEAF)
    return LEAF


def patch_key(place: str) -> str | None:
    """The field by which strategic merge tells the items of this list apart; None: it has no merge key."""
    if place in PATCH_KEYS:
        return PATCH_KEYS[place]
    if place in KEYS and place not in NOT_PATCHED_BY_KEY:
        return KEYS[place][0]
    return None


def patch_strategy(place: str) -> str:
    """As the marker of that name: how strategic merge treats this field, and who makes patches should."""
    if place in REPLACED_BY_PATCH:
        return "replace"
    merge = "merge" if place in PATCHED_AS_SETS or patch_key(place) is not None else ""
    return ",".join(word for word in (merge, "retainKeys" if place in RETAINS_KEYS else "") if word)
