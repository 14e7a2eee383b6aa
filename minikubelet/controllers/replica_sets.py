"""ReplicaSet: as many pods of one template as its spec says (kubernetes/pkg/controller/replicaset).

Decided here: how many to make, which to delete, what to show. A pod counts while it is neither finished nor
being deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minikubelet.api.objects import Objects
from minikubelet.controllers.controller_refs import (
    claim,
    concerned,
    controller_of,
    is_controlled_by,
)
from minikubelet.controllers.pod_control import BATCH, PodControl, pod_from
from minikubelet.controllers.pod_state import (
    available_at,
    is_active,
    is_available,
    is_terminating,
    ready_since,
    to_spare,
)
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.recorder import Recorder
from minikubelet.controllers.recorder import is_terminating as namespace_is_terminating
from minikubelet.errors import ApiError, NotFound
from minikubelet.store.store import timestamp, utc_now

Object = dict[str, Any]

RESOURCE = "replicasets.apps"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is missing, and who is too many."""

    create: int = 0
    delete: tuple[Object, ...] = ()


def decide(replica_set: Object, pods: list[Object], related: Iterable[Object], now: datetime) -> Decision:
    """`pods` are the active ones of this ReplicaSet, `related` those of its siblings too. Pure."""
    if is_terminating(replica_set):
        return Decision()
    missing = replica_set["spec"].get("replicas", 1) - len(pods)
    if missing >= 0:
        return Decision(create=missing)
    return Decision(delete=tuple(to_spare(pods, related, -missing, now)))


def status_of(
    replica_set: Object, pods: list[Object], terminating: int, failure: Object | None, now: datetime
) -> Object:
    """What to show; `failure` is the condition of something that could not be made or deleted. Pure."""
    spec, template = replica_set["spec"], replica_set["spec"].get("template") or {}
    wanted = ((template.get("metadata") or {}).get("labels") or {}).items()
    ready = [pod for pod in pods if ready_since(pod) is not None]
    min_ready = spec.get("minReadySeconds", 0)
    numbers = {
        "fullyLabeledReplicas": sum(wanted <= (pod["metadata"].get("labels") or {}).items() for pod in pods),
        "readyReplicas": len(ready),
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in ready),
        "terminatingReplicas": terminating,
    }
    status: Object = {"replicas": len(pods), **{key: number for key, number in numbers.items() if number}}
    status["observedGeneration"] = replica_set["metadata"].get("generation", 1)
    old = (replica_set.get("status") or {}).get("conditions") or ()
    conditions = [one for one in old if one["type"] != "ReplicaFailure"]
    if failure is not None:
        known = next((one for one in old if one["type"] == "ReplicaFailure"), None)
        conditions.append(known or failure)
    return status | ({"conditions": conditions} if conditions else {})


def seconds_to_availability(pods: list[Object], min_ready_seconds: int, now: datetime) -> float | None:
    """Until the next Ready pod has been so for long enough. Pure."""
    moments = [available_at(pod, min_ready_seconds) for pod in pods] if min_ready_seconds else []
    left = [(at - now).total_seconds() for at in moments if at is not None and at > now]
    return min(left, default=None)


class ReplicaSets:
    """The controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._pods = PodControl(objects, Recorder(objects.store, "replicaset-controller"))

    def sync(self, namespace: str, name: str) -> float | None:
        """One ReplicaSet: claim its pods, make or delete some, show what there is."""
        store, now = self._objects.store, utc_now()
        try:
            replica_set = store.get(RESOURCE, namespace, name)
        except NotFound:
            return None  # its pods are the garbage collector's
        everything, _ = store.list("pods", namespace)
        pods = claim(store, "pods", replica_set, filter(is_active, everything))
        going = sum(is_terminating(pod) and is_controlled_by(pod, replica_set) for pod in everything)
        decision = decide(replica_set, pods, self._related(replica_set, everything), now)
        failure = self._act(replica_set, decision, len(pods), now)
        condition = None if failure is None else _condition(decision, failure, now)
        status = status_of(replica_set, pods, going, condition, now)
        store.modify(RESOURCE, namespace, name, lambda obj: {**obj, "status": status})
        if failure is not None:
            raise failure
        if decision.create > BATCH or len(decision.delete) > BATCH:
            return 0.0
        return seconds_to_availability(pods, replica_set["spec"].get("minReadySeconds", 0), now)

    def _act(self, replica_set: Object, decision: Decision, have: int, now: datetime) -> ApiError | None:
        """The first failure ends the batch: what fails once will most likely fail again."""
        namespace = replica_set["metadata"]["namespace"]
        if decision.create and namespace_is_terminating(self._objects.store, namespace):
            return None
        template = replica_set["spec"]["template"]
        try:
            for number in range(min(decision.create, BATCH)):
                self._pods.create(replica_set, pod_from(template, replica_set), have + number, now)
            for pod in decision.delete[:BATCH]:
                self._pods.delete(replica_set, pod, now)
        except ApiError as error:
            return error
        return None

    def _related(self, replica_set: Object, pods: list[Object]) -> list[Object]:
        """The active pods of all ReplicaSets of the same Deployment."""
        owner = controller_of(replica_set)
        siblings = {replica_set["metadata"]["uid"]}
        if owner is not None:
            listed, _ = self._objects.store.list(RESOURCE, replica_set["metadata"]["namespace"])
            refs = ((other, controller_of(other)) for other in listed)
            siblings |= {
                other["metadata"]["uid"] for other, ref in refs if ref and ref["uid"] == owner["uid"]
            }
        return [pod for pod in pods if (ref := controller_of(pod)) is not None and ref["uid"] in siblings]


def _condition(decision: Decision, failure: ApiError, now: datetime) -> Object:
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "FailedCreate" if decision.create else "FailedDelete",
        "message": str(failure),
    }


async def keep(objects: Objects) -> None:
    """For ever."""

    def owners(pod: Object) -> Iterable[tuple[str, str]]:
        return concerned(objects.store, RESOURCE, "ReplicaSet", pod)

    await Reconciler(objects, RESOURCE, ReplicaSets(objects).sync, {"pods": owners}).run()
