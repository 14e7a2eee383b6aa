"""What the API server fills in for pods and for the templates of pods (kubelet-behaviour 8.4)."""

from __future__ import annotations

from collections.abc import Iterator

from minikubelet.v1.claim import PersistentVolumeClaimSpec
from minikubelet.v1.container import (
    Container,
    ContainerResizePolicy,
    EphemeralContainer,
    ResourceRequirements,
)
from minikubelet.v1.env import EnvVar, ObjectFieldSelector
from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import Pod, PodSpec, PodTemplateSpec
from minikubelet.v1.probe import HTTPGetAction, Probe
from minikubelet.v1.qos import HUGE_PAGES, POD_LEVEL, aggregate_containers, limited, requested
from minikubelet.v1.quantity import canonical, parse
from minikubelet.v1.security import PodSecurityContext
from minikubelet.v1.volume import EmptyDirVolumeSource, ProjectedVolumeSource, Volume

DEFAULT_MODE = 0o644

AnyContainer = Container | EphemeralContainer


def pod_defaults(pod: Pod) -> None:
    """Of a pod; some of it a template does not get."""
    spec = pod.spec = pod.spec or PodSpec()
    pod_spec_defaults(spec)
    if spec.enable_service_links is None:
        spec.enable_service_links = True
    for container in all_containers(spec):
        if spec.host_network:
            _host_ports(container)
        if container.resources is not None:
            _container_requests(container, container.resources)
    if spec.resources is not None:
        _pod_resources(spec, spec.resources)


def template_defaults(template: PodTemplateSpec | None) -> PodTemplateSpec:
    """Of a pod that is to be made later: what depends on the whole pod is left to its making."""
    template = template or PodTemplateSpec()
    template.metadata = template.metadata or ObjectMeta()
    template.spec = template.spec or PodSpec()
    pod_spec_defaults(template.spec)
    return template


def pod_spec_defaults(spec: PodSpec) -> None:
    """What pods and templates share."""
    spec.restart_policy = spec.restart_policy or "Always"
    spec.dns_policy = spec.dns_policy or "ClusterFirst"
    spec.scheduler_name = spec.scheduler_name or "default-scheduler"
    if spec.termination_grace_period_seconds is None:
        spec.termination_grace_period_seconds = 30
    if spec.security_context is None:
        spec.security_context = PodSecurityContext()
    for container in all_containers(spec):
        _container(container)
    for volume in spec.volumes or ():
        _volume(volume)
    if spec.overhead:
        spec.overhead = resource_list(spec.overhead)
    if spec.resources is not None:
        _canonical(spec.resources)


def all_containers(spec: PodSpec) -> Iterator[AnyContainer]:
    """Init, regular and ephemeral containers, in this order."""
    yield from spec.init_containers or ()
    yield from spec.containers or ()
    yield from spec.ephemeral_containers or ()


def _container(container: AnyContainer) -> None:
    container.image_pull_policy = container.image_pull_policy or pull_policy(container.image or "")
    container.termination_message_path = container.termination_message_path or "/dev/termination-log"
    container.termination_message_policy = container.termination_message_policy or "File"
    for port in container.ports or ():
        port.protocol = port.protocol or "TCP"
    for variable in container.env or ():
        _variable(variable)
    if container.resources is not None:
        _canonical(container.resources)
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


def _host_ports(container: AnyContainer) -> None:
    """On the node's own network a container port is the node's."""
    for port in container.ports or ():
        port.host_port = port.host_port or port.container_port


def _canonical(resources: ResourceRequirements) -> None:
    if resources.limits is not None:
        resources.limits = resource_list(resources.limits)
    if resources.requests is not None:
        resources.requests = resource_list(resources.requests)


def _container_requests(container: AnyContainer, resources: ResourceRequirements) -> None:
    """Who sets only a limit is promised that much."""
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
    for name, amount in aggregate_containers(spec, limited).items():
        if name.startswith(HUGE_PAGES):
            resources.limits = {name: str(amount), **(resources.limits or {})}
    if not resources.limits:
        return
    sums = aggregate_containers(spec, requested)
    of_containers = {name: str(amount) for name, amount in sums.items() if name in POD_LEVEL}
    resources.requests = {**resources.limits, **of_containers, **(resources.requests or {})}


def resource_list(resources: dict[str, str]) -> dict[str, str]:
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
        claim_spec_defaults(volume.ephemeral.volume_claim_template.spec)


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


def claim_spec_defaults(spec: PersistentVolumeClaimSpec | None) -> None:
    """Of a claim, and of the template of one in a volume."""
    if spec is None:
        return
    spec.volume_mode = spec.volume_mode or "Filesystem"
    if spec.resources is not None and spec.resources.requests:
        spec.resources.requests = resource_list(spec.resources.requests)
    if spec.resources is not None and spec.resources.limits:
        spec.resources.limits = resource_list(spec.resources.limits)
