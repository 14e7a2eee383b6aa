"""What the API server fills in before it validates (kubelet-behaviour 8.4, 7.3).

`set_defaults` does what the types' own defaulting does, for any kind; `admit_pod` what admission adds to a
new pod and the strategy that creates it. A static pod gets the first and not the second. All of it changes
the struct in place and is safe to repeat: defaulting twice is defaulting once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from minikubelet.v1.apps import Deployment, ReplicaSet
from minikubelet.v1.batch import Job
from minikubelet.v1.claim import PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus
from minikubelet.v1.cluster import Namespace, NamespaceSpec, NamespaceStatus
from minikubelet.v1.config import Secret
from minikubelet.v1.endpoints import Endpoints
from minikubelet.v1.meta import ObjectMeta, Resource
from minikubelet.v1.pod import Pod, PodSpec, PodTemplate
from minikubelet.v1.pod_defaults import claim_spec_defaults, pod_defaults
from minikubelet.v1.priority_class import PREEMPT, PriorityClass
from minikubelet.v1.qos import qos_class
from minikubelet.v1.scheduling import Toleration
from minikubelet.v1.service import Service
from minikubelet.v1.service_defaults import endpoints_defaults, service_defaults
from minikubelet.v1.status import PodCondition, PodStatus
from minikubelet.v1.workload_defaults import (
    deployment_defaults,
    job_defaults,
    pod_template_defaults,
    replica_set_defaults,
)

MIRROR = "kubernetes.io/config.mirror"  # shows a static pod, which has no account
TOLERATION_SECONDS = 300
PRESSURE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def set_defaults(object_: Resource) -> None:
    """Fill in what the kind's defaulting fills in."""
    if object_.metadata is None:
        object_.metadata = ObjectMeta()
    if type(object_) in DEFAULTS:
        DEFAULTS[type(object_)](object_)


def admit_pod(pod: Pod) -> None:
    """Service account, priority, tolerations, and the status a new pod starts with."""
    assert pod.spec is not None
    spec = pod.spec
    if MIRROR not in ((pod.metadata and pod.metadata.annotations) or {}):
        spec.service_account_name = spec.service_account_name or spec.service_account or "default"
        spec.service_account = spec.service_account_name
    spec.priority = spec.priority or 0
    spec.preemption_policy = spec.preemption_policy or PREEMPT
    spec.tolerations = [*(spec.tolerations or []), *_missing_tolerations(spec)]
    pod.status = PodStatus(phase="Pending", qos_class=qos_class(pod), conditions=_gated(spec))


def _gated(spec: PodSpec) -> list[PodCondition] | None:
    """A pod with scheduling gates says from the start why nobody places it."""
    if not spec.scheduling_gates:
        return None
    text = "Scheduling is blocked due to non-empty scheduling gates"
    return [PodCondition(type="PodScheduled", status="False", reason="SchedulingGated", message=text)]


def _missing_tolerations(spec: PodSpec) -> list[Toleration]:
    """A pod outlives five minutes of a node that is not ready, unless it says otherwise."""
    tolerated = spec.tolerations or []
    return [
        Toleration(key=taint, operator="Exists", effect="NoExecute", toleration_seconds=TOLERATION_SECONDS)
        for taint in PRESSURE_TAINTS
        if not any(t.key in (taint, None, "") and t.effect in ("NoExecute", None, "") for t in tolerated)
    ]


# Other kinds


def _secret(secret: Secret) -> None:
    """`stringData` is a way to write, never stored."""
    secret.type = secret.type or "Opaque"
    if secret.string_data:
        written = {
            key: base64.b64encode(value.encode()).decode() for key, value in secret.string_data.items()
        }
        secret.data = {**(secret.data or {}), **written}
    secret.string_data = None


def _namespace(namespace: Namespace) -> None:
    assert namespace.metadata is not None
    if namespace.metadata.name:
        labels = namespace.metadata.labels or {}
        namespace.metadata.labels = {**labels, "kubernetes.io/metadata.name": namespace.metadata.name}
    namespace.spec = namespace.spec or NamespaceSpec()
    namespace.spec.finalizers = namespace.spec.finalizers or ["kubernetes"]  # until it is empty
    namespace.status = namespace.status or NamespaceStatus()
    namespace.status.phase = namespace.status.phase or "Active"


def _claim(claim: PersistentVolumeClaim) -> None:
    claim.spec = claim.spec or PersistentVolumeClaimSpec()
    claim_spec_defaults(claim.spec)
    claim.status = claim.status or PersistentVolumeClaimStatus()
    claim.status.phase = claim.status.phase or "Pending"


def _priority_class(priority: PriorityClass) -> None:
    priority.preemption_policy = priority.preemption_policy or PREEMPT


DEFAULTS: dict[type[Resource], Callable[[Any], None]] = {
    Pod: pod_defaults,
    Secret: _secret,
    Namespace: _namespace,
    PersistentVolumeClaim: _claim,
    PriorityClass: _priority_class,
    PodTemplate: pod_template_defaults,
    ReplicaSet: replica_set_defaults,
    Deployment: deployment_defaults,
    Job: job_defaults,
    Service: service_defaults,
    Endpoints: endpoints_defaults,
}
