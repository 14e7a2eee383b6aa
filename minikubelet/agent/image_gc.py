"""Which images go when their disk gets full (kubelet-behaviour 14.3). Pure.

At 85 % as many as bring it down to 80 %: those first that were used longest ago. An image in use, by a dead
container too, never goes; nor one that came, or was asked for, within the last two minutes: its container may
be about to be made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from minikubelet.kubelet_config import KubeletConfiguration, seconds


@dataclass(frozen=True, slots=True)
class ImageGCSettings:
    """Percent of the disk; ages in seconds, `maximum_age` 0: none."""

    high: int = 85
    low: int = 80
    minimum_age: float = 120.0
    maximum_age: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageAge:
    """On the monotonic clock."""

    detected: float
    used: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may go if nobody uses it."""

    id: str
    size: int  # bytes


Ages = Mapping[str, ImageAge]


def image_gc_settings(configuration: KubeletConfiguration) -> ImageGCSettings:
    return ImageGCSettings(
        high=configuration.imageGCHighThresholdPercent,
        low=configuration.imageGCLowThresholdPercent,
        minimum_age=seconds(configuration.imageMinimumGCAge),
        maximum_age=seconds(configuration.imageMaximumGCAge),
    )


def with_look(
    ages: Ages, present: Iterable[str], in_use: Collection[str], asked_for: Mapping[str, float], now: float
) -> dict[str, ImageAge]:
    """The ages after one more look; of images that are gone nothing is remembered. An image that was never
    seen in use counts as used when it was first seen, or last asked for.
    """
    found = {}
    for image in present:
        former = ages.get(image, ImageAge(now, now))
        used = now if image in in_use else max(former.used, asked_for.get(image, 0.0))
        found[image] = ImageAge(former.detected, used)
    return found


def bytes_to_free(available: int, capacity: int, settings: ImageGCSettings) -> int:
    """0 while the disk is not full enough."""
    if 100 - available * 100 // capacity < settings.high:
        return 0
    return max(0, capacity * (100 - settings.low) // 100 - available)


def choose(
    images: Iterable[Candidate],
    ages: Ages,
    in_use: Collection[str],
    wanted: float,
    settings: ImageGCSettings,
    now: float,
) -> Sequence[Candidate]:
    """So many that `wanted` bytes are freed if there are; those used longest ago first."""
    chosen: list[Candidate] = []
    freed = 0
    for image in sorted(_removable(images, in_use), key=lambda image: _age(ages, image)):
        age = ages[image.id]
        if freed >= wanted:
            break
        if now - age.detected >= settings.minimum_age and now - age.used >= settings.minimum_age:
            chosen.append(image)
            freed += image.size
    return chosen


def too_old(
    images: Iterable[Candidate],
    ages: Ages,
    in_use: Collection[str],
    settings: ImageGCSettings,
    now: float,
) -> Sequence[Candidate]:
    """Unused for longer than `maximum_age`, however much room there is."""
    if not settings.maximum_age:
        return []
    return [image for image in _removable(images, in_use) if now - ages[image.id].used > settings.maximum_age]


def _removable(images: Iterable[Candidate], in_use: Collection[str]) -> list[Candidate]:
    return [image for image in images if image.id not in in_use]


def _age(ages: Ages, image: Candidate) -> tuple[float, float]:
    return ages[image.id].used, ages[image.id].detected
