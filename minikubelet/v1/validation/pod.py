"""A whole pod (V1–V98), in the order in which the API server lists its errors (kubelet-behaviour 8.3).

`pod_errors` expects a pod with defaults filled in, as the API server validates it: without them, fields such
as restartPolicy are "Required value".
"""

from __future__ import annotations

from minikubelet.v1.container import ResourceRequirements
from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import HostAlias, Pod, PodDNSConfig, PodOS, PodResourceClaim, PodSpec
from minikubelet.v1.probe_options import ProbeOptions
from minikubelet.v1.validation.container import (
    AnyContainer,
    Surroundings,
    ephemeral_container_errors,
    image_whitespace_errors,
    init_container_errors,
    regular_container_errors,
)
from minikubelet.v1.validation.field import (
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    one_of,
    required,
    too_long,
)
from minikubelet.v1.validation.metadata import label_errors, metadata_errors
from minikubelet.v1.validation.names import (
    between,
    dns_label,
    dns_subdomain,
    dns_subdomain_with_underscores,
    ip_address,
)
from minikubelet.v1.validation.resources import pod_resource_errors, resource_errors
from minikubelet.v1.validation.scheduling import (
    affinity_errors,
    readiness_gate_errors,
    scheduling_gate_errors,
    toleration_errors,
    topology_errors,
)
from minikubelet.v1.validation.security import pod_security_errors
from minikubelet.v1.validation.volume import volume_errors

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
SYSTEMS = ("linux", "windows")
MIRROR = "kubernetes.io/config.mirror"
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARACTERS = 3, 32, 2048


def pod_errors(pod: Pod) -> Errors:
    """What is wrong with a new pod."""
    spec = pod.spec or PodSpec()
    yield from pod_body_errors(pod)
    if spec.ephemeral_containers:
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.node_name and spec.scheduling_gates:
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def pod_body_errors(pod: Pod) -> Errors:
    """Metadata and spec, of a new pod or an updated one."""
    meta, spec = pod.metadata or ObjectMeta(), pod.spec or PodSpec()
    yield from metadata_errors(meta)
    if MIRROR in (meta.annotations or {}) and not spec.node_name:
        value = (meta.annotations or {})[MIRROR]
        detail = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid(f"metadata.annotations[{MIRROR}]", value, detail)
    yield from pod_spec_errors(pod)


def pod_spec_errors(pod: Pod) -> Errors:
    """The spec, of a pod or of a template, and the annotations that belong to it."""
    spec = pod.spec or PodSpec()
    for mistake in ProbeOptions.of(pod).mistakes:
        yield invalid(f"metadata.annotations[{mistake.key}]", mistake.value, mistake.detail)
    yield from _spec(spec)
    yield from _tokens_without_account(spec)
    for path, container in _containers(spec):
        yield from image_whitespace_errors(path, container)


def _spec(spec: PodSpec) -> Errors:
    """One line for each part, in the API server's order."""
    if spec.termination_grace_period_seconds is None:
        yield required("spec.terminationGracePeriodSeconds")
    volumes, errors = volume_errors(spec)
    yield from errors
    yield from _resource_claims(spec.resource_claims or [])
    around = Surroundings(spec, volumes)
    yield from regular_container_errors(around)
    yield from init_container_errors(around)
    yield from ephemeral_container_errors(around)
    yield from pod_resource_errors(spec)
    yield from _host_network_ports(spec)
    yield from one_of("spec.restartPolicy", spec.restart_policy, RESTART_POLICIES)
    yield from one_of("spec.dnsPolicy", spec.dns_policy, DNS_POLICIES)
    yield from label_errors("spec.nodeSelector", spec.node_selector)
    yield from pod_security_errors(spec)
    yield from affinity_errors("spec.affinity", spec.affinity)
    yield from _dns_config("spec.dnsConfig", spec)
    yield from readiness_gate_errors("spec.readinessGates", spec.readiness_gates)
    yield from scheduling_gate_errors("spec.schedulingGates", spec.scheduling_gates)
    yield from topology_errors("spec.topologySpreadConstraints", spec.topology_spread_constraints)
    yield from _host_users(spec)
    yield from _hostname_override("spec.hostnameOverride", spec)
    yield from _name("spec.serviceAccountName", spec.service_account_name)
    yield from _name("spec.nodeName", spec.node_name)
    yield from _active_deadline(spec.active_deadline_seconds)
    for path, label in (("spec.hostname", spec.hostname), ("spec.subdomain", spec.subdomain)):
        if label:
            yield from each_invalid(path, label, dns_label(label))
    yield from toleration_errors("spec.tolerations", spec.tolerations)
    yield from _host_aliases(spec.host_aliases or [])
    yield from _name("spec.priorityClassName", spec.priority_class_name)
    yield from _name("spec.runtimeClassName", spec.runtime_class_name)
    if spec.preemption_policy is not None:
        yield from one_of("spec.preemptionPolicy", spec.preemption_policy, PREEMPTION_POLICIES)
    if spec.overhead is not None:
        # The API server borrows the rules of container limits, and their path.
        yield from resource_errors("spec.overhead", ResourceRequirements(limits=spec.overhead))
    yield from _os("spec.os", spec.os)
    yield from _file_key_volumes(spec)


def _name(path: str, name: str | None) -> Errors:
    if name:
        yield from each_invalid(path, name, dns_subdomain(name))


def _active_deadline(seconds: int | None) -> Errors:
    if seconds is not None:
        yield from each_invalid("spec.activeDeadlineSeconds", seconds, between(seconds, 1, 2**31 - 1))


