"""The node: everything there is on it, and the tasks that keep it going.

Read `start` as the inventory. What a pod goes through is told in `pod_manager`.

    store ──watch pods──▶ pod manager (of those that are no mirrors)
    store ──watch nodes, namespaces, claims──▶ pod manager: does one that waits fit now?
    files ──static pods──▶ pod manager, and a mirror in the store
    runtime ──events──▶ pod manager ──▶ the pod's worker
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

from minikubelet.agent import config_objects
from minikubelet.agent.claims import Claims
from minikubelet.agent.clock import Clock
from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.agent.mirror_pods import is_mirror
from minikubelet.agent.names import uid_of
from minikubelet.agent.node_access import NodeAccess
from minikubelet.agent.node_objects import NodeObjects
from minikubelet.agent.node_status import MachineFacts
from minikubelet.agent.pod_manager import PodManager, from_api
from minikubelet.agent.static_pods import StaticPods
from minikubelet.agent.upkeep import Upkeep
from minikubelet.config import Paths
from minikubelet.errors import InternalError, RuntimeServiceError, ShimError
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.environment import CLAIMS
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.service import Service
from minikubelet.store import Store
from minikubelet.v1 import Pod
from minikubelet.vital_tasks import end_agent_on_failure

logger = logging.getLogger(__name__)

LOG_ROTATION = 10.0
ORPHAN_GRACE = 2  # a grace of 1 s, and at least 2 between the stop signal and KILL (4.2, 4.3)


class Node(NodeAccess):
    """What the API calls (`api.backend.Backend`)."""

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
        self._tasks: list[asyncio.Task[None]] = []
        self._config = objects
        clock = Clock()
        self._objects = NodeObjects(store, facts, pod_cidr, clock, self.images_of_status)
        self._recorder = self._objects.recorder
        self._claims = Claims(store, paths.claims, self._recorder)
        self._pods = PodManager(
            paths,
            configuration,
            facts,
            store,
            service,
            cgroups,
            objects,
            self._recorder,
            clock,
            refuse=self.refuse,
            pressures=lambda: self._upkeep.pressures,
            static_finished=lambda pod: self._static.finished(pod),
        )
        self._static = StaticPods(
            manifests, facts.name, store, self._recorder, clock, self._pods, self.refuse
        )
        self._upkeep = Upkeep(
            paths,
            configuration,
            service,
            images,
            cgroups,
            self._objects,
            clock,
            workers=lambda: self._pods.workers,
            known=lambda: {*self._pods.uids, *(uid_of(pod) for pod in self._api_pods())},
            in_use=self._in_use,
        )

    # Life

    async def start(self) -> None:
        """1. objects of the node  2. cgroups  3. what already runs, and what of it is wanted
        4. the tasks that keep it going
        """
        self._objects.register()
        self._look_around()
        self._pods.refresh_qos()
        self._objects.tell_enforced()
        await self._service.start()
        running = set(await self._service.list_pods())
        wanted = await self._static.first_look() | {uid_of(pod) for pod in self._api_pods()}
        self._static.begin(running)
        for resource in config_objects.RESOURCES:
            self._spawn(self._config.follow(resource, self._pods.wake), f"follow_{resource}")
        self._spawn(self._end_orphans(running - wanted), "end_orphans")
        self._spawn(self._static.follow(), "follow_manifests")
        for resource, changed in (
            ("nodes", self._node_changed),
            ("namespaces", self._pods.namespace_changed),
            (CLAIMS, self._pods.claim_changed),
        ):
            self._spawn(self._follow(resource, changed), f"follow_{resource}")
        self._spawn(self._claims.follow(), "look_after_claims")
        self._spawn(self._claims.follow_pods(), "release_claims")
        for story in (
            self._pods.retry_resizes,
            self._follow_pods,
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
        await self._pods.stop()

    # From the API and from the kernel to the pods

    async def _follow_pods(self) -> None:
        """Every pod the store has or gets."""
        pods, revision = self.store.list("pods")
        for mirror in (pod for pod in pods if is_mirror(pod)):
            self._static.api_changed("ADDED", mirror)
        self._pods.begin(pod for pod in pods if not is_mirror(pod))
        await self._follow("pods", self._pod_changed, since=revision)

    def _pod_changed(self, kind: str, pod: dict[str, Any]) -> None:
        if not is_mirror(pod):
            self._pods.api_changed(kind, pod)
        if is_mirror(pod) or kind == "DELETED":
            self._static.api_changed(kind, pod)

    def _look_around(self) -> None:
        """The node, namespaces and claims, as they are now."""
        self._pods.node_changed(self.store.get("nodes", "", self.node_name))
        for namespace in self.store.list("namespaces")[0]:
            self._pods.namespace_changed("ADDED", namespace)
        for claim in self.store.list(CLAIMS)[0]:
            self._pods.claim_changed("ADDED", claim)

    def _node_changed(self, kind: str, node: dict[str, Any]) -> None:
        if node["metadata"]["name"] == self.node_name:
            self._objects.node_changed()
            self._pods.node_changed(self.store.get("nodes", "", self.node_name))

    async def _follow(
        self, resource: str, changed: Callable[[str, dict[str, Any]], None], since: int | None = None
    ) -> None:
        """For ever. What cannot be written now, as the disk is full, does not end the agent: it is needed to
        make room there.
        """
        async for kind, obj, _ in self.store.watch(resource, since=since):
            try:
                changed(kind, obj)
            except InternalError as error:
                logger.error(
                    "cannot act upon a change of %s %s: %s", resource, obj["metadata"]["name"], error
                )

    async def _wake_workers(self) -> None:
        async for event in self._service.events():
            self._pods.wake(event.uid, event)

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_ROTATION)
            for uid in list(self._pods.uids):
                try:
                    await self._service.rotate_logs(uid)
                except OSError as error:
                    logger.warning("cannot rotate the logs of pod %s: %s", uid, error)

    # What others ask and tell

    def probe_metrics(self) -> str:
        """The body of `/metrics/probes`."""
        return self._pods.probe_metrics()

    def warn(self, pod: Pod, reason: str, message: str) -> None:
        """The runtime has something to say about a pod that is no error."""
        self._recorder.event(pod, "Warning", reason, message)

    # Tasks

    def _spawn(self, story: Coroutine[Any, Any, None], name: str) -> None:
        """A task of the node. One that ends with an error ends the agent: containers survive that."""
        task = asyncio.get_running_loop().create_task(story, name=name)
        task.add_done_callback(end_agent_on_failure)
        self._tasks.append(task)

    def _api_pods(self) -> list[Pod]:
        """Those that are no mirrors."""
        return [from_api(pod) for pod in self.store.list("pods")[0] if not is_mirror(pod)]

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
        except (RuntimeServiceError, ShimError, OSError) as error:
            logger.warning("cannot end pod %s, which nobody wants any more: %s", uid, error)
