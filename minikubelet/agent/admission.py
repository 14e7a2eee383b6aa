"""Is a pod let in by the kubelet (kubelet-behaviour 7.1)? Pure.

The scheduler has asked most of this before; the kubelet asks again for every pod that begins, whoever bound
it, and after a restart for every pod that is not over. For waiting it is too late then: the first objection
rejects the pod. The handlers stand in the kubelet's order (`HANDLERS`); one line there is one handler.

A critical pod that only lacks resources is not rejected: others have to make room (`critical_pods`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minikubelet.v1 import Pod

from .app_armor import app_armor_rejection
from .critical_pods import NoVictims, is_critical, victims_for
from .eviction.admission import pressure_rejection
from .facts import Rejection
from .host_ports import REJECTION as PORTS_TAKEN
from .host_ports import port_conflict
from .phase import is_static
from .scheduler.node_affinity import matches_node
from .scheduler.node_info import NodeInfo
from .scheduler.resources import Shortage, asked_for, shortages
from .scheduler.taints import NO_EXECUTE, untolerated
from .sysctls import sysctl_rejection

OS = "kubernetes.io/os"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the handlers look at: the node with the other pods on it, its pressure conditions that are true,
    what its configuration allows, and what it cannot do.
    """

    node: NodeInfo
    pressure: Sequence[str] = ()
    allowed_unsafe_sysctls: Sequence[str] = ()
    no_app_armor: str = ""  # why its profiles cannot be enforced


@dataclass(frozen=True, slots=True)
class Verdict:
    """Let in, if `rejection` is None; but only when all `victims` are over."""

    rejection: Rejection | None = None
    victims: tuple[Pod, ...] = ()


ADMITTED = Verdict()
Handler = Callable[[Pod, Surroundings], Verdict]


def admit(pod: Pod, around: Surroundings) -> Verdict:
    """The first rejection ends it."""
    victims: tuple[Pod, ...] = ()
    for handler in HANDLERS:
        verdict = handler(pod, around)
        if verdict.rejection is not None:
            return verdict
        victims += verdict.victims
    return Verdict(victims=victims)


def _rejected(reason: str, message: str) -> Verdict:
    return Verdict(Rejection(reason, message))


def _pressure(pod: Pod, around: Surroundings) -> Verdict:
    return Verdict(pressure_rejection(pod, around.pressure))


def _operating_system(pod: Pod, around: Surroundings) -> Verdict:
    """By the node's label, and by the pod's own field."""
    spec = pod.spec
    wanted = ((spec.node_selector if spec else None) or {}).get(OS)
    label = around.node.labels.get(OS, "linux")
    if wanted is not None and wanted != label:
        text = f"Failed to admit pod as the `{OS}` label doesn't match node label"
        return _rejected("PodOSSelectorNodeLabelDoesNotMatch", text)
    system = spec.os.name if spec and spec.os else None
    if system not in (None, "", "linux"):
        text = "Failed to admit pod as the OS field doesn't match node OS"
        return _rejected("PodOSNotSupported", text)
    return ADMITTED


def without_room(pod: Pod, node: NodeInfo) -> Rejection | None:
    """Resources alone: all that is asked again when a pod is resized (6.12)."""
    lacking = _lacking(pod, node)
    return _out_of(lacking[0]) if lacking else None


def _predicates(pod: Pod, around: Surroundings) -> Verdict:
    """Resources first, then what the node is like; only the first is told."""
    lacking = _lacking(pod, around.node)
    unlike = _unlike(pod, around.node)
    if not lacking:
        return Verdict(unlike)
    if not is_critical(pod):
        return Verdict(_out_of(lacking[0]))
    if unlike is not None:
        return Verdict(unlike)
    try:
        return Verdict(victims=victims_for(pod, around.node.pods, lacking))
    except NoVictims as error:
        text = f"Unexpected error while attempting to recover from admission failure: preemption: {error}"
        return _rejected("UnexpectedAdmissionError", text)


def _lacking(pod: Pod, node: NodeInfo) -> list[Shortage]:
    """An extended resource that the node has never heard of is no business of the kubelet's."""
    known = {
        name: amount for name, amount in asked_for(pod).items() if name in node.allocatable or "/" not in name
    }
    return shortages(known, (other.requests for other in node.pods), node.allocatable)


def _out_of(short: Shortage) -> Rejection:
    return Rejection(
        f"OutOf{short.resource}",
        f"Node didn't have enough resource: {short.resource}, requested: {short.requested}, "
        f"used: {short.used}, capacity: {short.capacity}",
    )


def _unlike(pod: Pod, node: NodeInfo) -> Rejection | None:
    if not matches_node(pod, node.name, node.labels):
        return _predicate_failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if port_conflict(pod, (other.pod for other in node.pods)) is not None:
        return Rejection(*PORTS_TAKEN)
    if not is_static(pod) and untolerated(pod, node.taints, (NO_EXECUTE,)):
        return _predicate_failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _predicate_failed(predicate: str, text: str) -> Rejection:
    return Rejection(predicate, f"Predicate {predicate} failed: {text}")


def _sysctls(pod: Pod, around: Surroundings) -> Verdict:
    return Verdict(sysctl_rejection(pod, around.allowed_unsafe_sysctls))


def _app_armor(pod: Pod, around: Surroundings) -> Verdict:
    return Verdict(app_armor_rejection(pod, around.no_app_armor))


HANDLERS: tuple[Handler, ...] = (_pressure, _sysctls, _operating_system, _predicates, _app_armor)
