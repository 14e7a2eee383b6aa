"""Deployment: pods of a template that may change, without a moment of too few of them.

`decision` says what comes next, from `revisions` (whose template is whose), `scaling` (how many of each) and
`progress` (what to show); all of that is pure. Here it is done: one look, one step, at every change.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.controllers.controller_refs import claim, concerned, controller_of
from minikubelet.controllers.deployments import scaling
from minikubelet.controllers.deployments.decision import Plan, decide
from minikubelet.controllers.deployments.progress import set_condition
from minikubelet.controllers.pod_state import is_finished
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.recorder import Recorder, is_terminating
from minikubelet.errors import AlreadyExists, ApiError, NotFound
from minikubelet.store.store import utc_now
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]

RESOURCE = "deployments.apps"
REPLICA_SETS = "replicasets.apps"


class Deployments:
    """The controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._recorder = Recorder(objects.store, "deployment-controller")

    def sync(self, namespace: str, name: str) -> float | None:
        """One Deployment, one step."""
        store, now = self._objects.store, utc_now()
        try:
            deployment = store.get(RESOURCE, namespace, name)
        except NotFound:
            return None  # its ReplicaSets are the garbage collector's
        listed, _ = store.list(REPLICA_SETS, namespace)
        own = claim(store, REPLICA_SETS, deployment, listed)
        running = {} if scaling.is_rolling(deployment) else self._running(namespace)
        plan = decide(deployment, own, running, now)
        if plan.create is not None and not self._create(deployment, plan, now):
            return 0.0
        for before, after in zip(own, plan.replica_sets, strict=True):
            if before != after:
                store.update(REPLICA_SETS, after)
        for replica_set in plan.delete:
            self._delete(replica_set)
        if plan.deployment != deployment:
            store.update(RESOURCE, plan.deployment)
        for text in plan.said:
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", text, now)
        return plan.again

    def _running(self, namespace: str) -> dict[str, int]:
        """Pods that have not ended yet, by the uid of their ReplicaSet."""
        count: dict[str, int] = {}
        for pod in self._objects.store.list("pods", namespace)[0]:
            ref = controller_of(pod)
            if ref is not None and not is_finished(pod):
                count[ref["uid"]] = count.get(ref["uid"], 0) + 1
        return count

    def _create(self, deployment: Object, plan: Plan, now: datetime) -> bool:
        """The new ReplicaSet. False: its name is somebody else's, and the next look will find another."""
        assert plan.create is not None
        store, metadata = self._objects.store, plan.create["metadata"]
        namespace, name = metadata["namespace"], deployment["metadata"]["name"]
        if is_terminating(store, namespace):
            plan.said.clear()
            return True
        try:
            self._objects.create(BY_KEY[REPLICA_SETS], namespace, plan.create, WriteOptions())
        except AlreadyExists:
            count = (deployment.get("status") or {}).get("collisionCount", 0) + 1
            store.modify(RESOURCE, namespace, name, lambda obj: _set(obj, "collisionCount", count))
            return False
        except ApiError as error:
            text = f'Failed to create new replica set "{metadata["name"]}": {error}'
            self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", text, now)
            if "progressDeadlineSeconds" in deployment["spec"]:

                def tell(obj: Object) -> None:
                    status = obj.setdefault("status", {})
                    set_condition(status, "Progressing", "False", "ReplicaSetCreateError", text, now)

                store.modify(RESOURCE, namespace, name, tell)
            raise
        return True

    def _delete(self, replica_set: Object) -> None:
        metadata = replica_set["metadata"]
        options = DeleteOptions(uid=metadata["uid"])
        self._objects.delete(BY_KEY[REPLICA_SETS], metadata["namespace"], metadata["name"], options)


def _set(obj: Object, field: str, value: Any) -> None:
    obj.setdefault("status", {})[field] = value


async def keep(objects: Objects) -> None:
    """For ever."""

    def owners(replica_set: Object) -> Iterable[tuple[str, str]]:
        return concerned(objects.store, RESOURCE, "Deployment", replica_set)

    await Reconciler(objects, RESOURCE, Deployments(objects).sync, {REPLICA_SETS: owners}).run()
