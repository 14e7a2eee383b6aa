"""The node: what the agent knows, and who works for it.

One `PodWorker` for each pod bound to this node, one task that feeds them from the store, one that wakes them
when something changed below. Read `start` as the inventory. The node decides nothing about a pod: binding is
`scheduler`'s, everything else the worker's.

    store ──watch pods──▶ binder (if nobody has bound it) ──▶ admission ──▶ worker.update(pod)
    store ──watch nodes, namespaces, claims──▶ cache ──▶ binder: does one that waits fit now?
    files ──static pods──▶ worker.update(pod), and a mirror in the store
    runtime ──events──▶ worker.wake(event)
    worker ──publish(status)──▶ store          worker ──finished(pod)──▶ object removed, worker forgotten
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any

from minikubelet.agent import config_objects
from minikubelet.agent.admission import Surroundings, admit, without_room
from minikubelet.agent.allocation_files import AllocationFiles
from minikubelet.agent.app_armor import why_not_enforced
from minikubelet.agent.binder import Binder
from minikubelet.agent.claims import Claims
from minikubelet.agent.clock import Clock
from minikubelet.agent.conditions import DISRUPTION_TARGET, OWNED
from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.agent.hooks import Hooks
from minikubelet.agent.mirror_pods import is_mirror, runtime_uid
from minikubelet.agent.names import uid_of
from minikubelet.agent.node_access import NodeAccess
from minikubelet.agent.node_objects import NodeObjects
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
from minikubelet.agent.static_pods import StaticPods
from minikubelet.agent.sysctls import allowed_unsafe
from minikubelet.agent.taint_eviction import TaintEviction
from minikubelet.agent.upkeep import Upkeep
from minikubelet.config import Paths
from minikubelet.errors import (
    Conflict,
    NotFound,
    RuntimeServiceError,
)
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.environment import CLAIMS
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.resources import qos_cgroups
from minikubelet.runtime.service import Service
from minikubelet.store import Store
from minikubelet.v1 import Pod, PodStatus, from_dict, to_dict

logger = logging.getLogger(__name__)

LOG_ROTATION = 10.0
ORPHAN_GRACE = 2  # a grace of 1 s, and at least 2 between the stop signal and KILL (4.2, 4.3)


class Node(NodeAccess):
    """What the API calls (`api.backend.Backend`) and what publishes for the workers (`ports.Publisher`)."""

    def __init__(
        self,
        paths: Paths,
        facts: MachineFacts,
        pod_cidr: str,
        store: Store,
        service: Service,
        cgroups: Cgroups,
        images: ImageStore,
        configuration: KubeletConfiguration,
        objects: ConfigObjects,
        manifests: Path | None = None,
    ) -> None:
        super().__init__(store, service, cgroups, images)
        self.node_name = facts.name
        self._facts = facts
        self._clock = Clock()
        self._allowed_sysctls = allowed_unsafe(configuration.allowedUnsafeSysctls)
        self._no_app_armor = why_not_enforced()
        self._workers: dict[str, PodWorker] = {}  # pod uid → its worker
        self._cache = SchedulerCache(facts.name, granted=lambda pod: self._resizes.allocated(pod))
        self._tasks: list[asyncio.Task[None]] = []
        self._random = random.Random()
        self._config = objects
        self._objects = NodeObjects(store, facts, pod_cidr, self._clock, self.images_of_status)
        self._recorder = self._objects.recorder
        self._claims = Claims(store, paths.claims, self._recorder)
        self._binder = Binder(store, self._recorder, self._clock, facts.name, self._cache)
        self._room = RoomMaking(self._workers, self._recorder, self._begin)
        self._taints = TaintEviction(store, self._recorder, self._clock)
        self._probes = ProbeContext(
            service,
            self._recorder,
            self._clock,
            self._random,
            self._probe_changed,
            pressure=service.pressure,
        )
        self._prober = ProbeManager(self._probes)
        self._resizes = Resizes(
            AllocationFiles(paths.pod), self._recorder, self._clock, self._judge, self._resized, self._wake
        )
        self._with = Collaborators(
            runtime=service,
            prober=self._prober,
            recorder=self._recorder,
            hooks=Hooks(service, self._recorder),
            publisher=self,
            clock=self._clock,
            random=self._random,
            node=NodeFacts(facts.name, (facts.address,)),
            allocations=self._resizes,
            max_restart_delay=configuration.max_restart_period,
        )
        self._static = StaticPods(
            manifests, facts.name, store, self._recorder, self._clock, self, self.refuse
        )
        self._upkeep = Upkeep(
            paths,
            configuration,
            service,
            images,
            cgroups,
            self._objects,
            self._clock,
            workers=self._workers.values,
            known=lambda: {*self._workers, *(uid_of(pod) for pod in self._api_pods())},
            in_use=self._in_use,
        )

    # Life

    async def start(self) -> None:
        """1. objects of the node  2. cgroups  3. what already runs, and what of it is wanted
        4. the tasks that keep it going
        """
        self._objects.register()
        self._look_around()
        self._refresh_qos()
        self._objects.tell_enforced()
        await self._service.start()
        running = set(await self._service.list_pods())
        wanted = await self._static.first_look() | {uid_of(pod) for pod in self._api_pods()}
        self._static.begin(running)
        for resource in config_objects.RESOURCES:
            self._spawn(self._config.follow(resource, self._config_changed), f"follow_{resource}")
        self._spawn(self._end_orphans(running - wanted), "end_orphans")
        self._spawn(self._static.follow(), "follow_manifests")
        self._spawn(self._resizes.follow(), "retry_resizes")
        self._spawn(self._claims.follow(), "look_after_claims")
        self._spawn(self._claims.follow_pods(), "release_claims")
        for story in (
            self._feed_workers,
            self._follow_node,
            self._follow_namespaces,
            self._follow_claims,
            self._wake_workers,
            self._objects.heartbeat,
            self._rotate_logs,
        ):
            self._spawn(story(), story.__name__.strip("_"))
        for name, upkeep in self._upkeep.stories().items():
            self._spawn(upkeep, name)

    async def stop(self) -> None:
        """End the tasks; the pods are left as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._taints.close()
        for worker in self._workers.values():
            await worker.stop()
        await self._prober.close()

    # The two stories: from the API to the workers, from the kernel to the workers

    async def _feed_workers(self) -> None:
        """Every pod the store has or gets: bind it if nobody has, tell its worker. At the beginning come
        those that have a place, in the order they were made; then the queue, by importance.
        """
        pods, revision = self.store.list("pods")
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
            if wants_binding(pod) and not is_mirror(pod):
                self._binder.enqueue(pod)
            else:
                self._pod_changed("ADDED", pod)
        self._resizes.open()
        self._binder.try_again()
        async for kind, pod, _ in self.store.watch("pods", since=revision):
            self._pod_changed(kind, pod)

    def _look_around(self) -> None:
        """The node, namespaces and claims, as they are now."""
        self._cache.node_changed(self.store.get("nodes", "", self.node_name))
        for namespace in self.store.list("namespaces")[0]:
            self._cache.namespace_changed("ADDED", namespace)
        for claim in self.store.list(CLAIMS)[0]:
            self._cache.claim_changed("ADDED", claim)

    async def _follow_node(self) -> None:
        async for _, node, _ in self.store.watch("nodes"):
            if node["metadata"]["name"] == self.node_name:
                self._objects.node_changed()
                self._node_changed()

    def _node_changed(self) -> None:
        self._cache.node_changed(self.store.get("nodes", "", self.node_name))
        self._taints.node_changed(self._cache.taints, self._cache.pods)
        self._binder.try_again()

    async def _follow_namespaces(self) -> None:
        async for kind, namespace, _ in self.store.watch("namespaces"):
            self._cache.namespace_changed(kind, namespace)
            self._binder.try_again()

    async def _follow_claims(self) -> None:
        async for kind, claim, _ in self.store.watch(CLAIMS):
            self._cache.claim_changed(kind, claim)
            self._binder.try_again()

    async def _wake_workers(self) -> None:
        async for event in self._service.events():
            worker = self._workers.get(event.uid)
            if worker is not None:
                worker.wake(event)

    def _pod_changed(self, kind: str, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if is_mirror(pod):
            self._static.api_changed(kind, pod)
        elif kind == "DELETED":
            self._binder.forget(uid)
            self._drop(_from_api(pod))
            self._static.api_changed(kind, pod)
        elif wants_binding(pod):
            self._binder.offer(pod)
        else:
            self._binder.forget(uid)
            if pod["spec"].get("nodeName") == self.node_name:
                self._update_worker(uid, _from_api(pod))

    def _judge(self, desired: Pod, granted: Pod) -> ResizeVerdict:
        """May a pod be resized (6.12)?"""
        info = self._cache.beside(uid_of(desired))
        refusals, lacking = self.refuse(desired), without_room(desired, info)
        return resize_verdict(
            desired,
            granted,
            info.allocatable,
            rules=self._service.rules,
            refused=str(refusals[0]) if refusals else "",
            rejected=lacking.message if lacking else "",
        )

    def _resized(self, uid: str) -> None:
        """Its resize was granted; whoever waits for room, or for a resize, may have been waiting for that."""
        self._refresh_qos()
        self._wake(uid)
        asyncio.get_running_loop().call_soon(self._resizes.retry)

    def _wake(self, uid: str) -> None:
        if uid in self._workers:
            self._workers[uid].wake()

    def _update_worker(self, uid: str, pod: Pod) -> None:
        self._config.pod_changed(pod)
        worker = self._workers.get(uid)
        if worker is not None:
            self._resizes.consider(pod)
            worker.update(pod)
            self._replace(uid, pod, worker.status)
        elif is_over(pod.status):
            self._cache.remove(uid)
            self._workers[uid] = PodWorker(pod, self._with)
        elif _is_ending(pod) and self._room.forget(uid):
            self._begin(pod)  # its worker has an end to make of it
        elif not self._room.update(pod):
            self._admit(pod)

    def _admit(self, pod: Pod) -> None:
        """The kubelet's own look at a pod that begins: one that is rejected is over at once (1.5, 7.1)."""
        around = Surroundings(
            self._cache.beside(uid_of(pod)), self._upkeep.pressures, self._allowed_sysctls, self._no_app_armor
        )
        verdict = admit(self._resizes.begin(pod), around)
        if verdict.rejection is not None:
            reason, message = verdict.rejection.reason, verdict.rejection.message
            pod.status = rejected_status(pod, reason, message, self._clock.now())
            self.publish(pod, pod.status)
            self._recorder.event(pod, "Warning", reason, message)
            self._update_worker(uid_of(pod), pod)
            return
        self._cache.place(pod)
        if verdict.victims:
            self._room.make(pod, verdict.victims)
        else:
            self._begin(pod)

    def _begin(self, pod: Pod) -> None:
        """It was let in, and its room is free."""
        self._resizes.grant(pod)
        self._refresh_qos()
        self._workers[uid_of(pod)] = PodWorker(pod, self._with)
        self._taints.pod_changed(pod)

    def _drop(self, pod: Pod) -> None:
        """Nobody wants it any more."""
        if uid_of(pod) in self._workers:
            self._workers[uid_of(pod)].remove(pod)
        elif self._room.forget(uid_of(pod)):
            self.finished(pod)

    def _replace(self, uid: str, pod: Pod, status: PodStatus) -> None:
        """A pod that has a place was changed: its labels may let in one that waits."""
        if is_over(status):
            return
        if _is_ending(pod):
            self._taints.pod_gone(uid)
        else:
            self._taints.pod_changed(pod)
        if self._cache.place(pod):
            self._binder.try_again()

    # What static pods need (`static_pods.Workers`)

    def begin_pod(self, pod: Pod) -> None:
        self._update_worker(uid_of(pod), pod)

    def change_pod(self, pod: Pod) -> None:
        self._update_worker(uid_of(pod), pod)

    def end_pod(self, pod: Pod) -> None:
        self._drop(pod)

    def status_of(self, uid: str) -> PodStatus | None:
        return self._workers[uid].status if uid in self._workers else None

    def _config_changed(self, uid: str) -> None:
        if uid in self._workers:
            self._workers[uid].wake()

    def _probe_changed(self, uid: str) -> None:
        if uid in self._workers:
            self._workers[uid].probe_changed()

    # What workers report (`ports.Publisher`)

    def publish(self, pod: Pod, status: PodStatus) -> None:
        """Write, and by that tell: the store wakes whoever watches."""
        metadata = pod.metadata
        assert metadata is not None

        def change(obj: dict[str, Any]) -> None:
            if runtime_uid(obj) == metadata.uid:
                obj["status"] = _keeping_foreign_conditions(to_dict(status), obj.get("status", {}))

        try:
            self.store.modify("pods", metadata.namespace or "", metadata.name or "", change)
        except NotFound:
            logger.debug("the pod %s was removed while it ran", metadata.name)
        if is_over(status):
            self._left(uid_of(pod))

    def finished(self, pod: Pod) -> None:
        """Nothing of it is left on the node."""
        metadata = pod.metadata
        assert metadata is not None
        uid = metadata.uid or ""
        self._workers.pop(uid, None)
        self._resizes.end(uid)
        self._left(uid)
        self._config.pod_gone(uid)
        if is_static(pod):
            self._static.finished(pod)
        if metadata.deletion_timestamp is None:
            return
        try:
            self.store.delete("pods", metadata.namespace or "", metadata.name or "", uid=metadata.uid)
        except (NotFound, Conflict):
            logger.debug("the pod %s was removed by somebody else", metadata.name)

    def _left(self, uid: str) -> None:
        """It takes no room any more."""
        self._taints.pod_gone(uid)
        if self._cache.remove(uid):
            self._refresh_qos()
            self._room.left(uid)
            self._resizes.retry()
            self._binder.try_again()

    def probe_metrics(self) -> str:
        """The body of `/metrics/probes`."""
        return self._probes.metrics.text()

    def warn(self, pod: Pod, reason: str, message: str) -> None:
        """The runtime has something to say about a pod that is no error."""
        self._recorder.event(pod, "Warning", reason, message)

    # Tasks

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_ROTATION)
            for uid in list(self._workers):
                await self._service.rotate_logs(uid)

    def _spawn(self, story: Coroutine[Any, Any, None], name: str) -> None:
        """A task of the node. One that ends with an error ends the agent: containers survive that."""
        task = asyncio.get_running_loop().create_task(story, name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.critical("the task %s failed", task.get_name(), exc_info=task.exception())
            os.kill(os.getpid(), signal.SIGTERM)

    def _refresh_qos(self) -> None:
        """kubepods and its classes follow the sum of what their pods asked for (6.6)."""
        facts = self._facts
        settings = qos_cgroups(
            [self._resizes.allocated(pod) for pod in self._cache.pods],
            milli_cpu=facts.unreserved("cpu", facts.cpus * 1000),
            memory=facts.unreserved("memory", facts.memory),
            pids=facts.unreserved("pid", facts.pids),
            rules=self._service.rules,
        )
        self._cgroups.start(settings)

    def _api_pods(self) -> list[Pod]:
        """Those that are no mirrors."""
        return [_from_api(pod) for pod in self.store.list("pods")[0] if not is_mirror(pod)]

    async def _end_orphans(self, uids: Collection[str]) -> None:
        """Pods that run and that no source wants any more (4.3)."""
        await asyncio.gather(*(self._end_orphan(uid) for uid in uids))
        self._static.open()

    async def _end_orphan(self, uid: str) -> None:
        """Nobody remembers its manifest: no hooks, no order, no Events."""
        try:
            observed = await self._service.pod_status(uid)
            kills = [
                self._service.stop_container(uid, container.id, ORPHAN_GRACE)
                for container in observed.containers
                if container.state == "running"
            ]
            await asyncio.gather(*kills)
            await self._service.remove_pod(uid)
        except RuntimeServiceError as error:
            logger.warning("cannot end pod %s, which nobody wants any more: %s", uid, error)


def _from_api(pod: dict[str, Any]) -> Pod:
    """Whatever its annotations pretend: what comes from the API is no static pod."""
    read = from_dict(Pod, pod)
    if is_static(read) and read.metadata is not None:
        read.metadata.annotations = (read.metadata.annotations or {}) | {STATIC_POD_ANNOTATION: API}
    return read


def is_over(status: PodStatus | None) -> bool:
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
