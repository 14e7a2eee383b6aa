"""What the administrator says about the node: resources kept back, labels and taints it registers with. Pure.

Each comes from the configuration file, as in KubeletConfiguration; the kubelet's flags of the same name stand
above it, and node labels have only the flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minikubelet.config import AgentOptions
from minikubelet.kubelet_config import ConfigurationError, KubeletConfiguration
from minikubelet.v1 import Node, NodeSpec, ObjectMeta, Taint, from_dict
from minikubelet.v1.quantity import QuantityError, parse
from minikubelet.v1.validation import validate

from .scheduler.resources import amounts

RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
# Of the labels that Kubernetes keeps for itself, those that a node may give itself.
ALLOWED_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
ALLOWED_LABELS = (
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """`reserved`: as `MachineFacts.reserved`; `max_pods`: with podsPerCore counted in."""

    reserved: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    max_pods: int = 110


def node_settings(configuration: KubeletConfiguration, options: AgentOptions, cpus: int) -> NodeSettings:
    """Raises ConfigurationError."""
    kube = _pairs("--kube-reserved", options.kube_reserved) or configuration.kubeReserved
    system = _pairs("--system-reserved", options.system_reserved) or configuration.systemReserved
    reserved: dict[str, int] = {}
    for origin, wanted in (("kubeReserved", kube), ("systemReserved", system)):
        for name, amount in _reserved(origin, wanted).items():
            reserved[name] = reserved.get(name, 0) + amount
    labels = _pairs("--node-labels", options.node_labels)
    taints = tuple(configuration.registerWithTaints)
    _check_labels(labels)
    _check_node(options.node_name or "node", labels, taints)
    return NodeSettings(reserved, labels, taints, _max_pods(configuration, cpus))


def _max_pods(configuration: KubeletConfiguration, cpus: int) -> int:
    """13.3: podsPerCore can only lower it."""
    per_core = configuration.podsPerCore
    return min(cpus * per_core, configuration.maxPods) if per_core > 0 else configuration.maxPods


def _reserved(origin: str, wanted: Mapping[str, str]) -> dict[str, int]:
    for name, amount in wanted.items():
        if name not in RESERVABLE:
            raise ConfigurationError(f"cannot reserve {name!r} ({origin}): it can be {', '.join(RESERVABLE)}")
        try:
            negative = parse(amount).nanos < 0
        except QuantityError as error:
            raise ConfigurationError(f"cannot reserve {name}={amount} ({origin}): {error}") from error
        if negative:
            raise ConfigurationError(f"resource quantity for {name!r} cannot be negative: {amount}")
    return amounts(wanted)


def _pairs(flag: str, text: str | None) -> dict[str, str]:
    """`a=1,b=2`; a flag that is not given is empty."""
    pairs: dict[str, str] = {}
    for part in (text or "").split(","):
        key, equals, value = part.strip().partition("=")
        if key and equals:
            pairs[key.strip()] = value.strip()
        elif key:
            raise ConfigurationError(f"cannot read {flag}: malformed pair, expect string=string: {part}")
    return pairs


def _check_labels(labels: Mapping[str, str]) -> None:
    """A node may not give itself any label of Kubernetes' own (the NodeRestriction of a cluster)."""
    unknown = sorted(key for key in labels if _is_reserved(key) and not _is_allowed(key))
    if unknown:
        raise ConfigurationError(
            f"unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: {unknown}; "
            "those of Kubernetes' own must begin with an allowed prefix "
            f"({', '.join(ALLOWED_PREFIXES)}) or be in the specifically allowed set "
            f"({', '.join(ALLOWED_LABELS)})"
        )


def _is_reserved(key: str) -> bool:
    namespace, slash, _ = key.partition("/")
    return bool(slash) and any(
        namespace == own or namespace.endswith(f".{own}") for own in ("kubernetes.io", "k8s.io")
    )


def _is_allowed(key: str) -> bool:
    namespace = key.partition("/")[0]
    return key in ALLOWED_LABELS or any(
        namespace == prefix or namespace.endswith(f".{prefix}") for prefix in ALLOWED_PREFIXES
    )


def _check_node(name: str, labels: Mapping[str, str], taints: tuple[Mapping[str, str], ...]) -> None:
    """As if somebody sent the Node with them."""
    node = Node(
        metadata=ObjectMeta(name=name, labels=dict(labels)),
        spec=NodeSpec(taints=[from_dict(Taint, dict(taint)) for taint in taints]),
    )
    errors = validate(node)
    if errors:
        raise ConfigurationError(f"cannot register the node: {'; '.join(map(str, errors))}")
