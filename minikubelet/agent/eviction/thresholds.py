"""When too little is left: the settings `evictionHard`, `evictionSoft` and what goes with them (13.6). Pure.

A threshold is met when what is available of a signal is *less* than its amount: a quantity, or a share of the
capacity. The kubelet computes shares in 32-bit floats, which can be seen in a node's allocatable, so do we.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from minikubelet.kubelet_config import ConfigurationError, KubeletConfiguration, seconds
from minikubelet.v1.quantity import QuantityError, parse

MEMORY_AVAILABLE = "memory.available"
ALLOCATABLE_MEMORY = "allocatableMemory.available"
NODEFS_AVAILABLE = "nodefs.available"
NODEFS_INODES = "nodefs.inodesFree"
IMAGEFS_AVAILABLE = "imagefs.available"
IMAGEFS_INODES = "imagefs.inodesFree"
PID_AVAILABLE = "pid.available"
# In this order: memory goes first (`byEvictionPriority` of the kubelet).
SIGNALS = (
    MEMORY_AVAILABLE,
    ALLOCATABLE_MEMORY,
    NODEFS_AVAILABLE,
    NODEFS_INODES,
    IMAGEFS_AVAILABLE,
    IMAGEFS_INODES,
    PID_AVAILABLE,
)
DISK_SIGNALS = frozenset({NODEFS_AVAILABLE, NODEFS_INODES, IMAGEFS_AVAILABLE, IMAGEFS_INODES})

MEMORY, STORAGE, INODES, PIDS = "memory", "ephemeral-storage", "inodes", "pids"
# What is reclaimed, by the name messages give it.
RESOURCES = {
    MEMORY_AVAILABLE: MEMORY,
    ALLOCATABLE_MEMORY: MEMORY,
    NODEFS_AVAILABLE: STORAGE,
    NODEFS_INODES: INODES,
    IMAGEFS_AVAILABLE: STORAGE,
    IMAGEFS_INODES: INODES,
    PID_AVAILABLE: PIDS,
}

DEFAULT_HARD = {
    MEMORY_AVAILABLE: "100Mi",
    NODEFS_AVAILABLE: "10%",
    NODEFS_INODES: "5%",
    IMAGEFS_AVAILABLE: "15%",
    IMAGEFS_INODES: "5%",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """Of one signal: bytes, inodes or process ids."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity in whole units, or a share of the capacity (0.1: 10 %)."""

    quantity: int = 0
    share: float | None = None

    def of(self, capacity: int) -> int:
        return self.quantity if self.share is None else int(capacity * self.share)


@dataclass(frozen=True, slots=True)
class Threshold:
    """`grace`: seconds it must be met before anything happens; 0 makes it a hard one."""

    signal: str
    amount: Amount
    grace: float = 0.0
    min_reclaim: Amount | None = None

    @property
    def hard(self) -> bool:
        return self.grace == 0

    @property
    def resource(self) -> str:
        return RESOURCES[self.signal]

    def met(self, observed: Observation, *, with_reclaim: bool = False) -> bool:
        """`with_reclaim`: once it was met, so much more must be free again."""
        wanted = self.amount.of(observed.capacity)
        if with_reclaim and self.min_reclaim is not None:
            wanted += self.min_reclaim.of(observed.capacity)
        return observed.available < wanted


@dataclass(frozen=True, slots=True)
class EvictionSettings:
    """Periods in seconds."""

    thresholds: tuple[Threshold, ...]
    transition: float = 300.0
    max_pod_grace: int = 0


def eviction_settings(configuration: KubeletConfiguration) -> EvictionSettings:
    """Raises ConfigurationError in the kubelet's words. `evictionHard` replaces all defaults when given.

    What holds for the node's memory holds for that of all pods together, too: with something reserved for the
    system they come to their end first.
    """
    hard = DEFAULT_HARD if configuration.evictionHard is None else configuration.evictionHard
    soft, periods = configuration.evictionSoft, configuration.evictionSoftGracePeriod
    reclaim = _amounts(configuration.evictionMinimumReclaim)
    found = [Threshold(signal, amount, 0.0, reclaim.get(signal)) for signal, amount in _amounts(hard).items()]
    for signal, amount in _amounts(soft).items():
        if signal not in periods:
            raise ConfigurationError(
                f"grace period must be specified for the soft eviction threshold {signal}"
            )
        found.append(Threshold(signal, amount, _grace(signal, periods[signal]), reclaim.get(signal)))
    found += [
        replace(threshold, signal=ALLOCATABLE_MEMORY)
        for threshold in found
        if threshold.hard and threshold.signal == MEMORY_AVAILABLE
    ]
    return EvictionSettings(
        thresholds=by_priority(found),
        transition=seconds(configuration.evictionPressureTransitionPeriod),
        max_pod_grace=configuration.evictionMaxPodGracePeriod,
    )


def by_priority(thresholds: Iterable[Threshold]) -> tuple[Threshold, ...]:
    """Memory first."""
    return tuple(sorted(thresholds, key=lambda threshold: SIGNALS.index(threshold.signal)))


def hard_reservation(thresholds: Iterable[Threshold], memory: int, storage: int) -> tuple[int, int]:
    """(memory, ephemeral-storage) in bytes that pods never get, or they would be evicted (13.3)."""
    kept = {MEMORY_AVAILABLE: 0, NODEFS_AVAILABLE: 0}
    capacity = {MEMORY_AVAILABLE: memory, NODEFS_AVAILABLE: storage}
    for threshold in thresholds:
        if threshold.hard and threshold.signal in kept:
            kept[threshold.signal] = threshold.amount.of(capacity[threshold.signal])
    return kept[MEMORY_AVAILABLE], kept[NODEFS_AVAILABLE]


def _amounts(settings: Mapping[str, str]) -> dict[str, Amount]:
    """Without those that can never be met (0 %) or always are (100 %): the kubelet drops them."""
    found = {}
    for signal, text in settings.items():
        if signal not in SIGNALS or signal == ALLOCATABLE_MEMORY:
            raise ConfigurationError(f"unsupported eviction signal {signal}")
        if text not in ("0%", "100%"):
            found[signal] = _amount(signal, text)
    return found


def _amount(signal: str, text: str) -> Amount:
    if text.endswith("%"):
        try:
            percent = float(text.rstrip("%"))
        except ValueError:
            raise ConfigurationError(f"cannot read eviction percentage of {signal}: {text!r}") from None
        if percent < 0:
            raise ConfigurationError(f"eviction percentage {signal} must be >= 0: {text}")
        if percent > 100:
            raise ConfigurationError(f"eviction percentage {signal} must be <= 100: {text}")
        return Amount(share=_float32(_float32(percent) / 100))
    try:
        quantity = parse(text).value()
    except QuantityError as error:
        raise ConfigurationError(f"cannot read eviction threshold of {signal}: {error}: {text!r}") from None
    if quantity < 0:
        raise ConfigurationError(f"eviction threshold {signal} cannot be negative: {text}")
    return Amount(quantity)


def _grace(signal: str, text: str) -> float:
    grace = seconds(text)
    if grace <= 0:
        raise ConfigurationError(f"invalid eviction grace period specified: {signal}, {text}")
    return grace


def _float32(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])
