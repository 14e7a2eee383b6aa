"""The scheduler at work: the queue of pods that have no node yet, and what is written for each.

    a pod without a node ──offer──▶ scheduler.cycle ──▶ bound here
                                          │ does not fit: PodScheduled False, FailedScheduling, and it waits
    something changed ──try_again──▶ all that wait: higher priority first, then who came first

Nobody polls: `PodManager` calls `try_again` when a pod ended or changed its labels, when the Node object or a
namespace changed. A pod that fits at the expense of others has them deleted with their grace (Preempted), is
nominated, and is bound when they are gone; until then its room is nobody else's who is not more important.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import Conflict, InternalError, NotFound
from minikubelet.store import Store
from minikubelet.v1 import ObjectReference, Pod, from_dict
from minikubelet.v1.graceful_deletion import begin

from .clock import Clock
from .events import EventRecorder
from .names import log_name, uid_of
from .scheduler.binding import SCHEDULER, assigned_message, bound, disrupted, waiting
from .scheduler.cycle import Outcome, schedule
from .scheduler.node_info import PlacedPod, priority_of
from .scheduler_cache import SchedulerCache

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Queued:
    """`number`: in the order of arrival; `tried`: as it is now."""

    number: int
    stored: dict[str, Any]
    pod: Pod
    tried: bool = False

    @property
    def rank(self) -> tuple[int, int]:
        return -priority_of(self.pod), self.number


class Binder:
    """For one node."""

    def __init__(
        self, store: Store, recorder: EventRecorder, clock: Clock, node_name: str, cache: SchedulerCache
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._node_name = node_name
        self._cache = cache
        self._queue: dict[str, _Queued] = {}  # pod uid → it
        self._numbers = itertools.count()

    def enqueue(self, stored: dict[str, Any]) -> bool:
        """A pod that has no node, new or changed; True: it is worth a try."""
        pod = from_dict(Pod, stored)
        former = self._queue.get(uid_of(pod))
        if former is None:
            self._queue[uid_of(pod)] = _Queued(next(self._numbers), stored, pod)
            return True
        same = former.tried and _wishes(former.pod) == _wishes(pod)
        former.stored, former.pod = stored, pod
        return not same

    def offer(self, stored: dict[str, Any]) -> None:
        """The same, and try it at once."""
        if self.enqueue(stored):
            self._try(self._queue[stored["metadata"]["uid"]])

    def forget(self, uid: str) -> None:
        """It has a node, is being deleted, or is gone."""
        self._queue.pop(uid, None)

    def try_again(self) -> None:
        """Something changed that may help one that waits."""
        for queued in sorted(self._queue.values(), key=lambda one: one.rank):
            self._try(queued)

    def _try(self, queued: _Queued) -> None:
        queued.tried = True
        outcome = schedule(queued.pod, self._cache.info(), self._nominated(queued))
        try:
            if outcome.fits:
                self._bind(queued)
            else:
                self._let_wait(queued, outcome)
        except (Conflict, NotFound):
            # It was changed or removed meanwhile. The watch brings the newer one, and whatever was changed,
            # that one has not been tried.
            queued.tried = False
        except InternalError as error:
            # The disk is full. Who makes room there is a pod that ends, and then all are tried again.
            logger.error("cannot write what becomes of pod %s: %s", log_name(queued.pod), error)

    def _nominated(self, queued: _Queued) -> Iterator[PlacedPod]:
        """Pods at least as important, for which others are being ended."""
        for other in self._queue.values():
            nominated = other.pod.status and other.pod.status.nominated_node_name
            if nominated and other is not queued and priority_of(other.pod) >= priority_of(queued.pod):
                yield PlacedPod.of(other.pod)

    def _bind(self, queued: _Queued) -> None:
        stored = queued.stored
        self._store.update("pods", bound(stored, self._node_name, self._clock.now()))
        self._cache.assume(queued.pod)
        self.forget(uid_of(queued.pod))
        message = assigned_message(stored, self._node_name)
        self._recorder.event_about(reference(stored), "Normal", "Scheduled", message, SCHEDULER)

    def _let_wait(self, queued: _Queued, outcome: Outcome) -> None:
        """Said once; the same again is no news."""
        nominated = self._node_name if outcome.victims else None
        told = waiting(queued.stored, outcome.message, self._clock.now(), nominated)
        if told is not queued.stored:
            self._recorder.event_about(
                reference(told), "Warning", "FailedScheduling", outcome.message, SCHEDULER
            )
            queued.stored = self._store.update("pods", told)
            queued.pod = from_dict(Pod, queued.stored)
        self._make_room(queued.pod, outcome.victims)

    def _make_room(self, pod: Pod, victims: Iterable[Pod]) -> None:
        """Each victim is told why, and deleted with its own grace."""
        text = f"Preempted by pod {uid_of(pod)} on node {self._node_name}"
        scheduler = (pod.spec.scheduler_name if pod.spec else None) or SCHEDULER
        why = f"{scheduler}: preempting to accommodate a higher priority pod"
        for victim in victims:
            ended = delete_gracefully(self._store, victim, "PreemptionByScheduler", why, self._clock)
            if ended is not None:
                self._recorder.event_about(reference(ended), "Normal", "Preempted", text, SCHEDULER)


def delete_gracefully(
    store: Store, pod: Pod, reason: str, message: str, clock: Clock
) -> dict[str, Any] | None:
    """As a client would delete it, with its own grace; DisruptionTarget says why. None: it is going already,
    or gone.
    """
    metadata = pod.metadata
    assert metadata is not None

    def end(obj: dict[str, Any]) -> dict[str, Any]:
        now = clock.now()
        told = disrupted(obj, reason, message, now)
        begin(told, None, now)
        return told

    try:
        present = store.get("pods", metadata.namespace or "", metadata.name or "")
        if present["metadata"]["uid"] != metadata.uid or "deletionTimestamp" in present["metadata"]:
            return None
        return store.modify("pods", metadata.namespace or "", metadata.name or "", end)
    except NotFound:
        logger.debug("the pod %s, which was to be deleted, is gone", metadata.name)
        return None


def _wishes(pod: Pod) -> tuple[object, ...]:
    """What a decision about the pod depends on; its status does not matter."""
    return pod.spec, pod.metadata and pod.metadata.labels


def reference(pod: dict[str, Any]) -> ObjectReference:
    """What an Event about the stored pod refers to."""
    metadata = pod["metadata"]
    return ObjectReference(
        kind="Pod",
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        api_version="v1",
        resource_version=metadata["resourceVersion"],
    )
