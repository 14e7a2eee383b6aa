"""Who is granted which resize, and how far it is (kubelet-behaviour 6.12); the kubelet's allocation manager.

    begin    a pod comes: with what an earlier agent had granted it, or as it asks
    grant    it was let in: that is its allocation now
    consider it was changed: granted, deferred or infeasible (`resize.verdict`)
    open     all pods that were there when the agent began have begun; nothing is decided before
    retry    room was made, or time has passed: the deferred ones are looked at again
    call_off the pod is on its way out, and waits for nothing any more
    observe  the worker has looked: is everything applied that was granted? Then the resize is over
    end      nothing is left of it

The pod worker asks for `allocated` and works for that pod only. What is granted is written to disk before
anybody acts upon it; what is waited for is decided again by the next agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import Pod, PodCondition, PodStatus
from minikubelet.v1.qos import BEST_EFFORT, qos_class

from .allocation import Allocation, allocation_of, with_allocation
from .allocation_files import AllocationFiles
from .clock import Clock
from .names import log_name, uid_of
from .phase import is_static, is_terminal
from .ports import Recorder
from .resize import (
    DEFERRED,
    ERROR,
    IN_PROGRESS,
    PENDING,
    Verdict,
    Waiting,
    event_message,
    in_order,
    resize_of,
)
from .restart_policy import init_containers, latest, regular_containers

logger = logging.getLogger(__name__)

FIRST_RETRY = 30.0
RETRY = 180.0

# (the pod as it wants to be, as it is) → may it?
Judge = Callable[[Pod, Pod], Verdict]


@dataclass(frozen=True, slots=True)
class _Pending:
    verdict: Verdict
    generation: int | None
    since: float  # monotonic


@dataclass(frozen=True, slots=True)
class _Progress:
    """`error` is why it is stuck."""

    generation: int | None
    error: str = ""


class Resizes:
    """Of all pods of a node. `judge` knows the node; `granted` is told the uid of a pod that has to act, and
    `shown` of one whose conditions changed.
    """

    def __init__(
        self,
        files: AllocationFiles,
        recorder: Recorder,
        clock: Clock,
        judge: Judge,
        granted: Callable[[str], None],
        shown: Callable[[str], None],
    ) -> None:
        self._files = files
        self._recorder = recorder
        self._clock = clock
        self._judge = judge
        self._tell_granted = granted
        self._tell_shown = shown
        self._granted: dict[str, Allocation] = {}
        self._made: dict[str, tuple[Pod, Pod]] = {}  # uid → (pod, the same as granted), made last
        self._early: dict[str, Pod] = {}  # to be considered when all are known
        self._open = False
        self._pending: dict[str, tuple[Pod, _Pending]] = {}
        self._progress: dict[str, _Progress] = {}
        self._stale: set[str] = set()
        self._deferred = asyncio.Event()

    # A pod's life

    def begin(self, pod: Pod) -> Pod:
        """The pod as admission should look at it."""
        uid = uid_of(pod)
        remembered = self._files.load(uid) if _is_resizable(pod) else None
        if remembered is not None:
            self._granted[uid] = remembered
            self._stale.add(uid)  # the earlier agent may have died before it was applied
            former = _in_progress(pod.status)
            if former is not None:
                self._progress[uid] = former
        return self.allocated(pod)

    def grant(self, pod: Pod) -> None:
        """It was let in. A resize that came while no agent was there is looked at now."""
        uid = uid_of(pod)
        if uid in self._granted:
            self.consider(pod)
        elif _is_resizable(pod):
            try:
                self._remember(uid, allocation_of(pod))
            except OSError as error:  # it runs all the same; the next agent takes the spec for granted
                logger.warning("cannot remember what pod %s was granted: %s", log_name(pod), error)

    def consider(self, pod: Pod) -> None:
        """The pod was changed, or only its status: then this is cheap."""
        uid = uid_of(pod)
        if uid not in self._granted:
            return
        if _is_ending(pod):
            self.call_off(uid)
            return
        if self.allocated(pod) is pod:
            if self._pending.pop(uid, None) is not None:
                self._tell_shown(uid)
            return
        known = self._pending.get(uid)
        if not self._open:
            self._early[uid] = pod
        elif known is None or known[1].generation != _generation(pod):
            self._decide(pod)

    def open(self) -> None:
        """Every pod that was there when the agent began is known now: before, there would seem to be room."""
        self._open = True
        while self._early:
            self.consider(self._early.popitem()[1])

    def call_off(self, uid: str) -> None:
        """The pod is on its way out, or over: it is not resized any more."""
        self._early.pop(uid, None)
        self._pending.pop(uid, None)

    def end(self, uid: str) -> None:
        """The file goes with the pod's directory."""
        for known in (self._granted, self._made, self._early, self._pending, self._progress):
            known.pop(uid, None)
        self._stale.discard(uid)

    # Decisions

    def retry(self) -> None:
        """Those that wait, in their order; each is measured against what the one before was granted."""
        waiting = [
            Waiting(pod, self.allocated(pod), pending.since)
            for pod, pending in self._pending.values()
            if pending.verdict.reason == DEFERRED
        ]
        for one in in_order(waiting):
            self._decide(one.desired)

    async def follow(self) -> None:
        """The retries by time: 30 s after something was deferred, then every 3 min; else it sleeps."""
        while True:
            await self._deferred.wait()
            pause = FIRST_RETRY
            while any(pending.verdict.reason == DEFERRED for _, pending in self._pending.values()):
                await asyncio.sleep(pause)
                self.retry()
                pause = RETRY
            self._deferred.clear()

    def _decide(self, pod: Pod) -> None:
        uid, generation = uid_of(pod), _generation(pod)
        found = self._judge(pod, self.allocated(pod))
        if found.reason:
            self._let_wait(pod, found)
            return
        try:
            self._remember(uid, allocation_of(pod))
        except OSError as error:
            self._let_wait(pod, Verdict(DEFERRED, f"cannot remember the resize: {error}"))
            return
        self._pending.pop(uid, None)
        self._progress[uid] = _Progress(generation)
        self._stale.add(uid)
        self._recorder.event(pod, "Normal", "ResizeStarted", event_message("started", pod, generation))
        self._tell_granted(uid)

    def _let_wait(self, pod: Pod, found: Verdict) -> None:
        """Said once; the same again is no news."""
        uid, generation = uid_of(pod), _generation(pod)
        known = self._pending.get(uid)
        since = known[1].since if known else self._clock.monotonic()
        self._pending[uid] = (pod, _Pending(found, generation, since))
        if found.reason == DEFERRED:
            self._deferred.set()
        if known is not None and (known[1].verdict, known[1].generation) == (found, generation):
            return
        text = event_message(found.reason, pod, generation, found.message)
        self._recorder.event(pod, "Warning", f"Resize{found.reason}", text)
        self._tell_shown(uid)

    def _remember(self, uid: str, granted: Allocation) -> None:
        self._files.save(uid, granted)
        self._granted[uid] = granted
        self._made.pop(uid, None)

    # What the pod worker asks and tells (`ports.Allocations`)

    def allocated(self, pod: Pod) -> Pod:
        uid = uid_of(pod)
        granted = self._granted.get(uid)
        if granted is None:
            return pod
        known = self._made.get(uid)
        if known is None or known[0] is not pod:
            known = self._made[uid] = (pod, with_allocation(pod, granted))
        return known[1]

    def is_stale(self, uid: str) -> bool:
        return uid in self._stale

    def applied(self, pod: Pod) -> None:
        """Unless more was granted while the worker was at it."""
        if self._granted.get(uid_of(pod)) == allocation_of(pod):
            self._stale.discard(uid_of(pod))

    def failed(self, pod: Pod, error: str) -> None:
        uid = uid_of(pod)
        known = self._progress.get(uid)
        now = _Progress(known.generation if known else _generation(pod), error)
        self._progress[uid] = now
        if now != known:
            text = event_message("error", pod, now.generation, error)
            self._recorder.event(pod, "Warning", "ResizeError", text)

    def observe(self, pod: Pod, observed: PodRuntimeStatus) -> None:
        uid = uid_of(pod)
        progress = self._progress.get(uid)
        if progress is None or uid in self._stale or _differs(pod, observed):
            return
        del self._progress[uid]
        text = event_message("completed", pod, progress.generation)
        self._recorder.event(pod, "Normal", "ResizeCompleted", text)

    def conditions(self, uid: str) -> Sequence[PodCondition]:
        conditions = []
        if uid in self._pending:
            _, pending = self._pending[uid]
            reason, message = pending.verdict.reason, pending.verdict.message
            conditions.append(_condition(PENDING, pending.generation, reason, message))
        if uid in self._progress:
            progress = self._progress[uid]
            reason = ERROR if progress.error else ""
            conditions.append(_condition(IN_PROGRESS, progress.generation, reason, progress.error))
        return conditions


