"""One task for each pod: observe, decide, act, report (kubelet-behaviour 2.3, 4.3, 14.2).

    syncing ──deleted, or its phase is terminal──▶ terminating ──all dead──▶ terminated ──deleted──▶ finished

The phases only move forward. The worker's mailbox holds one thing, the latest pod; whatever arrives in the
middle of a round is looked at in the next. Rounds follow one another when something happened (the pod
changed, a container died, a probe's result changed) and otherwise after a pause: 60 s when all is well, 10 s
after an error, the end of the back-off when a container is in one; each a little longer by chance, so that
pods do not march in step.

Nothing in memory is needed to go on after a restart of the agent: the worker begins by observing, and what
runs is kept. Nobody else starts or stops containers. What there is to do is decided in `pod_actions` and
done in `pod_sync`, what there is to say in `pod_status`; how one container is started is told in
`container_start`, how containers end in `termination`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from enum import Enum

from minikubelet.errors import FailedMount, InternalError, KillContainerError, RuntimeServiceError
from minikubelet.runtime.cri import PodLifecycleEvent, PodRuntimeStatus
from minikubelet.v1 import Pod, PodStatus, to_dict

from .backoff import Backoff
from .container_start import StartFailed
from .facts import PhaseOverride, Situation
from .names import log_name, uid_of
from .phase import is_static, is_terminal
from .pod_actions import PodActions, pod_actions
from .pod_status import final_status, generate_status, illegal_transition, published_status
from .pod_sync import PodSync
from .ports import Collaborators
from .restart_policy import init_containers, is_sidecar, regular_containers
from .termination import kill_containers, pod_grace

logger = logging.getLogger(__name__)

AT_ONCE = 0.0
RESYNC = 60.0
ERROR_PAUSE = 10.0
# The kubelet's relist sees a new sandbox and syncs once more: so ErrImagePull is followed by ImagePullBackOff
# within a second (2.9).
AFTER_NEW_SANDBOX = 1.0
MOUNT_PAUSE, LONGEST_MOUNT_PAUSE = 0.5, 122.0  # 10.9: doubled from one to the other
LONGEST_BACKOFF_PAUSE = 60.0
SPREAD = 1.5
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class Phase(Enum):
    """Of the worker, not of the pod."""

    SYNCING = "syncing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FINISHED = "finished"


class PodWorker:
    """Looks after one pod (one uid) until nothing is left of it. Starts working when it is made."""

    def __init__(self, pod: Pod, use: Collaborators) -> None:
        self.phase = Phase.SYNCING
        self._use = use
        self._pod = pod
        self._uid = uid_of(pod)
        self._removed = False  # the API object is gone
        self._override: PhaseOverride | None = None  # somebody else ends the pod
        self.stopped = asyncio.Event()  # nothing of it runs, and nothing will again
        self.cleaned_up = asyncio.Event()  # nor does it hold memory or disk, but for layers and logs
        self._least_grace: int | None = None
        self._belief = pod.status or PodStatus()  # what we know; at first, what the API knows of us
        self._published = self._belief
        self._is_unpublished = False  # there is more to say than could be stored
        self._observed: PodRuntimeStatus | None = None
        self._sync = PodSync(pod, use, self._report)
        self._mounts = Backoff(cap=LONGEST_MOUNT_PAUSE, initial=MOUNT_PAUSE)
        self._deadline: tuple[object, float] | None = None  # (what it was computed from, monotonic)
        self._deadline_told = False
        self._awake = asyncio.Event()
        metadata = pod.metadata
        assert metadata is not None
        name = f"pod {metadata.namespace}/{metadata.name}"
        self._task = asyncio.create_task(self._run(), name=name)

    # What others call; none of these waits for the pod

    def update(self, pod: Pod) -> None:
        """The API object changed. What only changed in its status wakes nobody: it came from here."""
        if self._removed:
            return
        former, self._pod = self._pod, pod
        if _wanted(former) != _wanted(pod):
            self._awake.set()

    def remove(self, pod: Pod) -> None:
        """The API object is gone (force delete): end everything within a second or three. Or the file of a
        static pod is gone: end it as if it had been deleted.
        """
        self._pod = pod
        self._removed = True
        self._awake.set()

    def end(self, override: PhaseOverride, grace: int) -> None:
        """The node ends the pod for its own reasons (eviction, preemption), within so many seconds. The
        object stays, with the phase, reason and message given. `stopped` is set when nothing runs any more.
        """
        if not self.is_active:
            return
        self._override = override
        self._least_grace = grace if self._least_grace is None else min(grace, self._least_grace)
        self._awake.set()

    def wake(self, event: PodLifecycleEvent | None = None) -> None:
        """Something changed below. Nobody but this worker starts containers, so starts are no news."""
        if event is None or event.type != "ContainerStarted":
            self._awake.set()

    def probe_changed(self) -> None:
        """A stored probe result changed: `ready` and `started` are shown at once, even while a start blocks
        the sync (3.4, 5.2); everything else follows in the next round.
        """
        if self._observed is not None and self.phase in (Phase.SYNCING, Phase.TERMINATING):
            self._report(self.allocated, self._observed)
        self._awake.set()

    async def stop(self) -> None:
        """The agent ends; the pod is left as it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_active(self) -> bool:
        """Not on its way out."""
        return self.phase is Phase.SYNCING and self._override is None

    @property
    def pod(self) -> Pod:
        """As the API, or the file, says now."""
        return self._pod

    @property
    def allocated(self) -> Pod:
        """With the resources it was granted: the pod all the work is done for."""
        return self._use.allocations.allocated(self._pod)

    @property
    def status(self) -> PodStatus:
        """As published last."""
        return self._published

    # The loop

    async def _run(self) -> None:
        while self.phase is not Phase.FINISHED:
            self._awake.clear()
            pause = await self._round()
            await self._sleep(pause)

    async def _round(self) -> float | None:
        """One round of the current phase; how long to rest after it, None: until something happens."""
        pod = self.allocated
        try:
            if self._must_terminate(pod) and self.phase is Phase.SYNCING:
                self.phase = Phase.TERMINATING
            if self.phase is Phase.SYNCING:
                return await self._sync_pod(pod)
            if self.phase is Phase.TERMINATING:
                return await self._terminate_pod(pod)
            return await self._clean_up(pod)
        except FailedMount as error:
            logger.warning("cannot mount the volumes of pod %s: %s", log_name(pod), error)
            now = self._use.clock.monotonic()
            self._mounts.next("", since=now, now=now)
            return self._mounts.delay("")
        except (RuntimeServiceError, InternalError) as error:
            logger.warning("cannot %s pod %s: %s", _VERBS[self.phase], log_name(pod), error)
        except Exception as error:
            logger.exception("the worker of pod %s failed", log_name(pod))
            message = f"error determining status: {error}"
            self._use.recorder.event(pod, "Warning", "FailedSync", message)
        return self._spread(ERROR_PAUSE)

    async def _sleep(self, pause: float | None) -> None:
        if self._is_unpublished:
            pause = ERROR_PAUSE if pause is None else min(pause, ERROR_PAUSE)
        deadline = self._deadline_at()
        if self.phase is Phase.SYNCING and deadline is not None and pause is not None:
            pause = min(pause, max(0.0, deadline - self._use.clock.monotonic()))
        try:
            async with asyncio.timeout(pause):
                await self._awake.wait()
        except TimeoutError:
            return

    def _spread(self, pause: float) -> float:
        return pause * self._use.random.uniform(1.0, SPREAD)

    def _must_terminate(self, pod: Pod) -> bool:
        assert pod.metadata is not None
        ended = is_terminal(pod.status.phase) if pod.status else False
        deleted = self._removed or pod.metadata.deletion_timestamp is not None
        return deleted or ended or self._override is not None

    # Syncing (2.3)

    async def _sync_pod(self, pod: Pod) -> float:
        """1. observe what exists
        2. report it; a terminal phase hands over to termination
        3. start the probe workers that are missing
        4. decide
        5. act: kill what must go, make the sandbox, resize what runs, start containers
        6. observe and report again: now it is seen why a start failed
        """
        observed = await self._sync.observe()
        if self._report(pod, observed):
            self.phase = Phase.TERMINATING
            return AT_ONCE
        self._use.prober.add_pod(pod)
        actions = pod_actions(pod, observed, self._use.prober.results(self._uid), self._belief)
        resized = self._use.allocations.is_stale(self._uid)
        failures = await self._sync.carry_out(pod, observed, actions)
        if resized or not actions.nothing:
            self._report(pod, await self._sync.observe())
        return self._pause_after(observed, actions, failures)

    def _pause_after(
        self, observed: PodRuntimeStatus, actions: PodActions, failures: Sequence[StartFailed]
    ) -> float:
        if actions.to_reset:
            return AT_ONCE  # all instances are gone: start with the first init container
        if failures:
            pause = self._spread(min(self._retry_in(failure) for failure in failures))
            return min(pause, AFTER_NEW_SANDBOX) if actions.create_sandbox else pause
        if self._sync.resize_failed:
            return self._spread(ERROR_PAUSE)
        if actions.kill_pod and not actions.create_sandbox and _is_alive(observed):
            return AT_ONCE  # now that all are dead, the phase says how it went
        if any(is_sidecar(container) for container in actions.init_to_start):
            return AT_ONCE  # it has started: the next in line may
        return self._spread(RESYNC)

    def _retry_in(self, failure: StartFailed) -> float:
        if failure.retry_at is None:
            return ERROR_PAUSE
        return min(max(0.0, failure.retry_at - self._use.clock.monotonic()), LONGEST_BACKOFF_PAUSE)

    # Terminating (4.3): deletion, a terminal phase, the deadline

    async def _terminate_pod(self, pod: Pod) -> float:
        """1. report the states before the kill
        2. no more liveness and startup probes of regular containers
        3. stop every container, each with the pod's grace period, sidecars in order
        4. stop the sandbox
        5. report how all of them ended; only now may a terminal phase be seen
        """
        observed = await self._sync.observe()
        if is_terminal(self._published.phase) and not _is_alive(observed):
            # Ended long ago, or never let in: the agent was restarted and has nothing to add.
            self._set_terminated()
            return AT_ONCE
        self._report(pod, observed)
        self._use.prober.stop_liveness_and_startup(self._uid)
        await self._stop_everything(pod, observed)
        self._use.prober.remove_pod(self._uid)
        self._set_terminated()
        self._report(self.allocated, await self._sync.observe())
        return AT_ONCE

    def _set_terminated(self) -> None:
        self.phase = Phase.TERMINATED
        self.stopped.set()

    async def _stop_everything(self, pod: Pod, observed: PodRuntimeStatus) -> None:
        forced = self._removed and not is_static(pod)
        self._least_grace = pod_grace(pod, 1 if forced else self._least_grace)
        try:
            await kill_containers(pod, observed, self._least_grace, self._use)
            await self._use.runtime.stop_pod_sandbox(self._uid)
            running = [one.name for one in (await self._sync.observe()).containers if one.state == "running"]
            if running:
                raise KillContainerError(f"still running after a kill: {', '.join(running)}")
        except RuntimeServiceError as error:
            self._use.recorder.event(pod, "Warning", "FailedKillPod", f"error killing pod: {error}")
            raise

    # Terminated

    async def _clean_up(self, pod: Pod) -> float | None:
        """A finished pod keeps its records and logs until it is deleted; then nothing of it stays. What its
        volumes held goes at once: nobody will look at it, and memory and disk are for those that run.
        """
        assert pod.metadata is not None
        deleted = self._removed or pod.metadata.deletion_timestamp is not None
        if deleted:
            self._use.prober.remove_pod(self._uid)
            await self._use.runtime.remove_pod(self._uid)
        else:
            await self._use.runtime.remove_volumes(self._uid)
        if self._observed is not None:
            self._publish(pod, final_status(pod, self._belief))
        self.cleaned_up.set()
        if not deleted:
            return None
        self._use.publisher.finished(pod)
        self.phase = Phase.FINISHED
        return AT_ONCE

    # Observe and report

    def _report(self, pod: Pod, observed: PodRuntimeStatus) -> bool:
        """Make the status, publish what may be shown; is the pod's phase terminal?"""
        use = self._use
        use.allocations.observe(pod, observed)
        status = generate_status(pod, observed, self._belief, self._situation(pod), use.clock.now())
        broken = illegal_transition(pod, status, self._belief)
        if broken is not None:
            logger.warning("pod %s: container %s cannot leave its terminated state", log_name(pod), broken)
            return is_terminal(self._belief.phase)
        self._belief, self._observed = status, observed
        may_be_running = self.phase in (Phase.SYNCING, Phase.TERMINATING)
        self._publish(pod, published_status(status, self._published, may_be_running=may_be_running))
        for name in _started_but_not_ready(pod, status):
            use.prober.probe_readiness_now(self._uid, name)
        return is_terminal(status.phase)

    def _publish(self, pod: Pod, status: PodStatus) -> None:
        if to_dict(status) == to_dict(self._published):
            return
        try:
            self._use.publisher.publish(pod, status)
        except InternalError as error:
            # The disk is full. What there is to do must not wait for what there is to say: perhaps it is this
            # pod that has to be killed to make room.
            logger.warning("cannot store the status of pod %s: %s", log_name(pod), error)
            self._is_unpublished = True
            return
        self._published = status
        self._is_unpublished = False
        self._use.prober.status_published(pod, status)

    def _situation(self, pod: Pod) -> Situation:
        return Situation(
            results=self._use.prober.results(self._uid),
            reasons=self._sync.reasons,
            node=self._use.node,
            override=self._override or self._past_deadline(pod),
            stopped=self.phase is Phase.TERMINATED,
            resizes=() if self.phase is Phase.TERMINATED else self._use.allocations.conditions(self._uid),
            resize_unfinished=self._use.allocations.is_stale(self._uid),
        )

    # The active deadline (4.7)

    def _past_deadline(self, pod: Pod) -> PhaseOverride | None:
        deadline = self._deadline_at()
        if deadline is None or self._use.clock.monotonic() < deadline:
            return None
        if not self._deadline_told:
            self._deadline_told = True
            self._use.recorder.event(pod, "Normal", "DeadlineExceeded", DEADLINE_MESSAGE)
        return PhaseOverride("DeadlineExceeded", DEADLINE_MESSAGE)

    def _deadline_at(self) -> float | None:
        """On the monotonic clock; computed anew only when the spec was changed."""
        assert self._pod.spec is not None
        seconds, start = self._pod.spec.active_deadline_seconds, self._belief.start_time
        if seconds is None or start is None:
            return None
        if self._deadline is None or self._deadline[0] != (start, seconds):
            left = start + timedelta(seconds=seconds) - self._use.clock.now()
            self._deadline = ((start, seconds), self._use.clock.monotonic() + left.total_seconds())
        return self._deadline[1]


