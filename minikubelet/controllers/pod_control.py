"""The pods of an owner, made and deleted with the Events that tell of it (upstream's PodControl)."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.controllers.controller_refs import controller_ref
from minikubelet.controllers.recorder import Recorder
from minikubelet.errors import ApiError, Forbidden, NotFound
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]

PODS = BY_KEY["pods"]
BATCH = 32  # pods made or deleted before others get their turn
MOST_PODS = 1000  # of one owner that have not ended; nine nodes like this one could not run more


class PodControl:
    """Of one controller."""

    def __init__(self, objects: Objects, recorder: Recorder) -> None:
        self._objects = objects
        self._recorder = recorder

    def create(self, owner: Object, body: Object, have: int, now: datetime) -> None:
        """One more than the `have` there are. Raises ApiError, which the Event has told."""
        try:
            _check_room(owner, have)
            pod = self._objects.create(PODS, owner["metadata"]["namespace"], body, WriteOptions())
        except ApiError as error:
            self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}", now)
            raise
        said = f"Created pod: {pod['metadata']['name']}"
        self._recorder.event(owner, "Normal", "SuccessfulCreate", said, now)

    def delete(self, owner: Object, pod: Object, now: datetime) -> None:
        """One that is gone already is fine. Raises ApiError, which the Event has told."""
        metadata = pod["metadata"]
        try:
            options = DeleteOptions(uid=metadata["uid"])
            self._objects.delete(PODS, metadata["namespace"], metadata["name"], options)
        except NotFound:
            return
        except ApiError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}", now)
            raise
        said = f"Deleted pod: {metadata['name']}"
        self._recorder.event(owner, "Normal", "SuccessfulDelete", said, now)


def pod_from(template: Object, owner: Object) -> Object:
    """A pod to create. Pure."""
    template = copy.deepcopy(template)
    kept = {
        key: value
        for key, value in (template.get("metadata") or {}).items()
        if key in ("labels", "annotations", "finalizers")
    }
    metadata = owner["metadata"]
    kept |= {
        "generateName": f"{metadata['name']}-",
        "namespace": metadata["namespace"],
        "ownerReferences": [controller_ref(owner)],
    }
    return {"metadata": kept, "spec": template.get("spec") or {}}


def _check_room(owner: Object, have: int) -> None:
    """A number in a manifest shall not fill the node's memory with pods that wait. Raises Forbidden."""
    if have >= MOST_PODS:
        raise Forbidden(
            f"pods are forbidden: {owner['kind']} {owner['metadata']['name']} has {have}, and this node "
            f"keeps at most {MOST_PODS} of one owner"
        )
