"""What the API asks of the node besides objects (`api.backend.Backend`): what cannot be kept, streams, logs,
images.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from minikubelet.agent.logs import ContainerLogs, LogOptions
from minikubelet.agent.mirror_pods import runtime_uid
from minikubelet.agent.node_images import NodeImages
from minikubelet.errors import BadRequest, FieldError
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import ExecSession
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.resources import container_cgroup
from minikubelet.runtime.service import Service
from minikubelet.store import Store
from minikubelet.v1 import ContainerStatus, Pod, PodStatus, from_dict


class NodeAccess(NodeImages):
    """A part of `Node`."""

    def __init__(self, store: Store, service: Service, cgroups: Cgroups, images: ImageStore) -> None:
        super().__init__(images, service)
        self.store = store
        self._cgroups = cgroups
        self._logs = ContainerLogs(service)

    def refuse(self, pod: Pod) -> list[FieldError]:
        """Limits that this node cannot keep (DESIGN, rule 6)."""
        errors = []
        spec = pod.spec
        for field, containers in (
            ("containers", (spec and spec.containers) or ()),
            ("initContainers", (spec and spec.init_containers) or ()),
        ):
            for index, container in enumerate(containers):
                reason = self._cgroups.cannot_enforce(container_cgroup(pod, container, "", ""))
                if reason:
                    path = f"spec.{field}[{index}].resources.limits"
                    errors.append(FieldError(path, "Forbidden", f"Forbidden: {reason}"))
        return errors

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
