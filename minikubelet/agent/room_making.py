"""Critical pods that wait at the door until those that make room for them are over (kubelet-behaviour 7.2).

The kubelet does nothing else meanwhile; here only the critical pod waits. Its victims are ended by their own
workers, with their own grace, and become Failed. When the last one is over the pod begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from minikubelet.v1 import Pod

from .critical_pods import PREEMPTED_CONDITION, PREEMPTED_TEXT, PREEMPTING
from .facts import PhaseOverride
from .names import uid_of
from .pod_worker import PodWorker
from .ports import Recorder

OVERRIDE = PhaseOverride(PREEMPTING, PREEMPTED_TEXT, disruption=PREEMPTED_CONDITION)
DEFAULT_GRACE = 30


@dataclass(slots=True)
class _AtTheDoor:
    pod: Pod
    victims: set[str]  # uids of those that are not over yet


class RoomMaking:
    """`begin` gives a pod its worker: it is called when all victims are over."""

    def __init__(
        self, workers: Mapping[str, PodWorker], recorder: Recorder, begin: Callable[[Pod], None]
    ) -> None:
        self._workers = workers
        self._recorder = recorder
        self._begin = begin
        self._waiting: dict[str, _AtTheDoor] = {}

    def make(self, pod: Pod, victims: Iterable[Pod]) -> None:
        """End the victims; the pod begins when they are over."""
        victims = list(victims)
        self._waiting[uid_of(pod)] = _AtTheDoor(pod, {uid_of(victim) for victim in victims})
        for victim in victims:
            if self.forget(uid_of(victim)):
                self._begin(victim)  # it waits here as well: its worker has an end to make of it
            grace = victim.spec.termination_grace_period_seconds if victim.spec else None
            self._recorder.event(victim, "Warning", PREEMPTING, PREEMPTED_TEXT)
            self._workers[uid_of(victim)].end(OVERRIDE, DEFAULT_GRACE if grace is None else grace)

    def update(self, pod: Pod) -> bool:
        """It was changed; False: it does not wait here."""
        waiting = self._waiting.get(uid_of(pod))
        if waiting is not None:
            waiting.pod = pod
        return waiting is not None

    def forget(self, uid: str) -> bool:
        """It is not wanted any more; False: it does not wait here."""
        return self._waiting.pop(uid, None) is not None

    def left(self, uid: str) -> None:
        """A pod is over, perhaps one that others waited for."""
        for waiting in list(self._waiting.values()):
            waiting.victims.discard(uid)
            if not waiting.victims and self.forget(uid_of(waiting.pod)):
                self._begin(waiting.pod)