_VERBS = {Phase.SYNCING: "sync", Phase.TERMINATING: "terminate", Phase.TERMINATED: "clean up"}


def _wanted(pod: Pod) -> tuple[object, ...]:
    """What, when it changes, makes a difference to the worker: spec, deletion, other people's conditions
    (readiness gates), and the labels and annotations that a downwardAPI volume shows.
    """
    metadata = pod.metadata
    assert metadata is not None
    gates = {gate.condition_type for gate in (pod.spec and pod.spec.readiness_gates) or ()}
    conditions = [
        (condition.type, condition.status)
        for condition in (pod.status and pod.status.conditions) or ()
        if condition.type in gates
    ]
    deletion = (metadata.deletion_timestamp, metadata.deletion_grace_period_seconds)
    return pod.spec, deletion, conditions, metadata.labels, metadata.annotations


def _is_alive(observed: PodRuntimeStatus) -> bool:
    ready = any(sandbox.ready for sandbox in observed.sandboxes)
    return ready or any(one.state == "running" for one in observed.containers)


def _started_but_not_ready(pod: Pod, status: PodStatus) -> list[str]:
    """Containers whose readiness is checked at once, at every status made (3.2)."""
    probed = {
        container.name
        for container in [*init_containers(pod), *regular_containers(pod)]
        if container.readiness_probe is not None
    }
    statuses = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    return [one.name or "" for one in statuses if one.name in probed and one.started and not one.ready]
