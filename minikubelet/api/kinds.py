"""What is special about each kind when it is written: who may set what, and what the server sets by itself.

The generic rules (status only through /status, identity is fixed) are in `objects`; here is what
remains. Pure: these functions change the dict they are given.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import Any

from minikubelet.api import token_volume
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.service_defaults import carry_over
from minikubelet.v1.validation.batch import generate_selector

Object = dict[str, Any]

# Never from a client: the server's own stamps.
SYSTEM_METADATA = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
SERVER_ONLY = frozenset({"generation", "selfLink"})  # of these, what a client says is not even looked at
# Made by a PUT, too, when they are not there.
CREATED_BY_PUT = frozenset(
    {
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "events",
        "events.events.k8s.io",
        "leases.coordination.k8s.io",
        "limitranges",
        "podtemplates",
        "priorityclasses.scheduling.k8s.io",
        "services",
    }
)
# Whoever replaces one must say which version of it: what is in it is only true as a whole.
ONLY_CONDITIONAL = frozenset({"leases.coordination.k8s.io", "poddisruptionbudgets.policy"})
COUNT_GENERATIONS = frozenset({"pods", "deployments.apps", "replicasets.apps", "jobs.batch"})
NAME_TRIES = 8  # to find a name that is free; then the client is told that it is taken
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words


def generated_name(base: str) -> str:
    """`base` and five letters, at most 63 characters, as the API server's generateName."""
    return base[:58] + "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))


def prepare_metadata(obj: Object, taken: Callable[[str], bool] = lambda name: False) -> None:
    """Before a new object is validated: no foreign stamps, and a name, if possible one that is free."""
    metadata = obj["metadata"]
    for field in SYSTEM_METADATA:
        metadata.pop(field, None)
    if metadata.get("name") or not metadata.get("generateName"):
        return
    for _ in range(NAME_TRIES):
        metadata["name"] = generated_name(metadata["generateName"])
        if not taken(metadata["name"]):
            return


def prepare_create(info: ResourceInfo, obj: Object) -> None:
    """Before defaults: the first status is the server's business. (A Node is created with its status.)"""
    if "status" in info.subresources and info.key != "nodes":
        obj.pop("status", None)
    if info.key in COUNT_GENERATIONS:
        obj["metadata"]["generation"] = 1
    if info.key in _CREATIONS:
        _CREATIONS[info.key](obj)


def prepare_update(info: ResourceInfo, obj: Object, old: Object) -> None:
    """The object as it may be stored over `old`: what the server has stamped may be left out. (Another stamp
    is for validation to refuse.)
    """
    metadata = obj["metadata"]
    for field in SYSTEM_METADATA:
        if field in SERVER_ONLY:
            metadata.pop(field, None)
        if field in old["metadata"]:
            metadata.setdefault(field, old["metadata"][field])
    if "status" in info.subresources:
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = old["status"]
    if info.key in _CHANGES:
        _CHANGES[info.key](obj, old)


def with_status(obj: Object, old: Object) -> Object:
    """What a write to /status may change: the status, and nothing else but annotations and labels."""
    merged = {**old, "metadata": dict(old["metadata"])}
    merged.pop("status", None)
    if "status" in obj:
        merged["status"] = obj["status"]
    for field in ("labels", "annotations", "finalizers"):
        merged["metadata"].pop(field, None)
        if field in obj["metadata"]:
            merged["metadata"][field] = obj["metadata"][field]
    if "resourceVersion" in obj["metadata"]:
        merged["metadata"]["resourceVersion"] = obj["metadata"]["resourceVersion"]
    return merged


def with_finalizers(namespace: Object, old: Object) -> Object:
    """What a write to /finalize may change: who still wants to clean up before the namespace goes."""
    return {**old, "metadata": dict(old["metadata"]), "spec": namespace.get("spec", {})}


def _pod_change(pod: Object, old: Object) -> None:
    """`replace` with the file a pod was made from lacks what the cluster filled in; carry it over."""
    for field in ("nodeName", "serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"):
        if field in old["spec"]:
            pod.setdefault("spec", {}).setdefault(field, old["spec"][field])
    token_volume.carry_over(pod.setdefault("spec", {}), old["spec"])


def _namespace_change(namespace: Object, old: Object) -> None:
    namespace["spec"] = old.get("spec", {})


def _deployment_change(deployment: Object, old: Object) -> None:
    """Its annotations are copied to its ReplicaSets: a change of them is one for the controller to see."""
    if deployment["metadata"].get("annotations") != old["metadata"].get("annotations"):
        deployment["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _new_job(job: Object) -> None:
    """Its pods are found by its uid, so that it has one before anything else."""
    job["metadata"]["uid"] = str(uuid.uuid4())
    generate_selector(job)


_CREATIONS: dict[str, Callable[[Object], None]] = {
    "jobs.batch": _new_job,
}
_CHANGES: dict[str, Callable[[Object, Object], None]] = {
    "pods": _pod_change,
    "deployments.apps": _deployment_change,
    "namespaces": _namespace_change,
    "services": carry_over,
}
