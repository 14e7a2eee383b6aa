"""The loop that keeps the node out of trouble (kubelet-behaviour 13.6, 13.7).

Every 10 s: look at what is left; show the conditions; evict every pod that is beyond a storage limit of its
own; else, if a threshold must be acted upon, reclaim what belongs to nobody, and if that does not do, evict
*one* pod and look again. A kubelet on cgroup v2 has no notification of memory getting short either (its memcg
thresholds are of cgroup v1), so the period is what people see on real nodes.

Everything is decided in the pure modules beside this one; it is the pod's own worker that evicts
(`PodWorker.end`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from minikubelet.agent.clock import Clock
from minikubelet.agent.critical_pods import is_critical
from minikubelet.agent.facts import PhaseOverride
from minikubelet.agent.names import log_name, uid_of
from minikubelet.agent.pod_worker import PodWorker
from minikubelet.agent.ports import Recorder
from minikubelet.errors import InternalError, RuntimeServiceError
from minikubelet.runtime.cri import PodDiskUsage, RuntimeService
from minikubelet.v1 import Pod

from .messages import EVICTED, eviction_message
from .pressure import Observations, PressureState, assess, thresholds_met
from .ranking import PodUsage, rank
from .storage_limits import has_storage_limits, storage_violation
from .thresholds import DISK_SIGNALS, INODES, MEMORY, PIDS, EvictionSettings, Threshold

logger = logging.getLogger(__name__)

PERIOD = 10.0
AT_ONCE = 1  # grace of a hard eviction
LEAST_PATIENCE = 10.0  # before the runtime is said to be late with a kill (4.6)
TOO_LATE = "Container runtime did not kill the pod within specified grace period."
PATIENCE_WITH_CLEANUP = 30.0
LONGEST_COUNT = 30.0  # seconds for one pod's files, while the disk is under pressure
PATIENCE_WITH_DU = 5.0  # what is not measured by then is looked at in a later round


class NodeReporter(Protocol):
    """Where conditions and Events of the node go."""

    def report_pressure(self, conditions: Sequence[str]) -> None:
        """The conditions that are True now."""

    def node_event(self, type: str, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the manager works with. `workers`: of all pods of the node; `reclaim_disk` removes dead containers
    and unused images.
    """

    runtime: RuntimeService
    recorder: Recorder
    node: NodeReporter
    clock: Clock
    workers: Callable[[], Collection[PodWorker]]
    observe: Callable[[], Observations]
    reclaim_disk: Callable[[], Awaitable[None]]