def _differs(pod: Pod, observed: PodRuntimeStatus) -> bool:
    """Is something else applied to a running container than was granted?"""
    for container in [*init_containers(pod), *regular_containers(pod)]:
        newest = latest(observed, container.name)
        if newest is not None and resize_of(pod, container, newest) is not None:
            return True
    return False


def _condition(type: str, generation: int | None, reason: str, message: str) -> PodCondition:
    return PodCondition(
        type=type,
        status="True",
        observed_generation=generation,
        reason=reason or None,
        message=message or None,
    )


def _in_progress(status: PodStatus | None) -> _Progress | None:
    """What the API still says of a resize that an earlier agent had begun."""
    conditions = (status.conditions if status else None) or ()
    found = next((one for one in conditions if one.type == IN_PROGRESS), None)
    if found is None:
        return None
    return _Progress(found.observed_generation, (found.message or "") if found.reason == ERROR else "")


def _is_resizable(pod: Pod) -> bool:
    """A class is for life, and in this one nobody has cpu or memory; another file is another pod."""
    return qos_class(pod) != BEST_EFFORT and not is_static(pod)


def _generation(pod: Pod) -> int | None:
    return pod.metadata.generation if pod.metadata else None


def _is_ending(pod: Pod) -> bool:
    deleted = pod.metadata is not None and pod.metadata.deletion_timestamp is not None
    return deleted or (pod.status is not None and is_terminal(pod.status.phase))
