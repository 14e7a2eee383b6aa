"""NoExecute taints on a node where pods run: the control plane's taint-eviction-controller, for this node
(kubelet-behaviour 7.3).

A pod that does not tolerate such a taint is deleted at once, one that tolerates it for a time when the time
is over, counted from when the controller first saw it. A taint that goes, or a toleration that comes, cancels
the deletion. Static pods tolerate everything. Nothing polls: each pod that has to go has a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minikubelet.store import Store
from minikubelet.v1 import ObjectReference, Pod, Taint

from .binder import delete_gracefully
from .clock import Clock
from .events import EventRecorder
from .names import uid_of
from .phase import is_static
from .scheduler.taints import seconds_to_stay

CONTROLLER = "taint-eviction-controller"
REASON = "TaintManagerEviction"
CONDITION_REASON = "DeletionByTaintManager"
CONDITION_TEXT = "Taint manager: deleting due to NoExecute taint"


@dataclass(slots=True)
class _Planned:
    """`since` and `due` on the monotonic clock."""

    since: float
    due: float
    timer: asyncio.TimerHandle


class TaintEviction:
    """For one node."""

    def __init__(self, store: Store, recorder: EventRecorder, clock: Clock) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._taints: Sequence[Taint] = ()
        self._planned: dict[str, _Planned] = {}  # pod uid → when it will be deleted

    def node_changed(self, taints: Sequence[Taint], pods: Iterable[Pod]) -> None:
        """Other taints than before: look at every pod again."""
        if taints != self._taints:
            self._taints = taints
            for pod in pods:
                self.pod_changed(pod)

    def pod_changed(self, pod: Pod) -> None:
        """It is new here, or its tolerations may have changed."""
        uid = uid_of(pod)
        if is_static(pod) or (not self._taints and uid not in self._planned):
            return
        seconds = seconds_to_stay(pod, self._taints)
        if seconds is None:
            self._cancel(pod)
        else:
            self._plan(pod, seconds)

    def pod_gone(self, uid: str) -> None:
        """It is over, or being deleted."""
        planned = self._planned.pop(uid, None)
        if planned is not None:
            planned.timer.cancel()

    def close(self) -> None:
        for uid in list(self._planned):
            self.pod_gone(uid)

    def _plan(self, pod: Pod, seconds: float) -> None:
        """A shorter time counts at once, from the beginning; a longer one never prolongs what is planned."""
        now = self._clock.monotonic()
        planned = self._planned.get(uid_of(pod))
        since = planned.since if planned else now
        due = since + seconds
        if planned is not None and due >= planned.due:
            return
        self.pod_gone(uid_of(pod))
        timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._evict, pod)
        self._planned[uid_of(pod)] = _Planned(since, due, timer)

    def _evict(self, pod: Pod) -> None:
        self.pod_gone(uid_of(pod))
        if delete_gracefully(self._store, pod, CONDITION_REASON, CONDITION_TEXT, self._clock) is not None:
            self._tell(pod, f"Marking for deletion Pod {_name(pod)}")

    def _cancel(self, pod: Pod) -> None:
        if uid_of(pod) in self._planned:
            self.pod_gone(uid_of(pod))
            self._tell(pod, f"Cancelling deletion of Pod {_name(pod)}")

    def _tell(self, pod: Pod, message: str) -> None:
        assert pod.metadata is not None
        about = ObjectReference(
            kind="Pod",
            api_version="v1",
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.metadata.uid,
        )
        self._recorder.event_about(about, "Normal", REASON, message, CONTROLLER)


def _name(pod: Pod) -> str:
    assert pod.metadata is not None
    return f"{pod.metadata.namespace}/{pod.metadata.name}"
