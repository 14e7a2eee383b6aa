"""What the API server fills in before it validates (kubelet-behaviour 8.4, 7.3).

`set_defaults` does what the types' own defaulting does, for any kind; `admit_pod` what admission adds to a
new pod and the strategy that creates it. A static pod gets the first and not the second. All of it changes
the struct in place and is safe to repeat: defaulting twice is defaulting once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from minikubelet.v1.claim import PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus
from minikubelet.v1.cluster import Namespace, NamespaceSpec, NamespaceStatus
from minikubelet.v1.config import Secret
from minikubelet.v1.container import (
    Container,
    ContainerResizePolicy,
    EphemeralContainer,
    ResourceRequirements,
)
from minikubelet.v1.env import EnvVar, ObjectFieldSelector
from minikubelet.v1.meta import ObjectMeta, Resource
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.priority_class import PREEMPT, PriorityClass
from minikubelet.v1.probe import HTTPGetAction, Probe
from minikubelet.v1.qos import HUGE_PAGES, POD_LEVEL, aggregate_containers, limited, qos_class, requested
from minikubelet.v1.quantity import canonical, parse
from minikubelet.v1.scheduling import Toleration
from minikubelet.v1.security import PodSecurityContext
from minikubelet.v1.status import PodCondition, PodStatus
from minikubelet.v1.volume import EmptyDirVolumeSource, ProjectedVolumeSource, Volume

DEFAULT_MODE = 0o644
MIRROR = "kubernetes.io/config.mirror"  # shows a static pod, which has no account
TOLERATION_SECONDS = 300
PRESSURE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

AnyContainer = Container | EphemeralContainer


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


# Pod


def _pod(pod: Pod) -> None:
    spec = pod.spec = pod.spec or PodSpec()
    spec.restart_policy = spec.restart_policy or "Always"
    spec.dns_policy = spec.dns_policy or "ClusterFirst"
    spec.scheduler_name = spec.scheduler_name or "default-scheduler"
    if spec.termination_grace_period_seconds is None:
        spec.termination_grace_period_seconds = 30
    if spec.enable_service_links is None:
        spec.enable_service_links = True
    if spec.security_context is None:
        spec.security_context = PodSecurityContext()
    for container in all_containers(spec):
        _container(container, host_network=bool(spec.host_network))
    for volume in spec.volumes or ():
        _volume(volume)
    if spec.overhead:
        spec.overhead = _resource_list(spec.overhead)
    if spec.resources is not None:
        _pod_resources(spec, spec.resources)


def all_containers(spec: PodSpec) -> Iterator[AnyContainer]:
    """Init, regular and ephemeral containers, in this order."""
    yield from spec.init_containers or ()
    yield from spec.containers or ()
    yield from spec.ephemeral_containers or ()


def _container(container: AnyContainer, *, host_network: bool) -> None:
    container.image_pull_policy = container.image_pull_policy or pull_policy(container.image or "")
    container.termination_message_path = container.termination_message_path or "/dev/termination-log"
    container.termination_message_policy = container.termination_message_policy or "File"
    for port in container.ports or ():
        port.protocol = port.protocol or "TCP"
        if host_network and not port.host_port:
            port.host_port = port.container_port
    for variable in container.env or ():
        _variable(variable)
    if container.resources is not None:
        _container_resources(container, container.resources)
    for probe in (container.liveness_probe, container.readiness_probe, container.startup_probe):
        if probe is not None:
            _probe(probe)
    _hooks(container)


def pull_policy(image: str) -> str:
    """A name that may mean another image tomorrow (latest, or no tag and digest) is pulled each time."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    moving = tag == "latest" or (not tag and not digest)
    return "Always" if moving else "IfNotPresent"


def _variable(variable: EnvVar) -> None:
    source = variable.value_from
    if source is None:
        return
    _field_ref(source.field_ref)
    if source.resource_field_ref is not None and source.resource_field_ref.divisor:
        source.resource_field_ref.divisor = canonical(source.resource_field_ref.divisor)
    if source.file_key_ref is not None and source.file_key_ref.optional is None:
        source.file_key_ref.optional = False


def _field_ref(selector: ObjectFieldSelector | None) -> None:
    if selector is not None:
        selector.api_version = selector.api_version or "v1"


def _container_resources(container: AnyContainer, resources: ResourceRequirements) -> None:
    """Who sets only a limit is promised that much."""
    if resources.limits is not None:
        resources.limits = _resource_list(resources.limits)
    if resources.requests is not None:
        resources.requests = _resource_list(resources.requests)
    if resources.limits:
        resources.requests = {**resources.limits, **(resources.requests or {})}
    if isinstance(container, Container):
        _resize_policy(container, resources)