class EvictionManager:
    """`conditions`: what the node suffers from, for admission."""

    def __init__(self, settings: EvictionSettings, use: Surroundings) -> None:
        self.conditions: tuple[str, ...] = ()
        self._settings = settings
        self._use = use
        self._state = PressureState()
        self._measuring: dict[str, asyncio.Task[PodDiskUsage]] = {}  # pod uid → its du

    async def run(self) -> None:
        while True:
            evicted: Sequence[PodWorker] = ()
            try:
                evicted = await self.synchronize()
            except (RuntimeServiceError, InternalError, OSError) as error:
                logger.error("cannot look after the node's memory and disks: %s", error)
            if evicted:
                await self._clean_up(evicted)
            else:
                await asyncio.sleep(PERIOD)

    async def synchronize(self) -> Sequence[PodWorker]:
        """One look at everything; who was evicted, and is down (or late)."""
        observations = self._use.observe()
        found = assess(self._settings, observations, self._state, self._use.clock.monotonic())
        self._state = found.state
        if found.conditions != self.conditions:
            self.conditions = found.conditions
            self._use.node.report_pressure(found.conditions)
        evicted = await self._enforce_storage_limits()
        if evicted or not found.to_act_upon:
            return evicted
        return await self._relieve(found.to_act_upon, observations)

    # Node pressure

    async def _relieve(
        self, thresholds: Sequence[Threshold], observations: Observations
    ) -> Sequence[PodWorker]:
        """One pod at most, for the most urgent threshold."""
        threshold = thresholds[0]
        resource = threshold.resource
        self._use.node.node_event("Warning", "EvictionThresholdMet", f"Attempting to reclaim {resource}")
        if threshold.signal in DISK_SIGNALS and await self._reclaimed():
            return []
        workers = {uid_of(worker.pod): worker for worker in self._active()}
        # As granted: who asks for more than there is (a resize that waits, or never comes) is no better off.
        pods = [worker.allocated for worker in workers.values()]
        used = await asyncio.gather(*(self._usage(pod, resource) for pod in pods))
        for pod, usage in rank(zip(pods, used, strict=True), resource):
            if is_critical(pod):
                continue
            message = eviction_message(pod, usage, resource, thresholds, observations)
            worker = workers[uid_of(pod)]
            await self._evict(worker, message, self._grace(threshold, pod), disruption=message)
            return [worker]
        logger.warning("the node is low on %s, and there is no pod that may be evicted", resource)
        return []

    async def _reclaimed(self) -> bool:
        """Dead containers and unused images go first; is that enough?"""
        try:
            await self._use.reclaim_disk()
        except (RuntimeServiceError, OSError) as error:
            logger.warning("cannot reclaim all there is: %s", error)
        return not thresholds_met(self._settings.thresholds, self._use.observe(), with_reclaim=True)

    def _grace(self, threshold: Threshold, pod: Pod) -> int:
        if threshold.hard:
            return AT_ONCE
        own = pod.spec.termination_grace_period_seconds if pod.spec else None
        return self._settings.max_pod_grace if own is None else min(self._settings.max_pod_grace, own)

    async def _usage(self, pod: Pod, resource: str) -> PodUsage | None:
        runtime, uid = self._use.runtime, uid_of(pod)
        if resource in (MEMORY, PIDS):
            whole = await runtime.pod_usage(uid)
            if whole is None:
                return None
            if resource == PIDS:
                return PodUsage(whole.processes)
            each = {one.name: one.memory_working_set for one in await runtime.stats(uid)}
            return PodUsage(whole.memory, each)
        try:
            disk = await runtime.disk_usage(uid, inodes=resource == INODES, limit=LONGEST_COUNT)
        except TimeoutError:
            return None  # so much that it cannot be counted: this one goes first
        except RuntimeServiceError as error:
            logger.warning("pods are ranked without their use of the disk: %s", error)
            return PodUsage(0)
        return PodUsage(disk.total, {name: disk.container(name) for name in {**disk.logs, **disk.layers}})

    # Storage limits

    async def _enforce_storage_limits(self) -> Sequence[PodWorker]:
        limited = {uid_of(worker.pod): worker for worker in self._active() if has_storage_limits(worker.pod)}
        for uid in limited:
            if uid not in self._measuring:
                task = asyncio.create_task(self._use.runtime.disk_usage(uid), name=f"measure {uid}")
                self._measuring[uid] = task
        if not self._measuring:
            return []
        await asyncio.wait(self._measuring.values(), timeout=PATIENCE_WITH_DU)
        done = [uid for uid, task in self._measuring.items() if task.done()]
        evicted = []
        for uid, usage in [(uid, _measured(self._measuring.pop(uid))) for uid in done]:
            worker = limited.get(uid)
            message = storage_violation(worker.pod, usage) if worker and usage else None
            if worker is not None and message is not None and not is_critical(worker.pod):
                evicted.append(worker)
                await self._evict(worker, message, AT_ONCE)
        return evicted

    # Both

    def _active(self) -> list[PodWorker]:
        return [worker for worker in self._use.workers() if worker.is_active]

    async def _clean_up(self, evicted: Sequence[PodWorker]) -> None:
        """Not before their volumes are gone, too, is it seen what the eviction was good for."""
        try:
            async with asyncio.timeout(PATIENCE_WITH_CLEANUP):
                for worker in evicted:
                    await worker.cleaned_up.wait()
        except TimeoutError:
            logger.warning("evicted pods still hold memory or disk; going on without")

    async def _evict(self, worker: PodWorker, message: str, grace: int, disruption: str = "") -> None:
        """Returns when nothing of it runs any more, or when that takes too long."""
        logger.info("evicting pod %s: %s", log_name(worker.pod), message)
        self._use.recorder.event(worker.pod, "Warning", EVICTED, message)
        worker.end(PhaseOverride(EVICTED, message, disruption=disruption), grace)
        try:
            async with asyncio.timeout(max(LEAST_PATIENCE, grace * 1.5)):
                await worker.stopped.wait()
        except TimeoutError:
            self._use.recorder.event(worker.pod, "Warning", "ExceededGracePeriod", TOO_LATE)


def _measured(task: asyncio.Task[PodDiskUsage]) -> PodDiskUsage | None:
    """None: it could not be measured, so its limits cannot be kept in this round."""
    try:
        return task.result()
    except (RuntimeServiceError, OSError) as error:
        logger.warning("storage limits are not kept: %s", error)
        return None
