"""Memory beyond its limit: throttling before it, protection below it, and swap (kubelet-behaviour 6.7).

Pure. All of it is off unless the node's configuration says otherwise: the gate MemoryQoS sets memory.high
(who comes near the limit is slowed down and reclaimed from), the policy TieredReservation memory.min and
memory.low (what was asked for is not reclaimed), memorySwap LimitedSwap a share of the node's swap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from mmap import PAGESIZE

from minikubelet.v1.qos import BURSTABLE, GUARANTEED, QoSClass

THROTTLING_FACTOR = 0.9


@dataclass(frozen=True, slots=True)
class MemoryQoS:
    """`allocatable`, `capacity` and `swap_total` are the node's, in bytes. The defaults are the kubelet's."""

    enabled: bool = False  # the gate
    throttling_factor: float = THROTTLING_FACTOR
    tiered_reservation: bool = False  # memoryReservationPolicy
    limited_swap: bool = False  # memorySwap.swapBehavior
    allocatable: int = 0
    capacity: int = 1
    swap_total: int = 0


def throttling(request: int, limit: int, rules: MemoryQoS) -> dict[str, str]:
    """memory.high of a container; a limit of 0 is none, and then the node's allocatable memory counts."""
    if not rules.enabled:
        return {}
    high = request + rules.throttling_factor * ((limit or rules.allocatable) - request)
    pages = math.floor(high / PAGESIZE) * PAGESIZE
    # `max` is written too: a resize may have taken the reason away.
    return {"memory.high": str(pages) if request != limit and pages > request else "max"}


def protection(qos: QoSClass, request: int, rules: MemoryQoS) -> dict[str, str]:
    """memory.min or memory.low, of a container, a pod or a class of pods."""
    if not (rules.enabled and rules.tiered_reservation):
        return {}
    name = {GUARANTEED: "memory.min", BURSTABLE: "memory.low"}.get(qos)
    return {name: str(request)} if name else {}


def swap(qos: QoSClass, request: int, limit: int, rules: MemoryQoS) -> int:
    """memory.swap.max in bytes: a Burstable container's part of the swap is its part of the memory."""
    if not rules.limited_swap or qos != BURSTABLE or not request or request == limit:
        return 0
    return math.floor(request / rules.capacity * rules.swap_total)
