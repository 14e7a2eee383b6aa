"""The status of a Deployment: numbers, and three conditions with the texts `rollout status` and people know.

Available: enough pods are. Progressing: the rollout moves, is complete, or has stood still for too long
(`progressDeadlineSeconds`). ReplicaFailure: pods cannot be made. Pure (deployment/progress.go, sync.go).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from minikubelet.controllers.deployments.scaling import max_unavailable, replicas, shown
from minikubelet.controllers.pod_state import parse_time
from minikubelet.store.store import timestamp

Object = dict[str, Any]

MAX_INT32 = 2**31 - 1
COMPLETE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def condition(status: Object, kind: str) -> Object | None:
    return next((one for one in status.get("conditions") or () if one["type"] == kind), None)


def set_condition(status: Object, kind: str, state: str, reason: str, message: str, now: datetime) -> None:
    """One that says the same already stays as it is; `lastTransitionTime` is that of the last other state."""
    old = condition(status, kind)
    if old is not None and (old["status"], old["reason"]) == (state, reason):
        return
    stamp = timestamp(now)
    same = old is not None and old["status"] == state
    remove_condition(status, kind)
    status.setdefault("conditions", []).append(
        {
            "type": kind,
            "status": state,
            "lastUpdateTime": stamp,
            "lastTransitionTime": old["lastTransitionTime"] if old is not None and same else stamp,
            "reason": reason,
            "message": message,
        }
    )


def remove_condition(status: Object, kind: str) -> None:
    left = [one for one in status.get("conditions") or () if one["type"] != kind]
    status.pop("conditions", None)
    if left:
        status["conditions"] = left


def deadline(deployment: Object) -> int | None:
    """Seconds without progress after which a rollout has failed; None: it may take for ever."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds in (None, MAX_INT32) else int(seconds)


def status_of(deployment: Object, new: Object | None, everything: Sequence[Object], now: datetime) -> Object:
    """Numbers and the condition Available; the others as they were."""
    old = deployment.get("status") or {}
    available = sum(shown(rs, "availableReplicas") for rs in everything)
    count = sum(shown(rs) for rs in everything)
    numbers = {
        "replicas": count,
        "updatedReplicas": 0 if new is None else shown(new),
        "readyReplicas": sum(shown(rs, "readyReplicas") for rs in everything),
        "availableReplicas": available,
        "unavailableReplicas": max(0, count - available),
        "terminatingReplicas": sum(shown(rs, "terminatingReplicas") for rs in everything),
    }
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    status |= {key: value for key, value in numbers.items() if value}
    status |= {key: copy.deepcopy(old[key]) for key in ("collisionCount", "conditions") if key in old}
    if available >= replicas(deployment) - max_unavailable(deployment):
        text = "Deployment has minimum availability."
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", text, now)
    else:
        text = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable", text, now)
    return status


def is_complete(deployment: Object, status: Object) -> bool:
    """All pods are new ones, and available; nothing else is left."""
    wanted = replicas(deployment)
    return all(
        status.get(field, 0) == wanted for field in ("updatedReplicas", "replicas", "availableReplicas")
    ) and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)


def report_progress(
    deployment: Object, status: Object, new: Object | None, everything: Sequence[Object], now: datetime
) -> None:
    """Progressing and ReplicaFailure, in `status`."""
    known = condition(status, "Progressing")
    done = known is not None and known["reason"] == COMPLETE
    if deadline(deployment) is None:
        remove_condition(status, "Progressing")
    elif not (done and status.get("replicas", 0) == status.get("updatedReplicas", 0)):
        what = f'Deployment "{deployment["metadata"]["name"]}"'
        if new is not None:
            what = f'ReplicaSet "{new["metadata"]["name"]}"'
        if is_complete(deployment, status):
            text = f"{what} has successfully progressed."
            set_condition(status, "Progressing", "True", COMPLETE, text, now)
        elif _has_moved(deployment.get("status") or {}, status):
            _note_movement(status, known, f"{what} is progressing.", now)
        elif is_stuck(deployment, status, now):
            set_condition(
                status, "Progressing", "False", TIMED_OUT, f"{what} has timed out progressing.", now
            )
    _report_failures(status, new, everything)


def _has_moved(old: Object, status: Object) -> bool:
    def left_over(one: Object) -> int:
        return int(one.get("replicas", 0) - one.get("updatedReplicas", 0))

    more = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return left_over(status) < left_over(old) or any(status.get(key, 0) > old.get(key, 0) for key in more)


def _note_movement(status: Object, known: Object | None, text: str, now: datetime) -> None:
    """With a new `lastUpdateTime`, from which the deadline counts."""
    remove_condition(status, "Progressing")
    set_condition(status, "Progressing", "True", "ReplicaSetUpdated", text, now)
    if known is not None and known["status"] == "True":
        status["conditions"][-1]["lastTransitionTime"] = known["lastTransitionTime"]


def is_stuck(deployment: Object, status: Object, now: datetime) -> bool:
    left = seconds_to_deadline(deployment, status, now)
    known = condition(status, "Progressing")
    return (known is not None and known["reason"] == TIMED_OUT) or (left is not None and left < 0)


def seconds_to_deadline(deployment: Object, status: Object, now: datetime) -> float | None:
    """Until the rollout counts as stuck, if nothing moves; None: it is complete, stuck, or in no hurry."""
    limit, known = deadline(deployment), condition(status, "Progressing")
    if limit is None or known is None or known["reason"] in (COMPLETE, TIMED_OUT, PAUSED):
        return None
    since = parse_time(known.get("lastUpdateTime"))
    if since is None or is_complete(deployment, status):
        return None
    return (since + timedelta(seconds=limit) - now).total_seconds()


def _report_failures(status: Object, new: Object | None, everything: Sequence[Object]) -> None:
    """The first failure of a ReplicaSet, the present one's before others', is the Deployment's."""
    remove_condition(status, "ReplicaFailure")
    for replica_set in ([new] if new is not None else []) + list(everything):
        failure = condition(replica_set.get("status") or {}, "ReplicaFailure")
        if failure is not None:
            stamp = failure.get("lastTransitionTime")
            status.setdefault("conditions", []).append({**failure, "lastUpdateTime": stamp})
            return
