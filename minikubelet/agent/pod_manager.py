"""The coming and going of pods: who is let in, who works for it, what becomes of its room when it is over.

    a pod without a node ──▶ binder ──▶ the same pod, bound ──▶ admission ──▶ a worker
                                        (a critical one perhaps not before others are over: `room_making`)
    worker ──publish(status)──▶ store        worker ──finished(pod)──▶ object removed, worker forgotten

One `PodWorker` for each pod bound to this node. Nothing here waits, and nothing is decided here about one pod
alone: binding is `scheduler`'s, admission `admission`'s, everything else the worker's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from minikubelet.agent.admission import Surroundings, admit, without_room
from minikubelet.agent.allocation_files import AllocationFiles
from minikubelet.agent.app_armor import why_not_enforced
from minikubelet.agent.binder import Binder
from minikubelet.agent.clock import Clock
from minikubelet.agent.conditions import DISRUPTION_TARGET, OWNED
from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.agent.events import EventRecorder
from minikubelet.agent.hooks import Hooks
from minikubelet.agent.mirror_pods import runtime_uid
from minikubelet.agent.names import uid_of
from minikubelet.agent.node_status import MachineFacts
from minikubelet.agent.phase import API, STATIC_POD_ANNOTATION, is_static, is_terminal
from minikubelet.agent.pod_status import rejected_status
from minikubelet.agent.pod_worker import PodWorker
from minikubelet.agent.ports import Collaborators, NodeFacts
from minikubelet.agent.prober import ProbeContext, ProbeManager
from minikubelet.agent.resize import Verdict as ResizeVerdict
from minikubelet.agent.resize import verdict as resize_verdict
from minikubelet.agent.resizes import Resizes
from minikubelet.agent.room_making import RoomMaking
from minikubelet.agent.scheduler.binding import wants_binding
from minikubelet.agent.scheduler_cache import SchedulerCache
from minikubelet.agent.sysctls import allowed_unsafe
from minikubelet.agent.taint_eviction import TaintEviction
from minikubelet.config import Paths
from minikubelet.errors import Conflict, FieldError, NotFound
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import PodLifecycleEvent
from minikubelet.runtime.resources import qos_cgroups
from minikubelet.runtime.service import Service
from minikubelet.store import Store
from minikubelet.v1 import Pod, PodStatus, from_dict, to_dict

logger = logging.getLogger(__name__)


class PodManager:
    """What static pods need (`static_pods.Workers`) and what publishes for the workers (`ports.Publisher`).

    `refuse` knows the limits that this node cannot keep, `pressures` its conditions that are True; a static
    pod of which nothing is left is told to `static_finished`.
    """

    def __init__(
        self,
        paths: Paths,
        configuration: KubeletConfiguration,
        facts: MachineFacts,
        store: Store,
        service: Service,
        cgroups: Cgroups,
        config: ConfigObjects,
        recorder: EventRecorder,
        clock: Clock,
        *,
        refuse: Callable[[Pod], Sequence[FieldError]],
        pressures: Callable[[], Sequence[str]],
        static_finished: Callable[[Pod], None],
    ) -> None:
        self._facts = facts
        self._store = store
        self._rules = service.rules
        self._cgroups = cgroups
        self._config = config
        self._recorder = recorder
        self._clock = clock
        self._refuse = refuse
        self._pressures = pressures
        self._static_finished = static_finished
        self._allowed_sysctls = allowed_unsafe(configuration.allowedUnsafeSysctls)
        self._no_app_armor = why_not_enforced()
        self._workers: dict[str, PodWorker] = {}  # pod uid → its worker
        self._cache = SchedulerCache(facts.name, granted=lambda pod: self._resizes.allocated(pod))
        self._binder = Binder(store, recorder, clock, facts.name, self._cache)
        self._room = RoomMaking(self._workers, recorder, self._begin)
        self._taints = TaintEviction(store, recorder, clock)
        self._resizes = Resizes(
            AllocationFiles(paths.pod), recorder, clock, self._judge, self._resized, self.wake
        )
        chance = random.Random()
        self._probes = ProbeContext(
            service, recorder, clock, chance, self._probe_changed, pressure=service.pressure
        )
        self._prober = ProbeManager(self._probes)
        self._with = Collaborators(
            runtime=service,
            prober=self._prober,
            recorder=recorder,
            hooks=Hooks(service, recorder),
            publisher=self,
            clock=clock,
            random=chance,
            node=NodeFacts(facts.name, (facts.address,)),
            allocations=self._resizes,
            max_restart_delay=configuration.max_restart_period,
        )

    @property
    def workers(self) -> Collection[PodWorker]:
        return self._workers.values()

    @property
    def uids(self) -> Collection[str]:
        """Of the pods that have a worker."""
        return self._workers.keys()

    def probe_metrics(self) -> str:
        return self._probes.metrics.text()

    async def stop(self) -> None:
        """The pods are left as they are. All at once: while one is waited for, another may finish, and is
        forgotten.
        """
        self._taints.close()
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        await self._prober.close()

    # What the node tells

    def begin(self, pods: Iterable[dict[str, Any]]) -> None:
        """The API pods that are there when the agent starts: first those that have a place, in the order they
        were made; then the queue, by importance.
        """
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
            if wants_binding(pod):
                self._binder.enqueue(pod)
            else:
                self.api_changed("ADDED", pod)
        self._resizes.open()
        self._binder.try_again()

    def api_changed(self, kind: str, pod: dict[str, Any]) -> None:
        """A pod of the API that is no mirror: bind it if nobody has, tell its worker."""
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._binder.forget(uid)
            self.end_pod(from_api(pod))
        elif wants_binding(pod):
            self._binder.offer(pod)
        else:
            self._binder.forget(uid)
            if pod["spec"].get("nodeName") == self._facts.name:
                self.change_pod(from_api(pod))

    def node_changed(self, node: dict[str, Any]) -> None:
        self._cache.node_changed(node)
        self._taints.node_changed(self._cache.taints, self._cache.pods)
        self._binder.try_again()

    def namespace_changed(self, kind: str, namespace: dict[str, Any]) -> None:
        self._cache.namespace_changed(kind, namespace)
        self._binder.try_again()

    def claim_changed(self, kind: str, claim: dict[str, Any]) -> None:
        self._cache.claim_changed(kind, claim)
        self._binder.try_again()

    def wake(self, uid: str, event: PodLifecycleEvent | None = None) -> None:
        """Something changed that the pod's worker looks at."""
        if uid in self._workers:
            self._workers[uid].wake(event)

    async def retry_resizes(self) -> None:
        """For ever."""
        await self._resizes.follow()

    # A pod's way in

    def begin_pod(self, pod: Pod) -> None:
        self.change_pod(pod)

    def change_pod(self, pod: Pod) -> None:
        """It has a place here, and is new or was changed."""
        uid = uid_of(pod)
        self._config.pod_changed(pod)
        worker = self._workers.get(uid)
        if worker is not None:
            self._resizes.consider(pod)
            worker.update(pod)
            self._replace(uid, pod, worker.status)
        elif _is_over(pod.status):
            self._cache.remove(uid)
            self._workers[uid] = PodWorker(pod, self._with)
        elif _is_ending(pod) and self._room.forget(uid):
            self._begin(pod)  # its worker has an end to make of it
        elif not self._room.update(pod):
            self._admit(pod)

    def _admit(self, pod: Pod) -> None:
        """The kubelet's own look at a pod that begins: one that is rejected is over at once (1.5, 7.1)."""
        around = Surroundings(
            self._cache.beside(uid_of(pod)), self._pressures(), self._allowed_sysctls, self._no_app_armor
        )
        verdict = admit(self._resizes.begin(pod), around)
        if verdict.rejection is not None:
            reason, message = verdict.rejection.reason, verdict.rejection.message
            pod.status = rejected_status(pod, reason, message, self._clock.now())
            self.publish(pod, pod.status)
            self._recorder.event(pod, "Warning", reason, message)
            self.change_pod(pod)
            return
        self._cache.place(pod)
        if verdict.victims:
            self._room.make(pod, verdict.victims)
        else:
            self._begin(pod)

    def _begin(self, pod: Pod) -> None:
        """It was let in, and its room is free."""
        self._resizes.grant(pod)
        self.refresh_qos()
        self._workers[uid_of(pod)] = PodWorker(pod, self._with)
        self._taints.pod_changed(pod)

    def _replace(self, uid: str, pod: Pod, status: PodStatus) -> None:
        """A pod that has a place was changed: its labels may let in one that waits."""
        if _is_over(status):
            return
        if _is_ending(pod):
            self._taints.pod_gone(uid)
        else:
            self._taints.pod_changed(pod)
        if self._cache.place(pod):
            self._binder.try_again()

    # Resizes, probes

    def _judge(self, desired: Pod, granted: Pod) -> ResizeVerdict:
        """May a pod be resized (6.12)?"""
        info = self._cache.beside(uid_of(desired))
        refusals, lacking = self._refuse(desired), without_room(desired, info)
        return resize_verdict(
            desired,
            granted,
            info.allocatable,
            rules=self._rules,
            refused=str(refusals[0]) if refusals else "",
            rejected=lacking.message if lacking else "",
        )

    def _resized(self, uid: str) -> None:
        """Its resize was granted; whoever waits for room, or for a resize, may have been waiting for that."""
        self.refresh_qos()
        self.wake(uid)
        asyncio.get_running_loop().call_soon(self._resizes.retry)

    def refresh_qos(self) -> None:
        """kubepods and its classes follow the sum of what their pods asked for (6.6)."""
        facts = self._facts
        settings = qos_cgroups(
            [self._resizes.allocated(pod) for pod in self._cache.pods],
            milli_cpu=facts.unreserved("cpu", facts.cpus * 1000),
            memory=facts.unreserved("memory", facts.memory),
            pids=facts.unreserved("pid", facts.pids),
            rules=self._rules,
        )
        self._cgroups.start(settings)

    def _probe_changed(self, uid: str) -> None:
        if uid in self._workers:
            self._workers[uid].probe_changed()

    # What workers report

    def status_of(self, uid: str) -> PodStatus | None:
        return self._workers[uid].status if uid in self._workers else None

    def publish(self, pod: Pod, status: PodStatus) -> None:
        """Write, and by that tell: the store wakes whoever watches."""
        metadata = pod.metadata
        assert metadata is not None

        def change(obj: dict[str, Any]) -> None:
            if runtime_uid(obj) == metadata.uid:
                obj["status"] = _keeping_foreign_conditions(to_dict(status), obj.get("status", {}))

        try:
            self._store.modify("pods", metadata.namespace or "", metadata.name or "", change)
        except NotFound:
            logger.debug("the pod %s was removed while it ran", metadata.name)
        if _is_over(status):
            self._left(uid_of(pod))

    # A pod's way out

    def end_pod(self, pod: Pod) -> None:
        """Nobody wants it any more."""
        if uid_of(pod) in self._workers:
            self._workers[uid_of(pod)].remove(pod)
        elif self._room.forget(uid_of(pod)):
            self.finished(pod)

    def finished(self, pod: Pod) -> None:
        """Nothing of it is left on the node."""
        metadata = pod.metadata
        assert metadata is not None
        if metadata.deletion_timestamp is not None:
            try:
                self._store.delete("pods", metadata.namespace or "", metadata.name or "", uid=metadata.uid)
            except (NotFound, Conflict):
                logger.debug("the pod %s was removed by somebody else", metadata.name)
        uid = uid_of(pod)
        self._workers.pop(uid, None)
        self._resizes.end(uid)
        self._left(uid)
        self._config.pod_gone(uid)
        if is_static(pod):
            self._static_finished(pod)

    def _left(self, uid: str) -> None:
        """It takes no room any more."""
        self._taints.pod_gone(uid)
        self._resizes.call_off(uid)
        if self._cache.remove(uid):
            self.refresh_qos()
            self._room.left(uid)
            self._resizes.retry()
            self._binder.try_again()


def from_api(pod: dict[str, Any]) -> Pod:
    """Whatever its annotations pretend: what comes from the API is no static pod."""
    read = from_dict(Pod, pod)
    if is_static(read) and read.metadata is not None:
        read.metadata.annotations = (read.metadata.annotations or {}) | {STATIC_POD_ANNOTATION: API}
    return read


def _is_over(status: PodStatus | None) -> bool:
    return status is not None and is_terminal(status.phase)


def _is_ending(pod: Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletion_timestamp is not None


def _keeping_foreign_conditions(status: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """A condition that somebody else has set in the meantime is not ours to drop: a readiness gate, or the
    DisruptionTarget of the scheduler or of a taint.
    """
    known = {condition["type"] for condition in status.get("conditions", ())}
    ours = known | ({*OWNED} - {DISRUPTION_TARGET})
    foreign = [c for c in stored.get("conditions", ()) if c["type"] not in ours]
    if not foreign:
        return status
    return status | {"conditions": [*foreign, *status.get("conditions", ())]}
