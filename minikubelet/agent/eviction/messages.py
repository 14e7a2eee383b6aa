"""What the status of an evicted pod says, with the blank at its end (kubelet-behaviour 13.7). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minikubelet.v1 import Pod, PodSpec
from minikubelet.v1.quantity import NANO, Format, Quantity

from .pressure import Observations
from .ranking import PodUsage
from .thresholds import MEMORY, STORAGE, Threshold

EVICTED = "Evicted"


def binary(number: int) -> str:
    """Bytes as Kubernetes writes them: 52428800 is 50Mi."""
    return str(Quantity(number * NANO, Format.BINARY))


def eviction_message(
    pod: Pod,
    usage: PodUsage | None,
    resource: str,
    thresholds: Sequence[Threshold],
    observations: Observations,
) -> str:
    """`thresholds` are those to be acted upon; the first of this resource is quoted."""
    parts = [f"The node was low on resource: {resource}. ", _quoted(resource, thresholds, observations)]
    if usage is not None and resource in (MEMORY, STORAGE):
        requests = _requests(pod, resource)
        parts += [
            f"Container {name} was using {binary(used)}, request is {requests[name]}, "
            f"has larger consumption of {resource}. "
            for name, used in usage.containers.items()
            if name in requests and used > requests[name].value()
        ]
    return "".join(parts)


def _quoted(resource: str, thresholds: Sequence[Threshold], observations: Observations) -> str:
    for threshold in thresholds:
        if threshold.resource == resource and threshold.signal in observations:
            observed = observations[threshold.signal]
            quantity = binary(threshold.amount.of(observed.capacity))
            return f"Threshold quantity: {quantity}, available: {binary(observed.available)}. "
    return ""


def _requests(pod: Pod, resource: str) -> Mapping[str, Quantity]:
    spec = pod.spec or PodSpec()
    return {
        container.name or "": Quantity.parse(
            ((container.resources and container.resources.requests) or {}).get(resource, "0")
        )
        for container in [*(spec.containers or ()), *(spec.init_containers or ())]
    }
