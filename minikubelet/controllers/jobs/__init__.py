"""Job: pods that run to their end, until enough of them have succeeded or too many have failed.

`accounting` counts each pod once, `decision` says what comes next; both are pure. Here it is done, and here a
Job goes that nobody needs any more (`ttlSecondsAfterFinished`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects
from minikubelet.controllers.controller_refs import claim, concerned, controller_of
from minikubelet.controllers.jobs.accounting import TRACKING, account, is_tracked
from minikubelet.controllers.jobs.decision import Decision, decide, ended_at
from minikubelet.controllers.jobs.indexes import give_index
from minikubelet.controllers.pod_control import BATCH, PodControl, pod_from
from minikubelet.controllers.pod_state import is_terminating
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.recorder import Recorder
from minikubelet.controllers.recorder import is_terminating as namespace_is_terminating
from minikubelet.errors import NotFound
from minikubelet.store.store import utc_now
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]

RESOURCE = "jobs.batch"


class Jobs:
    """The controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._store = objects.store
        self._recorder = Recorder(objects.store, "job-controller")
        self._pods = PodControl(objects, self._recorder)

    def sync(self, namespace: str, name: str) -> float | None:
        """One Job: count what has ended, decide, act, show."""
        now = utc_now()
        listed, _ = self._store.list("pods", namespace)
        try:
            job = self._store.get(RESOURCE, namespace, name)
        except NotFound:
            self._let_go(pod for pod in listed if job_of(pod) == (namespace, name))
            return None
        if self._is_expired(job, now):
            options = DeleteOptions(uid=job["metadata"]["uid"], propagation="Foreground")
            self._objects.delete(BY_KEY[RESOURCE], namespace, name, options)
            return None
        pods = claim(self._store, "pods", job, listed)
        self._let_go(pod for pod in listed if job_of(pod) == (namespace, name) and pod not in pods)
        sums = account(job, pods)
        if sums.ended:
            self._write(job, sums.noted)
            self._let_go(sums.ended)
        decision = decide(job, sums.settled, pods, now)
        self._write(job, decision.status)
        for kind, reason, message in decision.said:
            self._recorder.event(job, kind, reason, message, now)
        self._act(job, decision, now)
        more = len(decision.create) > BATCH or len(decision.delete) > BATCH
        return 0.0 if more else decision.again

    def _is_expired(self, job: Object, now: datetime) -> bool:
        seconds, ended = job["spec"].get("ttlSecondsAfterFinished"), ended_at(job.get("status") or {})
        if seconds is None or ended is None or is_terminating(job):
            return False
        return ended + timedelta(seconds=seconds) <= now

    def _write(self, job: Object, status: Object) -> None:
        metadata = job["metadata"]
        self._store.modify(
            RESOURCE, metadata["namespace"], metadata["name"], lambda obj: {**obj, "status": status}
        )

    def _let_go(self, pods: Iterable[Object]) -> None:
        """They are counted, or nobody counts any more."""

        def without(pod: Object) -> None:
            left = [one for one in pod["metadata"].get("finalizers") or () if one != TRACKING]
            pod["metadata"].pop("finalizers", None)
            if left:
                pod["metadata"]["finalizers"] = left

        for pod in filter(is_tracked, pods):
            with contextlib.suppress(NotFound):
                self._store.modify("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], without)

    def _act(self, job: Object, decision: Decision, now: datetime) -> None:
        """Delete, then create; a failure ends it, and comes back with back-off."""
        if decision.withdrawn:
            self._let_go(decision.delete[:BATCH])
        for pod in decision.delete[:BATCH]:
            self._pods.delete(job, pod, now)
        if decision.create and not namespace_is_terminating(self._store, job["metadata"]["namespace"]):
            for number, index in enumerate(decision.create[:BATCH]):
                self._create(job, index, decision.status.get("active", 0) + number, now)

    def _create(self, job: Object, index: int | None, have: int, now: datetime) -> None:
        body = pod_from(job["spec"]["template"], job)
        body["metadata"]["finalizers"] = [*(body["metadata"].get("finalizers") or ()), TRACKING]
        if index is not None:
            give_index(body, job["metadata"]["name"], index)
        self._pods.create(job, body, have, now)


def job_of(pod: Object) -> tuple[str, str] | None:
    """The Job that controls a pod, by namespace and name, whether it is still there or not."""
    ref = controller_of(pod)
    return (pod["metadata"]["namespace"], ref["name"]) if ref is not None and ref["kind"] == "Job" else None


async def keep(objects: Objects) -> None:
    """For ever."""

    def owners(pod: Object) -> Iterable[tuple[str, str]]:
        return concerned(objects.store, RESOURCE, "Job", pod)

    reconciler = Reconciler(objects, RESOURCE, Jobs(objects).sync, {"pods": owners})
    for _, pod in objects.store.find(f'"{TRACKING}"'):
        job = job_of(pod)
        if job is not None:
            reconciler.look_at(job)  # also at one that is gone: its pods wait to be let go of
    await reconciler.run()
