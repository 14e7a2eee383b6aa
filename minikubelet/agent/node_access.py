"""What the API asks of the node besides objects (`api.backend.Backend`): what cannot be kept, streams, logs,
images.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

from minikubelet.agent.logs import ContainerLogs, LogOptions
from minikubelet.agent.mirror_pods import runtime_uid
from minikubelet.agent.node_images import NodeImages
from minikubelet.agent.usage import Amount, ContainerKey, Meter, NodeUsage, Reading
from minikubelet.errors import BadRequest, FieldError
from minikubelet.runtime import node_stats
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import ExecSession, PortConnection
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.resources import CgroupSettings, container_cgroup, pod_cgroup
from minikubelet.runtime.service import Service
from minikubelet.runtime.volumes import images_of
from minikubelet.store import Store
from minikubelet.v1 import ContainerStatus, Pod, PodSpec, PodStatus, from_dict


class NodeAccess(NodeImages):
    """A part of `Node`."""

    def __init__(self, store: Store, service: Service, cgroups: Cgroups, images: ImageStore) -> None:
        super().__init__(images, service)
        self.store = store
        self._cgroups = cgroups
        self._logs = ContainerLogs(service)
        self._meter = Meter(self._read_usage)

    async def _in_use(self) -> set[str]:
        """Also the images that volumes of pods show."""
        pods = [from_dict(Pod, pod) for pod in self.store.list("pods")[0]]
        shown = {reference for pod in pods for reference in images_of(pod.spec)}
        return await super()._in_use() | self._images.ids_of(shown)

    def refuse(self, pod: Pod) -> list[FieldError]:
        """Limits that this node cannot keep (DESIGN, rule 6)."""
        errors = []
        spec = pod.spec or PodSpec()
        if spec.resources is not None and spec.resources.limits:
            errors += self._refusal("spec.resources.limits", pod_cgroup(pod))
        for field, containers in (
            ("containers", spec.containers or ()),
            ("initContainers", spec.init_containers or ()),
        ):
            for index, container in enumerate(containers):
                if container.resources is not None and container.resources.limits:
                    path = f"spec.{field}[{index}].resources.limits"
                    errors += self._refusal(path, container_cgroup(pod, container, "", ""))
        return errors

    def _refusal(self, path: str, settings: CgroupSettings) -> list[FieldError]:
        reason = self._cgroups.cannot_enforce(settings)
        return [FieldError(path, "Forbidden", f"Forbidden: {reason}")] if reason else []

    async def exec(
        self, namespace: str, name: str, container: str, command: list[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        uid, container_id = self._running(namespace, name, container)
        return await self._service.exec(uid, container_id, command, stdin=stdin, tty=tty)

    async def attach(
        self, namespace: str, name: str, container: str, *, stdin: bool, tty: bool
    ) -> ExecSession:
        uid, container_id = self._running(namespace, name, container)
        return await self._service.attach(uid, container_id, stdin=stdin)

    async def port_forward(self, namespace: str, name: str, port: int) -> PortConnection:
        uid = runtime_uid(self.store.get("pods", namespace, name))
        return await self._service.port_forward(uid, port)

    async def usage(self) -> NodeUsage:
        """What the node and every running container use of CPU and memory."""
        return await self._meter.measure()

    async def _read_usage(self) -> Reading:
        """Of every pod that has a sandbox; others are told in between that they may go on."""
        containers: dict[ContainerKey, Amount] = {}
        for uid in await self._service.list_pods():
            try:
                for one in await self._service.stats(uid):
                    key = ContainerKey(uid, one.name, one.container_id)
                    containers[key] = Amount(one.cpu_usage, one.memory_working_set)
            except OSError as error:  # its cgroup went while it was read
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
            await asyncio.sleep(0)
        return Reading(containers, Amount(node_stats.read_busy(), node_stats.read_working_set()))

    def logs(
        self, pod: dict[str, Any], container: str, container_id: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        return self._logs.read(runtime_uid(pod), container_id, options)

    def _running(self, namespace: str, name: str, container: str) -> tuple[str, str]:
        """(pod uid, container id) of a container that runs now."""
        pod = self.store.get("pods", namespace, name)
        statuses = _container_statuses(from_dict(Pod, pod))
        status = next((s for s in statuses if s.name == container), None)
        if status is None or status.state is None or status.state.running is None:
            raise BadRequest(f'container not found ("{container}")')
        return runtime_uid(pod), (status.container_id or "").partition("://")[2]


def _container_statuses(pod: Pod) -> list[ContainerStatus]:
    status = pod.status or PodStatus()
    return [
        *(status.container_statuses or ()),
        *(status.init_container_statuses or ()),
        *(status.ephemeral_container_statuses or ()),
    ]
