"""What a Job does next, and what it shows: from its spec, its pods and the time. Pure (job_controller.go).

A Job ends in two steps. First it is clear how (`SuccessCriteriaMet`, `FailureTarget`): no pod is made any
more, and on failure those that run are ended. When the last pod has ended it is said for good (`Complete`,
`Failed`). A pod that failed is replaced after 10 s, after the next failure 20 s, and so on up to ten minutes;
the first success starts that afresh.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from minikubelet.controllers.jobs.accounting import has_succeeded
from minikubelet.controllers.jobs.indexes import index_of, is_indexed, parse, pending
from minikubelet.controllers.jobs.policies import reason_to_fail, success_rule
from minikubelet.controllers.pod_state import (
    is_active,
    is_finished,
    is_terminating,
    parse_time,
    ready_since,
    restarts,
    to_spare,
)
from minikubelet.store.store import timestamp

Object = dict[str, Any]

FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=10), timedelta(minutes=10)
DOUBLINGS = 6  # beyond, the longest delay is reached
ENDS = {"SuccessCriteriaMet": "Complete", "FailureTarget": "Failed"}


@dataclass(slots=True)
class Decision:
    """`create` has one entry for each new pod: its index, or None. `said` are Events: type, reason, message.
    `again`: seconds after which to look again though nothing happens. What is deleted counts as failed,
    unless it is `withdrawn`: then the Job only wants fewer pods.
    """

    status: Object
    create: list[int | None] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    withdrawn: bool = False
    said: list[tuple[str, str, str]] = field(default_factory=list)
    again: float | None = None


def condition(status: Object, kind: str) -> Object | None:
    """The condition, if it is True."""
    conditions = status.get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)


def is_over(status: Object) -> bool:
    return any(condition(status, kind) is not None for kind in ENDS.values())


def ended_at(status: Object) -> datetime | None:
    """When it was Complete or Failed."""
    found = [condition(status, kind) for kind in ENDS.values()]
    return next((parse_time(one["lastTransitionTime"]) for one in found if one is not None), None)


def decide(job: Object, counted: Object, pods: Sequence[Object], now: datetime) -> Decision:
    """`counted` is the Job's status with all ended pods in it (`accounting`)."""
    look = Look(job, copy.deepcopy(counted), pods, now)
    if not is_over(look.status) and not is_terminating(job):
        look.decide()
    look.show()
    return look.decision


