"""What controllers ask about a pod: does it count, is it of use, and which of many can best be spared.

Pure (kubernetes/pkg/controller/controller_utils.go and pkg/api/v1/pod).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from typing import Any

Object = dict[str, Any]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_terminating(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def is_finished(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """It counts as a replica."""
    return not is_finished(pod) and not is_terminating(pod)


def ready_since(pod: Object) -> datetime | None:
    """Since when its condition Ready is True; None while it is not."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            return parse_time(condition.get("lastTransitionTime")) or EPOCH
    return None


def available_at(pod: Object, min_ready_seconds: int) -> datetime | None:
    """From when on it is available, if it stays Ready; None while it is not."""
    since = ready_since(pod)
    return None if since is None else since + timedelta(seconds=min_ready_seconds)


def is_available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    at = available_at(pod, min_ready_seconds)
    return at is not None and (not min_ready_seconds or at <= now)


def parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def to_spare(pods: Sequence[Object], related: Iterable[Object], count: int, now: datetime) -> list[Object]:
    """The `count` pods whose loss costs least. `related` are the pods of all ReplicaSets of the same owner:
    where many of them are on one node, one more or less matters little.
    """
    if count >= len(pods):
        return list(pods)
    crowd: dict[str, int] = {}
    for pod in related:
        node = pod["spec"].get("nodeName") or ""
        crowd[node] = crowd.get(node, 0) + is_active(pod)

    def compare(one: Object, other: Object) -> int:
        return _compare(one, other, crowd, now)

    return sorted(pods, key=cmp_to_key(compare))[:count]


def _compare(one: Object, other: Object, crowd: dict[str, int], now: datetime) -> int:
    """Negative: `one` goes first. Rule by rule as ActivePodsWithRanks has it."""
    first, second = _rank(one, crowd), _rank(other, crowd)
    if first != second:
        return -1 if first < second else 1
    ready, other_ready = ready_since(one), ready_since(other)
    if ready is not None and other_ready is not None and ready != other_ready:
        return _younger_first(one, ready, other, other_ready, now)
    if restarts(one) != restarts(other):
        return restarts(other) - restarts(one)
    born, other_born = _born(one), _born(other)
    return 0 if born == other_born else _younger_first(one, born, other, other_born, now)


def _rank(pod: Object, crowd: dict[str, int]) -> tuple[bool, int, bool, int, int]:
    node = pod["spec"].get("nodeName") or ""
    ready = ready_since(pod) is not None
    return bool(node), PHASES.get(phase(pod), 1), ready, _deletion_cost(pod), -crowd.get(node, 0)


def _deletion_cost(pod: Object) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        return int(text) if len(text) < 12 else 0
    except ValueError:
        return 0


def _born(pod: Object) -> datetime:
    return parse_time(pod["metadata"].get("creationTimestamp")) or EPOCH


def restarts(pod: Object) -> int:
    """Of the container that restarted most."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount", 0) for status in statuses), default=0)


def _younger_first(one: Object, start: datetime, other: Object, other_start: datetime, now: datetime) -> int:
    """Younger by an order of magnitude; else the uids decide: not all old ones shall outlive all new."""
    first, second = _magnitude(now - start), _magnitude(now - other_start)
    if first != second:
        return first - second
    return -1 if one["metadata"]["uid"] < other["metadata"]["uid"] else 1


def _magnitude(age: timedelta) -> int:
    nanoseconds = age.total_seconds() * 1e9
    return math.floor(math.log2(nanoseconds)) if nanoseconds > 0 else -1
