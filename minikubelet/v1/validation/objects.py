"""The kinds beside the Pod: mostly their metadata, and the keys of ConfigMaps and Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import FieldError
from minikubelet.v1 import events_v1
from minikubelet.v1.apps import Deployment, ReplicaSet
from minikubelet.v1.batch import Job
from minikubelet.v1.claim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from minikubelet.v1.cluster import Lease, Namespace, ServiceAccount
from minikubelet.v1.config import ConfigMap, Secret
from minikubelet.v1.endpoint_slice import EndpointSlice
from minikubelet.v1.endpoints import Endpoints
from minikubelet.v1.event import Event
from minikubelet.v1.meta import ObjectMeta, Resource
from minikubelet.v1.node import Node, NodeSpec
from minikubelet.v1.pod import Pod, PodTemplate
from minikubelet.v1.priority_class import PriorityClass
from minikubelet.v1.quantity import parse
from minikubelet.v1.service import Service
from minikubelet.v1.validation.apps import (
    deployment_errors,
    deployment_update_errors,
    replica_set_errors,
    replica_set_update_errors,
)
from minikubelet.v1.validation.batch import job_errors, job_update_errors
from minikubelet.v1.validation.events import event_errors, event_v1_update_errors, new_event_v1_errors
from minikubelet.v1.validation.field import (
    IMMUTABLE,
    POSITIVE,
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    one_of,
    required,
    too_long,
    unsupported,
)
from minikubelet.v1.validation.metadata import (
    NameRule,
    label_selector_errors,
    metadata_errors,
    metadata_update_errors,
)
from minikubelet.v1.validation.names import (
    config_key,
    dns_label,
    dns_label_1035,
    dns_subdomain,
    label_value,
    qualified_name,
)
from minikubelet.v1.validation.pod import pod_errors
from minikubelet.v1.validation.priority import priority_class_errors, priority_class_update_errors
from minikubelet.v1.validation.service import (
    endpoint_slice_errors,
    endpoint_slice_update_errors,
    endpoints_errors,
    service_errors,
    service_update_errors,
)
from minikubelet.v1.validation.templates import pod_template_errors
from minikubelet.v1.validation.update import pod_update_errors

MAX_DATA = 1024 * 1024  # bytes of all values of a ConfigMap or Secret
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# Keys that a Secret of a type must have.
SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
DOCKER_CONFIGS = (".dockerconfigjson", ".dockercfg")


def errors_of(object_: Resource) -> Errors:
    """What is wrong with a new object, of any kind."""
    if isinstance(object_, Pod):
        yield from pod_errors(object_)  # with its metadata
        return
    yield from _standing_errors(object_)
    yield from RULES[type(object_)].create(object_)


def update_errors_of(new: Resource, old: Resource) -> Errors:
    """What is wrong with putting one object in the place of another."""
    if isinstance(new, Pod) and isinstance(old, Pod):
        yield from pod_update_errors(new, old)
        return
    yield from metadata_update_errors(new.metadata or ObjectMeta(), old.metadata or ObjectMeta())
    yield from _standing_errors(new)
    yield from RULES[type(new)].update(new, old)


def _standing_errors(object_: Resource) -> Errors:
    """What must hold at any time."""
    rules = RULES[type(object_)]
    meta = object_.metadata or ObjectMeta()
    yield from metadata_errors(meta, namespaced=rules.namespaced, name_rule=rules.name)
    yield from rules.body(object_)


def _config_map(config: ConfigMap) -> Errors:
    data, binary = config.data or {}, config.binary_data or {}
    for key in data:
        yield from each_invalid(f"data[{key}]", key, config_key(key))
        if key in binary:
            detail = f'duplicate of key present in binaryData: "{key}"'
            yield invalid(f"data[{key}]", key, detail)
    for key in binary:
        yield from each_invalid(f"binaryData[{key}]", key, config_key(key))
    size = sum(len(value.encode()) for value in data.values()) + sum(map(_decoded_size, binary.values()))
    if size > MAX_DATA:
        yield too_long("", MAX_DATA)


def _secret(secret: Secret) -> Errors:
    data = secret.data or {}
    for key in data:
        yield from each_invalid(f"data[{key}]", key, config_key(key))
    if sum(map(_decoded_size, data.values())) > MAX_DATA:
        yield too_long("data", MAX_DATA)
    for key in SECRET_KEYS.get(secret.type or "", ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif key in DOCKER_CONFIGS and not _is_json_object(data[key]):
            yield invalid(f"data[{key}]", "<secret contents redacted>", "must be a JSON object")


def _secret_update(new: Secret, old: Secret) -> Errors:
    yield from _immutable(new, old)
    if new.type != old.type:
        yield invalid("type", new.type, IMMUTABLE)


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(json.loads(base64.b64decode(value)), dict)
    except (ValueError, RecursionError):
        return False


def _decoded_size(value: str) -> int:
    return len(base64.b64decode(value))


def _immutable(new: ConfigMap | Secret, old: ConfigMap | Secret) -> Errors:
    if not old.immutable:
        return
    if not new.immutable:
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    if new.data != old.data:
        yield forbidden("data", "field is immutable when `immutable` is set")
    if isinstance(new, ConfigMap) and isinstance(old, ConfigMap) and new.binary_data != old.binary_data:
        yield forbidden("binaryData", "field is immutable when `immutable` is set")


def _taints(node: Node) -> Errors:
    seen: set[tuple[str | None, str | None]] = set()
    for index, taint in enumerate((node.spec.taints if node.spec else None) or ()):
        path = f"spec.taints[{index}]"
        yield from each_invalid(f"{path}.key", taint.key or "", qualified_name(taint.key or ""))
        problems = label_value(taint.value or "")
        if problems:
            yield invalid(f"{path}.value", taint.value, ";".join(problems))
        yield from one_of(f"{path}.effect", taint.effect, TAINT_EFFECTS)
        if (taint.key, taint.effect) in seen:
            twice = duplicate(path, taint)
            detail = f"{twice.message}: taints must be unique by key and effect pair"
            yield FieldError(twice.path, twice.type, detail)
        seen.add((taint.key, taint.effect))


def _node_update(new: Node, old: Node) -> Errors:
    """What a node is, is not changed: it registers with it."""
    spec, before = new.spec or NodeSpec(), old.spec or NodeSpec()
    if before.pod_cidrs and spec.pod_cidrs != before.pod_cidrs:
        detail = 'node updates may not change podCIDR except from "" to valid'
        yield forbidden("spec.podCIDRs", detail)
    if before.provider_id and spec.provider_id != before.provider_id:
        detail = 'node updates may not change providerID except from "" to valid'
        yield forbidden("spec.providerID", detail)


def _claim(claim: PersistentVolumeClaim) -> Errors:
    spec = claim.spec or PersistentVolumeClaimSpec()
    if not spec.access_modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    yield from label_selector_errors("spec.selector", spec.selector)
    for mode in spec.access_modes or ():
        if mode not in ACCESS_MODES:
            yield unsupported("spec.accessModes", mode, ACCESS_MODES)
    storage = ((spec.resources.requests if spec.resources else None) or {}).get("storage")
    if storage is None:
        yield required("spec.resources[storage]")
    elif parse(storage).nanos <= 0:
        yield invalid("spec.resources[storage]", storage, POSITIVE)
    if spec.volume_mode is not None and spec.volume_mode not in ("Block", "Filesystem"):
        yield unsupported("spec.volumeMode", spec.volume_mode, ("Block", "Filesystem"))


def _lease(lease: Lease) -> Errors:
    if lease.spec is None:
        return
    duration, transitions = lease.spec.lease_duration_seconds, lease.spec.lease_transitions
    if duration is not None and duration <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if transitions is not None and transitions < 0:
        yield invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _nothing_more(*_: Resource) -> Errors:
    yield from ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a kind beside its metadata: at any time, for a change (new, old), for its names, and for
    a new object only.
    """

    body: Callable[[Any], Errors] = _nothing_more
    update: Callable[[Any, Any], Errors] = _nothing_more
    name: NameRule = dns_subdomain
    namespaced: bool = True
    create: Callable[[Any], Errors] = _nothing_more


RULES: dict[type[Resource], Rules] = {
    ConfigMap: Rules(_config_map, _immutable),
    Secret: Rules(_secret, _secret_update),
    Event: Rules(event_errors),
    events_v1.Event: Rules(update=event_v1_update_errors, create=new_event_v1_errors),
    PersistentVolumeClaim: Rules(_claim),
    ServiceAccount: Rules(),
    Lease: Rules(_lease),
    Service: Rules(service_errors, service_update_errors, name=dns_label_1035),
    Endpoints: Rules(endpoints_errors),
    EndpointSlice: Rules(endpoint_slice_errors, endpoint_slice_update_errors),
    Namespace: Rules(name=dns_label, namespaced=False),
    PodTemplate: Rules(pod_template_errors),
    ReplicaSet: Rules(replica_set_errors, replica_set_update_errors),
    Deployment: Rules(deployment_errors, deployment_update_errors),
    Job: Rules(job_errors, job_update_errors),
    Node: Rules(_taints, _node_update, namespaced=False),
    PriorityClass: Rules(priority_class_errors, priority_class_update_errors, namespaced=False),
}