def _containers(spec: PodSpec) -> list[tuple[str, AnyContainer]]:
    """Regular, then init containers, with their paths."""
    return [
        *((f"spec.containers[{index}]", container) for index, container in enumerate(spec.containers or ())),
        *((f"spec.initContainers[{index}]", c) for index, c in enumerate(spec.init_containers or ())),
    ]


def _resource_claims(claims: list[PodResourceClaim]) -> Errors:
    names: set[str] = set()
    for index, claim in enumerate(claims):
        path = f"spec.resourceClaims[{index}]"
        if not claim.name:
            yield required(f"{path}.name")
        elif claim.name in names:
            yield duplicate(f"{path}.name", claim.name)
        else:
            yield from each_invalid(f"{path}.name", claim.name, dns_label(claim.name))
            names.add(claim.name)
        direct, template = claim.resource_claim_name, claim.resource_claim_template_name
        if direct is not None and template is not None:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid(path, claim, detail)
        if direct is None and template is None:
            yield invalid(
                path, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            )
        yield from _name(f"{path}.resourceClaimName", direct)
        yield from _name(f"{path}.resourceClaimTemplateName", template)


def _host_network_ports(spec: PodSpec) -> Errors:
    if not spec.host_network:
        return
    for index, container in enumerate(spec.containers or ()):
        for number, port in enumerate(container.ports or ()):
            if port.host_port != port.container_port:
                path = f"spec.containers[{index}].ports[{number}].hostPort"
                detail = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(path, port.host_port or 0, detail)


def _dns_config(path: str, spec: PodSpec) -> Errors:
    config = spec.dns_config
    if spec.dns_policy == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.nameservers:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", detail)
            return
    if config is not None:
        yield from _nameservers(f"{path}.nameservers", config)
        yield from _searches(f"{path}.searches", config)
        for index, option in enumerate(config.options or ()):
            if not option.name:
                yield required(f"{path}.options[{index}]", "must not be empty")


def _nameservers(path: str, config: PodDNSConfig) -> Errors:
    servers = config.nameservers or []
    if len(servers) > MAX_NAMESERVERS:
        yield invalid(path, servers, f"must not have more than {MAX_NAMESERVERS} nameservers")
    for index, server in enumerate(servers):
        yield from each_invalid(f"{path}[{index}]", server, ip_address(server))


def _searches(path: str, config: PodDNSConfig) -> Errors:
    searches = config.searches or []
    if len(searches) > MAX_SEARCHES:
        yield invalid(path, searches, f"must not have more than {MAX_SEARCHES} search paths")
    if len(" ".join(searches)) > MAX_SEARCH_CHARACTERS:
        limit = f"{MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        yield invalid(path, searches, f"must not have more than {limit}")
    for index, search in enumerate(searches):
        if search != ".":
            domain = search.removesuffix(".")
            yield from each_invalid(f"{path}[{index}]", domain, dns_subdomain_with_underscores(domain))


def _host_users(spec: PodSpec) -> Errors:
    """A user namespace of its own excludes the node's others. The spelling is the API server's."""
    if spec.host_users is not False:
        return
    for name, set_ in (
        ("hostNetwork", spec.host_network),
        ("HostPID", spec.host_pid),
        ("HostIPC", spec.host_ipc),
    ):
        if set_:
            yield forbidden(f"spec.{name}", "when `hostUsers` is false")
    for path, container in _containers(spec):
        if container.volume_devices:
            yield forbidden(f"{path}.volumeDevices", "when `hostUsers` is false")


def _hostname_override(path: str, spec: PodSpec) -> Errors:
    name = spec.hostname_override
    if name is None:
        return
    if spec.set_hostname_as_fqdn:
        yield forbidden(path, "may not be specified when setHostnameAsFQDN is true")
    if spec.host_network:
        yield forbidden(path, "may not be specified when hostNetwork is true")
    if len(name) > 64:
        yield too_long(path, 64)
    yield from each_invalid(path, name, dns_subdomain(name))


def _host_aliases(aliases: list[HostAlias]) -> Errors:
    for index, alias in enumerate(aliases):
        path = f"spec.hostAliases[{index}]"
        yield from each_invalid(f"{path}.ip", alias.ip or "", ip_address(alias.ip or ""))
        for number, name in enumerate(alias.hostnames or ()):
            yield from each_invalid(f"{path}.hostnames[{number}]", name, dns_subdomain(name))


def _os(path: str, os: PodOS | None) -> Errors:
    if os is not None:
        yield from one_of(f"{path}.name", os.name, SYSTEMS)


def _tokens_without_account(spec: PodSpec) -> Errors:
    if spec.service_account_name:
        return
    for index, volume in enumerate(spec.volumes or ()):
        for number, source in enumerate((volume.projected.sources if volume.projected else None) or ()):
            if source.service_account_token is not None:
                path = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                yield forbidden(path, "must not be specified when serviceAccountName is not set")


def _file_key_volumes(spec: PodSpec) -> Errors:
    volumes = {volume.name: volume for volume in spec.volumes or ()}
    for path, container in _containers(spec):
        for index, variable in enumerate(container.env or ()):
            if variable.value_from is None or variable.value_from.file_key_ref is None:
                continue
            name = variable.value_from.file_key_ref.volume_name
            here = f"{path}.env[{index}].valueFrom.fileKeyRef.volumeName"
            if name not in volumes:
                yield not_found(here, name or "")
            elif volumes[name].empty_dir is None:
                yield invalid(here, name, "referenced volume must be of type emptyDir")
