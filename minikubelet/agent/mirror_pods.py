"""Mirror pods: what the API shows of static pods (kubelet-behaviour 7.6). Pure, on the store's dicts.

A static pod lives in a file and in its worker. So that `get`, `logs` and `exec` know it, the agent keeps an
object in the API beside it, the mirror: same name, a uid of its own, the static pod's uid in an annotation.
Whoever deletes the mirror breaks a mirror. Everything on the node (cgroup, logs, Events) goes by the static
pod's uid: `runtime_uid`.
"""

from __future__ import annotations

from typing import Any

from minikubelet.v1 import ObjectMeta, Pod, PodStatus, from_dict, to_dict
from minikubelet.v1.defaults import MIRROR, admit_pod

from .static_manifest import HASH

Object = dict[str, Any]


def is_mirror(pod: Object) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


def runtime_uid(pod: Object) -> str:
    """The uid by which the node knows what this object shows."""
    annotations = pod["metadata"].get("annotations") or {}
    return str(annotations.get(MIRROR) or pod["metadata"]["uid"])


def mirror_of(pod: Pod, status: PodStatus, node: Object) -> Object:
    """The mirror to store; `node` is the Node that owns it."""
    mirror = _admitted(pod)
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
        "controller": True,
    }
    mirror["metadata"] |= {"generation": 1, "ownerReferences": [owner]}
    return mirror | {"apiVersion": "v1", "kind": "Pod", "status": to_dict(status)}


def shows(mirror: Object, pod: Pod) -> bool:
    """Is this object still a true mirror of the pod? The kubelet looks at the hash; a spec that somebody has
    changed is no mirror either.
    """
    wanted = _admitted(pod)
    same = mirror["metadata"]["annotations"][MIRROR] == wanted["metadata"]["annotations"][MIRROR]
    return same and "deletionTimestamp" not in mirror["metadata"] and mirror["spec"] == wanted["spec"]


def _admitted(pod: Pod) -> Object:
    """The pod as the API would store it if it were sent there."""
    copy = from_dict(Pod, to_dict(pod))
    former = copy.metadata
    assert former is not None
    annotations = former.annotations or {}
    copy.metadata = ObjectMeta(
        name=former.name,
        namespace=former.namespace,
        labels=former.labels,
        annotations=annotations | {MIRROR: annotations[HASH]},
    )
    admit_pod(copy)
    return to_dict(copy)
