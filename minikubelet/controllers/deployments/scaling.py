"""How many replicas each ReplicaSet of a Deployment should have. Pure (deployment/util, rolling.go).

Two limits hold at every moment of a rolling update: never more than `replicas + maxSurge` pods, never fewer
than `replicas - maxUnavailable` available ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minikubelet.controllers.deployments.revisions import MAXIMUM, number

Object = dict[str, Any]


def replicas(obj: Object) -> int:
    """Wanted."""
    return int(obj["spec"].get("replicas", 1))


def shown(obj: Object, field: str = "replicas") -> int:
    """In the status."""
    return int((obj.get("status") or {}).get(field, 0))


def total(replica_sets: Sequence[Object]) -> int:
    return sum(replicas(rs) for rs in replica_sets)


def is_rolling(deployment: Object) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def max_surge(deployment: Object) -> int:
    """How many pods there may be beyond `replicas`; a percentage is rounded up."""
    if not is_rolling(deployment):
        return 0
    return _resolved(deployment, "maxSurge", math.ceil)


def max_unavailable(deployment: Object) -> int:
    """How many of `replicas` may be missing; rounded down. One at least when none may surge, or nothing could
    ever move.
    """
    wanted = replicas(deployment)
    if not is_rolling(deployment) or wanted == 0:
        return 0
    found = _resolved(deployment, "maxUnavailable", math.floor)
    if found == 0 and max_surge(deployment) == 0:
        found = 1
    return min(found, wanted)


def _resolved(deployment: Object, field: str, rounded: Any) -> int:
    value = (deployment["spec"]["strategy"].get("rollingUpdate") or {}).get(field, 0)
    if isinstance(value, str):
        return int(rounded(int(value.removesuffix("%")) * replicas(deployment) / 100))
    return int(value)


def new_replicas(deployment: Object, new: Object, everything: Sequence[Object]) -> int:
    """Of the present ReplicaSet: as many as the surge leaves room for."""
    wanted = replicas(deployment)
    if not is_rolling(deployment) or replicas(new) >= wanted:
        return wanted
    room = wanted + max_surge(deployment) - total(everything)
    return replicas(new) + max(0, min(room, wanted - replicas(new)))


def old_replicas(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """Of old ReplicaSets, by name, those that change: first pods that are not available anyway, then as many
    available ones as can be spared. `old` is ordered by age.
    """
    if total(old) == 0:
        return {}
    least = replicas(deployment) - max_unavailable(deployment)
    not_yet = replicas(new) - shown(new, "availableReplicas")
    spare = total([new, *old]) - least - not_yet
    if spare <= 0:
        return {}
    sizes = {rs["metadata"]["name"]: replicas(rs) for rs in old}
    before = dict(sizes)
    for rs in old:  # unhealthy ones
        step = min(spare, max(0, replicas(rs) - shown(rs, "availableReplicas")))
        sizes[rs["metadata"]["name"]] -= step
        spare -= step
    to_spare = sum(shown(rs, "availableReplicas") for rs in (new, *old)) - least
    for rs in old:
        name = rs["metadata"]["name"]
        step = max(0, min(sizes[name], to_spare))
        sizes[name] -= step
        to_spare -= step
    return {name: size for name, size in sizes.items() if size != before[name]}


def proportional(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """A Deployment that is scaled in the middle of a rollout: each active ReplicaSet gets its share of the
    change, the largest what is left over by rounding.
    """
    wanted = replicas(deployment)
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    to_add = allowed - total(active)
    ordered = _newest_largest(active) if to_add > 0 else _oldest_largest(active)
    sizes = {rs["metadata"]["name"]: replicas(rs) for rs in ordered}
    added = 0
    for rs in ordered:
        share = _proportion(deployment, rs, to_add, added)
        sizes[rs["metadata"]["name"]] += share
        added += share
    if ordered and to_add:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _newest_largest(active: Sequence[Object]) -> list[Object]:
    newest = sorted(active, key=lambda rs: str(rs["metadata"].get("creationTimestamp", "")), reverse=True)
    return sorted(newest, key=lambda rs: -replicas(rs))


def _oldest_largest(active: Sequence[Object]) -> list[Object]:
    oldest = sorted(active, key=lambda rs: str(rs["metadata"].get("creationTimestamp", "")))
    return sorted(oldest, key=lambda rs: -replicas(rs))


def _proportion(deployment: Object, rs: Object, to_add: int, added: int) -> int:
    left = to_add - added
    if replicas(rs) == 0 or left == 0:
        return 0
    share = _share(deployment, rs)
    return min(share, left) if to_add > 0 else max(share, left)


def _share(deployment: Object, rs: Object) -> int:
    """By which the ReplicaSet grows (or shrinks) if it keeps its part of the whole."""
    wanted = replicas(deployment)
    if wanted == 0:
        return -replicas(rs)
    former = number(rs, MAXIMUM) or shown(deployment)
    if not former:
        return 0
    size = replicas(rs) * (wanted + max_surge(deployment)) / former
    return math.floor(size + 0.5) - replicas(rs)
