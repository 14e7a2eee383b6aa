"""Quality of service: what a pod is promised decides who is squeezed first (kubelet-behaviour 6.2, 6.3).

`qos_class` names the class, `pod_requests` and `pod_limits` add up a pod's containers the way the kubelet and
the cgroups do, `effective_requests` the way the scheduler does: a pod that is being resized counts with the
larger of what it has and what it asks for. Only cpu and memory count for the class. Amounts are whole nanos
while adding, and leave as canonical text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from minikubelet.v1.container import Container, ResourceRequirements
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.quantity import Quantity, parse
from minikubelet.v1.status import PodStatus

QoSClass = Literal["Guaranteed", "Burstable", "BestEffort"]
Which = Literal["requests", "limits"]

GUARANTEED: QoSClass = "Guaranteed"
BURSTABLE: QoSClass = "Burstable"
BEST_EFFORT: QoSClass = "BestEffort"
COMPUTE = ("cpu", "memory")
POD_LEVEL = ("cpu", "memory")  # and huge pages
HUGE_PAGES = "hugepages-"

RESIZE_PENDING, INFEASIBLE = "PodResizePending", "Infeasible"

Amounts = dict[str, Quantity]
Wish = Callable[[Container], Amounts]


def is_sidecar(container: Container) -> bool:
    """An init container that stays (only meaningful for members of `spec.initContainers`)."""
    return container.restart_policy == "Always"


def qos_class(pod: Pod) -> QoSClass:
    """Guaranteed, Burstable or BestEffort; init containers count, ephemeral ones do not."""
    assert pod.spec is not None
    if pod.spec.resources is not None and (pod.spec.resources.requests or pod.spec.resources.limits):
        return _class_of([pod.spec.resources])
    containers = [*(pod.spec.containers or ()), *(pod.spec.init_containers or ())]
    return _class_of([container.resources or ResourceRequirements() for container in containers])


def _class_of(wishes: list[ResourceRequirements]) -> QoSClass:
    requests = _sum(_compute_only(wish.requests) for wish in wishes)
    limits = _sum(_compute_only(wish.limits) for wish in wishes)
    if not requests and not limits:
        return BEST_EFFORT
    every_limit_set = all(_compute_only(wish.limits).keys() == set(COMPUTE) for wish in wishes)
    if every_limit_set and _nanos(requests) == _nanos(limits):
        return GUARANTEED
    return BURSTABLE


def pod_requests(pod: Pod) -> dict[str, str]:
    """What the whole pod is promised, per resource, as canonical text."""
    assert pod.spec is not None
    return _text(_aggregate(pod.spec, "requests"))


def pod_limits(pod: Pod) -> dict[str, str]:
    """The sum of the limits there are, per resource, even where a container leaves one unlimited."""
    assert pod.spec is not None
    return _text(_aggregate(pod.spec, "limits"))


def effective_requests(pod: Pod) -> dict[str, str]:
    """What a scheduler must count: for each container the largest of what is asked for, promised (allocated)
    and applied. A resize that this node can never grant asks for nothing.
    """
    assert pod.spec is not None
    status = pod.status or PodStatus()
    infeasible = _is_infeasible(status)
    known = {
        one.name: _maximum(_requests(one.resources), parse_list(one.allocated_resources))
        for one in (*(status.init_container_statuses or ()), *(status.container_statuses or ()))
        if one.resources is not None or one.allocated_resources is not None
    }

    def wish(container: Container) -> Amounts:
        has = known.get(container.name)
        asked = _requests(container.resources)
        if has is None:
            return asked
        return has if infeasible else _maximum(has, asked)

    total = aggregate_containers(pod.spec, wish)
    if pod.spec.resources is not None:
        asked = {} if infeasible and status.resources is not None else _requests(pod.spec.resources)
        has = _requests(status.resources)
        if status.resources is not None:
            has = _maximum(has, parse_list(status.allocated_resources))
        total |= _pod_level(_maximum(has, asked))
    return _text(_sum([total, parse_list(pod.spec.overhead)]))


def _is_infeasible(status: PodStatus) -> bool:
    return any(c.type == RESIZE_PENDING and c.reason == INFEASIBLE for c in status.conditions or ())


def compute_of(spec: PodSpec, container: Container) -> ResourceRequirements:
    """cpu and memory as they are applied to a container: a limit it has not is the pod's (6.6)."""
    own = container.resources or ResourceRequirements()
    whole = (spec.resources.limits if spec.resources else None) or {}
    return ResourceRequirements(
        requests={name: text for name, text in (own.requests or {}).items() if name in COMPUTE},
        limits={name: text for name, text in {**whole, **(own.limits or {})}.items() if name in COMPUTE},
    )


def requested(container: Container) -> Amounts:
    """The requests of one container, as a wish for `aggregate_containers`."""
    return _requests(container.resources)


def limited(container: Container) -> Amounts:
    """The limits of one container, likewise."""
    return parse_list(container.resources.limits) if container.resources else {}


def aggregate_containers(spec: PodSpec, wish: Wish) -> Amounts:
    """max(regular + sidecars, the largest init step): what the containers need together at any one time.

    An init container runs beside the sidecars started before it, never beside the regular containers.
    """
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.init_containers or ():
        step = _sum([sidecars, wish(container)])
        peak = _maximum(peak, step)
        if is_sidecar(container):
            sidecars = step
    regular = _sum(wish(container) for container in spec.containers or ())
    return _maximum(_sum([regular, sidecars]), peak)


def _aggregate(spec: PodSpec, which: Which) -> Amounts:
    """The containers' need, replaced by pod-level values where there are such, plus overhead."""
    total = aggregate_containers(spec, requested if which == "requests" else limited)
    if spec.resources is not None:
        total |= _pod_level(parse_list(getattr(spec.resources, which)))
    overhead = parse_list(spec.overhead)
    if which == "limits":  # an unlimited resource stays unlimited
        overhead = {name: amount for name, amount in overhead.items() if name in total}
    return _sum([total, overhead])


def _pod_level(amounts: Amounts) -> Amounts:
    """Those that may stand at the pod."""
    return {name: amount for name, amount in amounts.items() if is_pod_level(name)}


def is_pod_level(name: str) -> bool:
    """cpu, memory and huge pages may be asked for by the pod as a whole."""
    return name in POD_LEVEL or name.startswith(HUGE_PAGES)


def _requests(resources: ResourceRequirements | None) -> Amounts:
    return parse_list(resources.requests) if resources else {}


def parse_list(resources: Mapping[str, str] | None) -> Amounts:
    """A resource list with its quantities parsed."""
    return {name: parse(text) for name, text in (resources or {}).items()}


def _compute_only(resources: Mapping[str, str] | None) -> Amounts:
    """cpu and memory; zero counts as absent."""
    return {
        name: amount for name, amount in parse_list(resources).items() if name in COMPUTE and amount.nanos > 0
    }


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            before = total.get(name)
            total[name] = Quantity(before.nanos + amount.nanos, before.format) if before else amount
    return total


def _maximum(left: Amounts, right: Amounts) -> Amounts:
    names = left.keys() | right.keys()
    none = Quantity(-1)
    return {
        name: max(left.get(name, none), right.get(name, none), key=lambda amount: amount.nanos)
        for name in sorted(names)
    }


def _nanos(amounts: Amounts) -> dict[str, int]:
    return {name: amount.nanos for name, amount in amounts.items()}


def _text(amounts: Amounts) -> dict[str, str]:
    return {name: str(amount) for name, amount in sorted(amounts.items())}
