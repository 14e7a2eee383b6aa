"""Which pods of a Job have ended, and how each is counted exactly once. Pure.

A pod carries the finalizer `batch.kubernetes.io/job-tracking` until it is counted, so that nobody can delete
it before. Counting takes three writes, and whoever is interrupted goes on where it stopped: its uid goes
into `status.uncountedTerminatedPods`, the finalizer is taken off, the uid becomes a one in `succeeded` or
`failed`.
(Successes of an indexed Job are counted by their indexes, and need no uid; failures that `podFailurePolicy`
ignores are not counted at all.)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.controllers.jobs.indexes import index_of, is_indexed, parse, to_text
from minikubelet.controllers.jobs.policies import failure_action
from minikubelet.controllers.pod_state import is_terminating, phase

Object = dict[str, Any]

TRACKING = "batch.kubernetes.io/job-tracking"


def is_tracked(pod: Object) -> bool:
    """It is not counted yet, or not known to be."""
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def has_succeeded(pod: Object) -> bool:
    return phase(pod) == "Succeeded"


def has_failed(job: Object, pod: Object) -> bool:
    """A pod that is being deleted counts as failed at once, unless only those that really failed are
    replaced (`podReplacementPolicy: Failed`).
    """
    if phase(pod) == "Failed":
        return True
    replaced_early = job["spec"].get("podReplacementPolicy") != "Failed"
    return replaced_early and is_terminating(pod) and not has_succeeded(pod)


@dataclass(frozen=True, slots=True)
class Account:
    """`noted` is the status to write before the finalizers of `ended` are taken off, `settled` after."""

    ended: list[Object]
    noted: Object
    settled: Object


def account(job: Object, pods: Sequence[Object]) -> Account:
    """What the pods of a Job add to its status."""
    noted = copy.deepcopy(job.get("status") or {})
    uncounted = noted.setdefault("uncountedTerminatedPods", {})
    known = {uid for field in ("succeeded", "failed") for uid in uncounted.get(field) or ()}
    ended = []
    for pod in filter(is_tracked, pods):
        field = "succeeded" if has_succeeded(pod) else "failed" if has_failed(job, pod) else ""
        if not field:
            continue
        ended.append(pod)
        if field == "failed" and failure_action(job, pod)[0] == "Ignore":
            continue
        by_index = is_indexed(job) and field == "succeeded"
        if pod["metadata"]["uid"] not in known and not by_index:
            uncounted[field] = [*(uncounted.get(field) or ()), pod["metadata"]["uid"]]
    if is_indexed(job):
        _count_indexes(job, ended, noted)
    return Account(ended, noted, _settled(noted))


def _count_indexes(job: Object, ended: Sequence[Object], status: Object) -> None:
    completions = job["spec"]["completions"]
    done = parse(status.get("completedIndexes"), completions)
    indexes = (index_of(pod, completions) for pod in ended if has_succeeded(pod))
    done |= {index for index in indexes if index is not None}
    status["completedIndexes"], status["succeeded"] = to_text(done), len(done)


def _settled(noted: Object) -> Object:
    status = copy.deepcopy(noted)
    for field, uids in status["uncountedTerminatedPods"].items():
        status[field] = status.get(field, 0) + len(uids)
    status["uncountedTerminatedPods"] = {}
    return status