class Look:
    """One look at a Job."""

    def __init__(self, job: Object, status: Object, pods: Sequence[Object], now: datetime) -> None:
        self.job, self.spec, self.status, self.now = job, job["spec"], status, now
        self.pods = pods
        self.active = [pod for pod in pods if is_active(pod)]
        self.terminating = [pod for pod in pods if is_terminating(pod) and not is_finished(pod)]
        self.decision = Decision(status)

    def decide(self) -> None:
        suspended = bool(self.spec.get("suspend"))
        if not suspended and "startTime" not in self.status:
            self.status["startTime"] = timestamp(self.now)
        self._note_failure()
        self._note_enough()
        if any(condition(self.status, kind) is not None for kind in ENDS):
            self.decision.delete = self.active
        else:
            self._note_suspension(suspended)
            self._manage(suspended)
            self._note_success()
        self._end()

    # How it goes.

    def _note_failure(self) -> None:
        if any(condition(self.status, kind) is not None for kind in ENDS):
            return
        if why := reason_to_fail(self.job, self.pods):
            self._set("FailureTarget", "True", "PodFailurePolicy", why)
        elif self.status.get("failed", 0) > self.spec["backoffLimit"] or self._restarted_too_often():
            text = "Job has reached the specified backoff limit"
            self._set("FailureTarget", "True", "BackoffLimitExceeded", text)
        elif (left := self._seconds_left()) is not None:
            if left <= 0:
                text = "Job was active longer than specified deadline"
                self._set("FailureTarget", "True", "DeadlineExceeded", text)
            else:
                self._look_again(left)

    def _restarted_too_often(self) -> bool:
        """With restartPolicy OnFailure the failures are restarts inside the pods."""
        if (self.spec["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
            return False
        count, limit = sum(restarts(pod) for pod in self.active), self.spec["backoffLimit"]
        return bool(count > 0 if limit == 0 else count >= limit)

    def _seconds_left(self) -> float | None:
        """Of `activeDeadlineSeconds`, which does not run while the Job is suspended."""
        limit, since = self.spec.get("activeDeadlineSeconds"), parse_time(self.status.get("startTime"))
        if limit is None or since is None or self.spec.get("suspend"):
            return None
        return (since + timedelta(seconds=limit) - self.now).total_seconds()

    def _note_enough(self) -> None:
        """Of an indexed Job with a `successPolicy`, before all of its indexes are done."""
        if not self.spec.get("successPolicy") or condition(self.status, "FailureTarget") is not None:
            return
        done = parse(self.status.get("completedIndexes"), self.spec["completions"])
        rule = success_rule(self.job, done)
        if rule is not None and condition(self.status, "SuccessCriteriaMet") is None:
            text = f"Matched rules at index {rule}"
            self._set("SuccessCriteriaMet", "True", "SuccessPolicy", text)

    def _note_success(self) -> None:
        succeeded, wanted = self.status.get("succeeded", 0), self.spec.get("completions")
        enough = succeeded >= wanted if wanted is not None else succeeded > 0
        if enough and not self.active and not self.decision.create:
            text = "Reached expected number of succeeded pods"
            self._set("SuccessCriteriaMet", "True", "CompletionsReached", text)

    def _note_suspension(self, suspended: bool) -> None:
        if suspended and condition(self.status, "Suspended") is None:
            self._set("Suspended", "True", "JobSuspended", "Job suspended")
            self._say("Normal", "Suspended", "Job suspended")
        elif not suspended and condition(self.status, "Suspended") is not None:
            self._set("Suspended", "False", "JobResumed", "Job resumed")
            self._say("Normal", "Resumed", "Job resumed")
            self.status["startTime"] = timestamp(self.now)  # the deadline begins afresh

    # Its pods.

    def _manage(self, suspended: bool) -> None:
        """Make what is missing, delete what is too much."""
        wanted = 0 if suspended else self._wanted()
        surplus = self._surplus(max(0, len(self.active) - wanted))
        if surplus:
            self.decision.delete, self.decision.withdrawn = surplus, True
            return
        replaced_late = self.spec.get("podReplacementPolicy") == "Failed"
        missing = wanted - len(self.active) - (len(self.terminating) if replaced_late else 0)
        if missing <= 0:
            return
        wait = self.back_off()
        if wait > 0:
            self._look_again(wait)
        elif is_indexed(self.job):
            self.decision.create = list(pending(self.spec["completions"], self._taken(), missing))
        else:
            self.decision.create = [None] * missing

    def _wanted(self) -> int:
        """How many pods should be at work."""
        parallelism, succeeded = self.spec.get("parallelism", 1), self.status.get("succeeded", 0)
        if self.spec.get("completions") is None:
            return len(self.active) if succeeded else parallelism  # a success: the others finish, nobody new
        return int(max(0, min(self.spec["completions"] - succeeded, parallelism)))

    def _surplus(self, count: int) -> list[Object]:
        """At least so many; of an indexed Job also those whose index is another's, done, or none."""
        surplus: list[Object] = []
        if is_indexed(self.job):
            taken = parse(self.status.get("completedIndexes"), self.spec["completions"])
            for pod in sorted(self.active, key=lambda one: ready_since(one) is None):
                index = index_of(pod, self.spec["completions"])
                if index is None or index in taken:
                    surplus.append(pod)
                else:
                    taken.add(index)
        rest = [pod for pod in self.active if pod not in surplus]
        return surplus + to_spare(rest, rest, max(0, count - len(surplus)), self.now)

    def _taken(self) -> set[int]:
        completions = self.spec["completions"]
        at_work = (index_of(pod, completions) for pod in [*self.active, *self._late()])
        done = parse(self.status.get("completedIndexes"), completions)
        return done | {index for index in at_work if index is not None}

    def _late(self) -> list[Object]:
        return self.terminating if self.spec.get("podReplacementPolicy") == "Failed" else []

    def back_off(self) -> float:
        """Seconds until the next pod may be made. The pods that are there tell, so that a restarted agent
        knows, too: failures since the last success, and when the last of them was.
        """
        ended = (pod for pod in self.pods if is_finished(pod) and not is_terminating(pod))
        ends = sorted(((_finish(pod), has_succeeded(pod)) for pod in ended), reverse=True)
        failures = 0
        for _, succeeded in ends:
            if succeeded:
                break
            failures += 1
        if not failures:
            return 0.0
        delay = min(FIRST_DELAY * 2 ** min(failures - 1, DOUBLINGS), LONGEST_DELAY)
        left: timedelta = ends[0][0] + delay - self.now
        return max(0.0, left.total_seconds())

    # What is shown.

    def _end(self) -> None:
        """For good, once no pod is left to wait for."""
        if self.active or self.terminating:
            return
        for first, last in ENDS.items():
            found = condition(self.status, first)
            if found is not None:
                self._set(last, "True", found["reason"], found["message"])
                if last == "Complete":
                    self.status["completionTime"] = timestamp(self.now)
                    self._say("Normal", "Completed", "Job completed")
                else:
                    self._say("Warning", found["reason"], found["message"])

    def show(self) -> None:
        numbers = {
            "active": len(self.active),
            "ready": sum(ready_since(pod) is not None for pod in self.active),
            "terminating": len(self.terminating),
        }
        # As the API server prints them: these two always, the others unless they are 0.
        for name, number in numbers.items():
            if number or name != "active":
                self.status[name] = number
            else:
                self.status.pop(name, None)
        left = self._seconds_to_live()
        if left is not None:
            self._look_again(max(left, 0.0))

    def _seconds_to_live(self) -> float | None:
        """Of a Job that is over, with `ttlSecondsAfterFinished`."""
        seconds, ended = self.spec.get("ttlSecondsAfterFinished"), ended_at(self.status)
        if seconds is None or ended is None:
            return None
        return (ended + timedelta(seconds=seconds) - self.now).total_seconds()

    def _set(self, kind: str, state: str, reason: str, message: str) -> None:
        stamp = timestamp(self.now)
        kept = [one for one in self.status.get("conditions") or () if one["type"] != kind]
        made = {"type": kind, "status": state, "reason": reason, "message": message}
        self.status["conditions"] = [*kept, {**made, "lastProbeTime": stamp, "lastTransitionTime": stamp}]

    def _say(self, kind: str, reason: str, message: str) -> None:
        self.decision.said.append((kind, reason, message))

    def _look_again(self, seconds: float) -> None:
        self.decision.again = min(seconds, self.decision.again or seconds)


def _finish(pod: Object) -> datetime:
    """When its last container ended; of a pod that tells nothing, when it was made."""
    status = pod.get("status") or {}
    ends = [
        ((container.get("state") or {}).get("terminated") or {}).get("finishedAt")
        for container in status.get("containerStatuses") or ()
    ]
    text = max(filter(None, ends), default=pod["metadata"]["creationTimestamp"])
    found = parse_time(text)
    assert found is not None
    return found
