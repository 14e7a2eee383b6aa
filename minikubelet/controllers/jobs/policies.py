"""Rules a Job brings along: which failures do not count or end it at once, and when enough indexes are done.

`podFailurePolicy` and `successPolicy`; in both the first rule that fits is the one. Pure
(job/pod_failure_policy.go, job/success_policy.go).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from minikubelet.controllers.jobs.indexes import parse
from minikubelet.controllers.pod_state import phase

Object = dict[str, Any]


def failure_action(job: Object, pod: Object) -> tuple[str, str]:
    """(FailJob, Ignore or Count, the reason in words) for a pod that has failed."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    metadata, action = pod["metadata"], ""
    for index, rule in enumerate(rules):
        action = rule["action"]
        which = f"matching {action} rule at index {index}"
        place = f"{metadata['namespace']}/{metadata['name']}"
        if rule.get("onExitCodes") is not None:
            for name, code in _failed_containers(pod):
                if _fits(rule["onExitCodes"], name, code):
                    return action, f"Container {name} for pod {place} failed with exit code {code} {which}"
        for wanted in rule.get("onPodConditions") or ():
            if _has_condition(pod, wanted):
                return action, f"Pod {place} has condition {wanted['type']} {which}"
    return "Count", ""


def _failed_containers(pod: Object) -> Iterator[tuple[str, int]]:
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            if code:
                yield container["name"], code


def _fits(requirement: Object, name: str, code: int) -> bool:
    if requirement.get("containerName") not in (None, name):
        return False
    return (code in requirement["values"]) is (requirement["operator"] == "In")


def _has_condition(pod: Object, wanted: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == (wanted["type"], wanted["status"]) for one in conditions)


def reason_to_fail(job: Object, pods: Collection[Object]) -> str:
    """Why the Job fails at once; empty: no failed pod says so."""
    for pod in pods if job["spec"].get("podFailurePolicy") else ():
        if phase(pod) == "Failed":
            action, message = failure_action(job, pod)
            if action == "FailJob":
                return message
    return ""


def success_rule(job: Object, done: Collection[int]) -> int | None:
    """The first rule of `successPolicy` by which these indexes are enough."""
    rules = (job["spec"].get("successPolicy") or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        wanted = None if indexes is None else parse(indexes, job["spec"]["completions"])
        have = len(done) if wanted is None else len(wanted.intersection(done))
        needed = count if count is not None else len(wanted or ())
        if have >= needed:
            return number
    return None
