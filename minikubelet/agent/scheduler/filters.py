"""The scheduler's filters, in its order: may this pod run on this node? Pure.

The first filter that says no ends the search, as in kube-scheduler: a pod that neither tolerates a taint nor
fits hears of the taint only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minikubelet.agent.host_ports import UNSCHEDULABLE as NO_FREE_PORTS
from minikubelet.agent.host_ports import port_conflict
from minikubelet.v1 import Pod

from . import topology_spread
from .claims import claim_objection, is_taken
from .node_affinity import matches_node, named_nodes
from .node_info import NodeInfo
from .pod_affinity import affinity_holds, anti_affinity_holds, nobody_objects
from .resources import PODS, Shortage, requests_of, shortages
from .taints import KEEPS_OUT, UNSCHEDULABLE, tolerated, untolerated


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why not, in the scheduler's words. `by_others`: it could fit if other pods were gone. `of_pod`: no node
    was looked at, the pod itself is the reason.
    """

    reasons: tuple[str, ...]
    by_others: bool = False
    of_pod: bool = False

    @classmethod
    def because(cls, reason: str, *, by_others: bool = False) -> Unfit:
        return cls((reason,), by_others)


Filter = Callable[[Pod, NodeInfo], Unfit | None]


def first_objection(pod: Pod, node: NodeInfo) -> Unfit | None:
    """None: the pod fits."""
    return next((no for ask in FILTERS if (no := ask(pod, node)) is not None), None)


def _named_node(pod: Pod, node: NodeInfo) -> Unfit | None:
    named = named_nodes(pod)
    if named is None or node.name in named:
        return None
    if not named:
        return Unfit(("pod affinity terms conflict",), of_pod=True)
    return Unfit.because("node(s) didn't satisfy plugin(s) [NodeAffinity]")


def _claims(pod: Pod, node: NodeInfo) -> Unfit | None:
    objection = claim_objection(pod, node.claims)
    return Unfit((objection,), of_pod=True) if objection else None


def _claims_for_one_pod(pod: Pod, node: NodeInfo) -> Unfit | None:
    if not is_taken(pod, node.claims, (other.pod for other in node.pods)):
        return None
    text = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    return Unfit.because(text, by_others=True)


def _unschedulable(pod: Pod, node: NodeInfo) -> Unfit | None:
    """Cordoned; a pod may tolerate even that."""
    if not node.unschedulable or tolerated(pod, UNSCHEDULABLE):
        return None
    return Unfit.because("node(s) were unschedulable")


def _taints(pod: Pod, node: NodeInfo) -> Unfit | None:
    if not untolerated(pod, node.taints, KEEPS_OUT):
        return None
    return Unfit.because("node(s) had untolerated taint(s)")


def _node_affinity(pod: Pod, node: NodeInfo) -> Unfit | None:
    if matches_node(pod, node.name, node.labels):
        return None
    return Unfit.because("node(s) didn't match Pod's node affinity/selector")


def _host_ports(pod: Pod, node: NodeInfo) -> Unfit | None:
    if port_conflict(pod, (other.pod for other in node.pods)) is None:
        return None
    return Unfit.because(NO_FREE_PORTS, by_others=True)


def _resources(pod: Pod, node: NodeInfo) -> Unfit | None:
    lacking = shortages(requests_of(pod), (other.requests for other in node.pods), node.allocatable)
    if not lacking:
        return None
    by_others = not any(shortage.hopeless for shortage in lacking)
    return Unfit(tuple(_words(shortage) for shortage in lacking), by_others)


def _words(shortage: Shortage) -> str:
    return "Too many pods" if shortage.resource == PODS else f"Insufficient {shortage.resource}"


def _topology_spread(pod: Pod, node: NodeInfo) -> Unfit | None:
    text = "node(s) didn't match pod topology spread constraints"
    if topology_spread.lacks_topology_key(pod, node):
        return Unfit.because(f"{text} (missing required label)")
    if not topology_spread.is_spread(pod, node):
        return Unfit.because(text, by_others=True)
    return None


def _pod_affinity(pod: Pod, node: NodeInfo) -> Unfit | None:
    if not affinity_holds(pod, node):
        return Unfit.because("node(s) didn't match pod affinity rules")
    if not anti_affinity_holds(pod, node):
        return Unfit.because("node(s) didn't match pod anti-affinity rules", by_others=True)
    if not nobody_objects(pod, node):
        return Unfit.because("node(s) didn't satisfy existing pods anti-affinity rules", by_others=True)
    return None


FILTERS: tuple[Filter, ...] = (
    _named_node,
    _claims,
    _unschedulable,
    _taints,
    _node_affinity,
    _host_ports,
    _resources,
    _claims_for_one_pod,
    _topology_spread,
    _pod_affinity,
)