def _resize_policy(container: Container, resources: ResourceRequirements) -> None:
    chosen = {policy.resource_name for policy in container.resize_policy or ()}
    missing = [
        ContainerResizePolicy(resource_name=name, restart_policy="NotRequired")
        for name in ("cpu", "memory")
        if name in (resources.requests or {}) and name not in chosen
    ]
    if missing:
        container.resize_policy = [*(container.resize_policy or []), *missing]


def _pod_resources(spec: PodSpec, resources: ResourceRequirements) -> None:
    """Of a pod with limits, a missing request is the containers' sum, or else the limit. Huge pages, which
    are limited as they are asked for, have the containers' sum for a limit.
    """
    if resources.limits is not None:
        resources.limits = _resource_list(resources.limits)
    if resources.requests is not None:
        resources.requests = _resource_list(resources.requests)
    for name, amount in aggregate_containers(spec, limited).items():
        if name.startswith(HUGE_PAGES):
            resources.limits = {name: str(amount), **(resources.limits or {})}
    if not resources.limits:
        return
    sums = aggregate_containers(spec, requested)
    of_containers = {name: str(amount) for name, amount in sums.items() if name in POD_LEVEL}
    resources.requests = {**resources.limits, **of_containers, **(resources.requests or {})}


def _resource_list(resources: dict[str, str]) -> dict[str, str]:
    """Canonical texts, rounded up to thousandths."""
    return {name: str(parse(text).rounded_to_milli()) for name, text in resources.items()}


def _probe(probe: Probe) -> None:
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.period_seconds = probe.period_seconds or 10
    probe.success_threshold = probe.success_threshold or 1
    probe.failure_threshold = probe.failure_threshold or 3
    _http_get(probe.http_get)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _http_get(action: HTTPGetAction | None) -> None:
    if action is not None:
        action.path = action.path or "/"
        action.scheme = action.scheme or "HTTP"


def _hooks(container: AnyContainer) -> None:
    if container.lifecycle is not None:
        for hook in (container.lifecycle.post_start, container.lifecycle.pre_stop):
            if hook is not None:
                _http_get(hook.http_get)


def _volume(volume: Volume) -> None:
    if is_without_source(volume):
        volume.empty_dir = EmptyDirVolumeSource()
    if volume.empty_dir is not None and volume.empty_dir.size_limit:
        volume.empty_dir.size_limit = canonical(volume.empty_dir.size_limit)
    for source in (volume.secret, volume.config_map, volume.downward_api, volume.projected):
        if source is not None and source.default_mode is None:
            source.default_mode = DEFAULT_MODE
    if volume.host_path is not None and volume.host_path.type is None:
        volume.host_path.type = ""
    if volume.downward_api is not None:
        for item in volume.downward_api.items or ():
            _field_ref(item.field_ref)
    if volume.projected is not None:
        _projected(volume.projected)
    if volume.image is not None:
        volume.image.pull_policy = volume.image.pull_policy or pull_policy(volume.image.reference or "")
    if volume.ephemeral is not None and volume.ephemeral.volume_claim_template is not None:
        _claim_spec(volume.ephemeral.volume_claim_template.spec)


def is_without_source(volume: Volume) -> bool:
    """Nothing but a name."""
    return all(getattr(volume, name) is None for name in volume.__struct_fields__ if name != "name")


def _projected(projected: ProjectedVolumeSource) -> None:
    for source in projected.sources or ():
        if source.downward_api is not None:
            for item in source.downward_api.items or ():
                _field_ref(item.field_ref)
        if source.service_account_token is not None:
            token = source.service_account_token
            token.expiration_seconds = token.expiration_seconds or 3600


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
    namespace.spec = namespace.spec or NamespaceSpec(finalizers=["kubernetes"])
    namespace.status = namespace.status or NamespaceStatus()
    namespace.status.phase = namespace.status.phase or "Active"


def _claim(claim: PersistentVolumeClaim) -> None:
    claim.spec = claim.spec or PersistentVolumeClaimSpec()
    _claim_spec(claim.spec)
    claim.status = claim.status or PersistentVolumeClaimStatus()
    claim.status.phase = claim.status.phase or "Pending"


def _priority_class(priority: PriorityClass) -> None:
    priority.preemption_policy = priority.preemption_policy or PREEMPT


def _claim_spec(spec: PersistentVolumeClaimSpec | None) -> None:
    if spec is None:
        return
    spec.volume_mode = spec.volume_mode or "Filesystem"
    if spec.resources is not None and spec.resources.requests:
        spec.resources.requests = _resource_list(spec.resources.requests)
    if spec.resources is not None and spec.resources.limits:
        spec.resources.limits = _resource_list(spec.resources.limits)


DEFAULTS: dict[type[Resource], Callable[[Any], None]] = {
    Pod: _pod,
    Secret: _secret,
    Namespace: _namespace,
    PersistentVolumeClaim: _claim,
    PriorityClass: _priority_class,
}
