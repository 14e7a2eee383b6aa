"""Containers: regular, init and ephemeral ones (V6–V12, V17–V23, V64–V70, V78)."""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.v1.container import (
    Container,
    ContainerPort,
    ContainerRestartRule,
    EphemeralContainer,
    ResourceRequirements,
)
from minikubelet.v1.pod import PodSpec
from minikubelet.v1.validation.env import env_errors, env_from_errors
from minikubelet.v1.validation.field import (
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    one_of,
    required,
    too_many,
    unsupported,
)
from minikubelet.v1.validation.mounts import device_errors, mount_errors
from minikubelet.v1.validation.names import dns_label, ip_address, port_name, port_number
from minikubelet.v1.validation.probe import lifecycle_errors, liveness_errors, readiness_errors
from minikubelet.v1.validation.resources import resource_errors
from minikubelet.v1.validation.security import container_security_errors
from minikubelet.v1.validation.volume import Volumes

AnyContainer = Container | EphemeralContainer

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROTOCOLS = ("SCTP", "TCP", "UDP")
RESIZE_RESOURCES = ("cpu", "memory")
RESIZE_POLICIES = ("NotRequired", "RestartContainer")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
RESTART_ACTIONS = ("Restart", "RestartAllContainers")
EXIT_CODE_OPERATORS = ("In", "NotIn")
INIT_ONLY_WITH_ALWAYS = "may not be set for init containers without restartPolicy=Always"
NOT_FOR_EPHEMERAL = "cannot be set for an Ephemeral Container"
# JSON name → attribute, in the order of the type.
NOT_IN_EPHEMERAL = {
    "ports": "ports",
    "resources": "resources",
    "resizePolicy": "resize_policy",
    "restartPolicy": "restart_policy",
    "restartPolicyRules": "restart_policy_rules",
    "livenessProbe": "liveness_probe",
    "readinessProbe": "readiness_probe",
    "startupProbe": "startup_probe",
    "lifecycle": "lifecycle",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's fields are checked against."""

    spec: PodSpec
    volumes: Volumes

    @property
    def claims(self) -> frozenset[str]:
        return frozenset(claim.name for claim in self.spec.resource_claims or () if claim.name)

    @property
    def host_users(self) -> bool:
        return self.spec.host_users is not False


def regular_container_errors(around: Surroundings) -> Errors:
    """`spec.containers`."""
    path, containers = "spec.containers", around.spec.containers or []
    if not containers:
        yield required(path)
    names: set[str | None] = set()
    for index, container in enumerate(containers):
        here = f"{path}[{index}]"
        yield from _common(here, container, around)
        if container.name in names:
            yield duplicate(f"{here}.name", container.name or "")
        names.add(container.name)
        yield from _hooks_and_probes(here, container, around)
        yield from _restart_policy(here, container)
    yield from _host_port_conflicts(path, containers, set())


def init_container_errors(around: Surroundings) -> Errors:
    """`spec.initContainers`: names are shared with the regular ones; only sidecars have probes and hooks."""
    path = "spec.initContainers"
    names = {container.name for container in around.spec.containers or ()}
    for index, container in enumerate(around.spec.init_containers or ()):
        here = f"{path}[{index}]"
        yield from _common(here, container, around)
        yield from _restart_policy(here, container)
        if container.name in names:
            yield duplicate(f"{here}.name", container.name or "")
        elif container.name:
            names.add(container.name)
        # Init containers run one by one, so each is only checked against itself.
        yield from _host_port_conflicts(here, [container], set(), indexed=False)
        if container.restart_policy == "Always":
            yield from _hooks_and_probes(here, container, around)
        else:
            yield from _no_hooks_and_probes(here, container)


def ephemeral_container_errors(around: Surroundings) -> Errors:
    """`spec.ephemeralContainers`: made to look around, so they have nothing a workload would need."""
    path = "spec.ephemeralContainers"
    others = {c.name for c in (*(around.spec.containers or ()), *(around.spec.init_containers or ()))}
    names = set(others)
    for index, container in enumerate(around.spec.ephemeral_containers or ()):
        here = f"{path}[{index}]"
        yield from _common(here, container, around)
        yield from image_whitespace_errors(here, container)
        if container.name in names:
            yield duplicate(f"{here}.name", container.name or "")
        names.add(container.name)
        target = container.target_container_name
        if target and target not in others:
            yield not_found(f"{here}.targetContainerName", target)
        for name, attribute in NOT_IN_EPHEMERAL.items():
            # kubectl debug writes `resources: {}`, which is as good as nothing.
            if getattr(container, attribute) not in (None, ResourceRequirements()):
                yield forbidden(f"{here}.{name}", NOT_FOR_EPHEMERAL)
        for number, mount in enumerate(container.volume_mounts or ()):
            if mount.sub_path:
                yield forbidden(f"{here}.volumeMounts[{number}].subPath", NOT_FOR_EPHEMERAL)
            if mount.sub_path_expr:
                yield forbidden(f"{here}.volumeMounts[{number}].subPathExpr", NOT_FOR_EPHEMERAL)


def image_whitespace_errors(path: str, container: AnyContainer) -> Errors:
    """Only for pods, not for templates of pods; therefore apart."""
    image = container.image or ""
    if image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _common(path: str, container: AnyContainer, around: Surroundings) -> Errors:
    """What every container has, in the order of the API server."""
    if not container.name:
        yield required(f"{path}.name")
    else:
        yield from each_invalid(f"{path}.name", container.name, dns_label(container.name))
    if not container.image:
        yield required(f"{path}.image")
    yield from one_of(
        f"{path}.terminationMessagePolicy", container.termination_message_policy, MESSAGE_POLICIES
    )
    yield from _ports(f"{path}.ports", container.ports)
    yield from env_errors(f"{path}.env", container.env)
    yield from env_from_errors(f"{path}.envFrom", container.env_from)
    yield from mount_errors(f"{path}.volumeMounts", container, around.volumes)
    yield from device_errors(f"{path}.volumeDevices", container, around.volumes)
    yield from one_of(f"{path}.imagePullPolicy", container.image_pull_policy, PULL_POLICIES)
    yield from resource_errors(f"{path}.resources", container.resources, around.claims)
    yield from _resize_policy(f"{path}.resizePolicy", container, around)
    yield from container_security_errors(
        f"{path}.securityContext", container.security_context, host_users=around.host_users
    )


def _ports(path: str, ports: list[ContainerPort] | None) -> Errors:
    names: set[str] = set()
    for index, port in enumerate(ports or ()):
        here = f"{path}[{index}]"
        if port.name:
            problems = port_name(port.name)
            yield from each_invalid(f"{here}.name", port.name, problems)
            if not problems and port.name in names:
                yield duplicate(f"{here}.name", port.name)
            names.add(port.name)
        if not port.container_port:
            yield required(f"{here}.containerPort")
        else:
            yield from each_invalid(
                f"{here}.containerPort", port.container_port, port_number(port.container_port)
            )
        if port.host_port:
            yield from each_invalid(f"{here}.hostPort", port.host_port, port_number(port.host_port))
        yield from one_of(f"{here}.protocol", port.protocol, PROTOCOLS)
        if port.host_ip:
            yield from each_invalid(f"{here}.hostIP", port.host_ip, ip_address(port.host_ip))


def _host_port_conflicts(
    path: str, containers: list[Container], taken: set[str], *, indexed: bool = True
) -> Errors:
    for index, container in enumerate(containers):
        here = f"{path}[{index}]" if indexed else path
        for number, port in enumerate(container.ports or ()):
            if not port.host_port:
                continue
            key = f"{port.protocol or ''}/{port.host_ip or ''}/{port.host_port}"
            if key in taken:
                yield duplicate(f"{here}.ports[{number}].hostPort", key)
            taken.add(key)


def _hooks_and_probes(path: str, container: Container, around: Surroundings) -> Errors:
    grace = around.spec.termination_grace_period_seconds
    yield from lifecycle_errors(f"{path}.lifecycle", container.lifecycle, grace, around.spec.os)
    yield from liveness_errors(f"{path}.livenessProbe", container.liveness_probe, grace)
    yield from readiness_errors(f"{path}.readinessProbe", container.readiness_probe, grace)
    yield from liveness_errors(f"{path}.startupProbe", container.startup_probe, grace)


def _no_hooks_and_probes(path: str, container: Container) -> Errors:
    for name, value in (
        ("lifecycle", container.lifecycle),
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if value is not None:
            yield forbidden(f"{path}.{name}", INIT_ONLY_WITH_ALWAYS)


def _resize_policy(path: str, container: AnyContainer, around: Surroundings) -> Errors:
    seen: set[str] = set()
    never = around.spec.restart_policy == "Never"
    for index, policy in enumerate(container.resize_policy or ()):
        name, restart = policy.resource_name or "", policy.restart_policy or ""
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)
        yield from one_of(path, name, RESIZE_RESOURCES)
        yield from one_of(path, restart, RESIZE_POLICIES)
        if never and restart != "NotRequired":
            yield invalid(path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")
        if _is_plain_init(container, around.spec) and restart == "RestartContainer":
            detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
            yield invalid(f"{path}[{index}].restartPolicy", restart, detail)


def _is_plain_init(container: AnyContainer, spec: PodSpec) -> bool:
    is_init = any(container is other for other in spec.init_containers or ())
    return is_init and container.restart_policy != "Always"


def _restart_policy(path: str, container: Container) -> Errors:
    """A container's own restart policy, and the rules that refine it."""
    rules = container.restart_policy_rules or []
    if container.restart_policy is None:
        if rules:
            detail = "must specify restartPolicy when restart rules are used"
            yield required(f"{path}.restartPolicy", detail)
    elif container.restart_policy not in RESTART_POLICIES:
        yield unsupported(f"{path}.restartPolicy", container.restart_policy, RESTART_POLICIES)
    if len(rules) > 20:
        yield too_many(f"{path}.restartPolicyRules", len(rules), 20)
    for index, rule in enumerate(rules):
        yield from _restart_rule(f"{path}.restartPolicyRules[{index}]", rule)


def _restart_rule(path: str, rule: ContainerRestartRule) -> Errors:
    if rule.action not in RESTART_ACTIONS:
        yield unsupported(f"{path}.action", rule.action or "", RESTART_ACTIONS)
    codes = rule.exit_codes
    if codes is None:
        yield required(f"{path}.exitCodes", "must be specified")
        return
    if codes.operator not in EXIT_CODE_OPERATORS:
        yield unsupported(f"{path}.exitCodes.operator", codes.operator or "", EXIT_CODE_OPERATORS)
    if len(codes.values or ()) > 255:
        yield too_many(f"{path}.exitCodes.values", len(codes.values or ()), 255)
