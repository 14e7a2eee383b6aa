"""From what was observed to the conditions of the node, and to the thresholds that must be acted upon. Pure.

Two periods keep it steady. A soft threshold is acted upon only when it has been met for its grace period; and
a condition stays on the node until it was not seen for the transition period (5 min), so that the scheduler
does not send pods in the moment after one was evicted. A condition is shown as soon as any threshold is met,
a soft one in its grace period as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .thresholds import (
    ALLOCATABLE_MEMORY,
    IMAGEFS_AVAILABLE,
    IMAGEFS_INODES,
    MEMORY_AVAILABLE,
    NODEFS_AVAILABLE,
    NODEFS_INODES,
    PID_AVAILABLE,
    EvictionSettings,
    Observation,
    Threshold,
    by_priority,
)

MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE = "MemoryPressure", "DiskPressure", "PIDPressure"
PRESSURES = (MEMORY_PRESSURE, DISK_PRESSURE, PID_PRESSURE)  # as they stand in the Node
TAINTS = {
    MEMORY_PRESSURE: "node.kubernetes.io/memory-pressure",
    DISK_PRESSURE: "node.kubernetes.io/disk-pressure",
    PID_PRESSURE: "node.kubernetes.io/pid-pressure",
}
_CONDITION = {
    MEMORY_AVAILABLE: MEMORY_PRESSURE,
    ALLOCATABLE_MEMORY: MEMORY_PRESSURE,
    NODEFS_AVAILABLE: DISK_PRESSURE,
    NODEFS_INODES: DISK_PRESSURE,
    IMAGEFS_AVAILABLE: DISK_PRESSURE,
    IMAGEFS_INODES: DISK_PRESSURE,
    PID_AVAILABLE: PID_PRESSURE,
}

Observations = Mapping[str, Observation]  # by signal; one that cannot be read is not there


@dataclass(frozen=True, slots=True)
class PressureState:
    """What one look hands on to the next; times on the monotonic clock."""

    acted_upon: tuple[Threshold, ...] = ()  # of the last look: not over before min_reclaim is free, too
    first_met: Mapping[Threshold, float] = field(default_factory=dict)
    last_seen: Mapping[str, float] = field(default_factory=dict)  # condition → when


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one look found."""

    state: PressureState
    conditions: tuple[str, ...]  # of PRESSURES, in their order
    to_act_upon: tuple[Threshold, ...]  # the most urgent first


def assess(
    settings: EvictionSettings, observations: Observations, former: PressureState, now: float
) -> Assessment:
    """One round of the kubelet's `synchronize`, up to where it acts."""
    met = {*thresholds_met(settings.thresholds, observations)}
    met |= {*thresholds_met(former.acted_upon, observations, with_reclaim=True)}
    first_met = {threshold: former.first_met.get(threshold, now) for threshold in by_priority(met)}
    last_seen = {**former.last_seen, **{_CONDITION[threshold.signal]: now for threshold in met}}
    conditions = tuple(
        kind for kind in PRESSURES if kind in last_seen and now - last_seen[kind] < settings.transition
    )
    due = tuple(threshold for threshold, since in first_met.items() if now - since >= threshold.grace)
    return Assessment(PressureState(due, first_met, last_seen), conditions, due)


def thresholds_met(
    thresholds: tuple[Threshold, ...], observations: Observations, *, with_reclaim: bool = False
) -> list[Threshold]:
    return [
        threshold
        for threshold in thresholds
        if threshold.signal in observations
        and threshold.met(observations[threshold.signal], with_reclaim=with_reclaim)
    ]
