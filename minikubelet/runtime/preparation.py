"""Everything a container needs before it can be started, and where it lies on the node.

    <lib>/pods/<uid>/etc-hosts, hostname, resolv.conf       written again at every container start
    <lib>/pods/<uid>/containers/<name>/<8 hex>               the termination log of one instance
    <lib>/pods/<uid>/volumes/…                               `volumes`
    <lib>/containers/<id>/{upper,work,rootfs}                the writable layer of one instance

The service calls this in the order of a pod's life; nothing here talks to a shim.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minikubelet.config import Paths
from minikubelet.errors import CreatePodSandboxError
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime import log_files
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.container_spec import container_spec, process
from minikubelet.runtime.cri import ImageRef, container_hash
from minikubelet.runtime.images.store import Image, ImageStore
from minikubelet.runtime.network import Network
from minikubelet.runtime.resources import CgroupSettings, container_cgroup, oom_score_adj, pod_cgroup
from minikubelet.runtime.sandbox import (
    CGROUP,
    HASH,
    IMAGE,
    IMAGE_ID,
    STOP_SIGNAL,
    TERMINATION_FILE,
    TERMINATION_POLICY,
)
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    MountSpec,
    RootfsSpec,
    SandboxRecord,
    SandboxSpec,
)
from minikubelet.v1 import Container, Pod

# (resource, namespace, name) → the object, or None
Lookup = Callable[[str, str, str], dict[str, Any] | None]

SANDBOX_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
TERMINATION_LOG = "/dev/termination-log"


class Preparation:
    """`memory_capacity` in bytes; `lookup` finds ConfigMaps and Secrets."""

    def __init__(
        self,
        paths: Paths,
        images: ImageStore,
        network: Network,
        lookup: Lookup,
        configuration: KubeletConfiguration,
        cgroups: Cgroups,
        memory_capacity: int,
    ) -> None:
        self.network = network
        self._paths = paths
        self._images = images
        self._lookup = lookup
        self._configuration = configuration
        self._cgroups = cgroups
        self._memory_capacity = memory_capacity

    # The pod

    def pod_cgroup(self, pod: Pod) -> CgroupSettings:
        settings = pod_cgroup(pod, pids_limit=self._configuration.podPidsLimit)
        if reason := self._cgroups.cannot_enforce(settings):
            raise CreatePodSandboxError(f"cannot limit pod {settings.path}: {reason}")
        return settings

    def sandbox(self, pod: Pod, attempt: int, cgroup: str) -> SandboxSpec:
        metadata, spec = pod.metadata, pod.spec
        assert metadata is not None
        assert spec is not None
        uid = metadata.uid or ""
        host_network = bool(spec.host_network)
        return SandboxSpec(
            uid=uid,
            name=metadata.name or "",
            namespace=metadata.namespace or "",
            attempt=attempt,
            sandbox_id=secrets.token_hex(32),
            directory=str(self._paths.sandbox(uid) / str(attempt)),
            hostname=metadata.name or "",
            host_network=host_network,
            host_ipc=bool(spec.host_ipc),
            host_pid=bool(spec.host_pid),
            share_process_namespace=bool(spec.share_process_namespace),
            sysctls={} if host_network else dict(SANDBOX_SYSCTLS),
            labels={CGROUP: cgroup},
        )

    async def remove_pod(self, uid: str) -> None:
        """Volumes and the pod directory."""
        await asyncio.to_thread(shutil.rmtree, self._paths.pod(uid), ignore_errors=True)

    # Containers

    async def ensure_image(self, container: Container) -> ImageRef:
        return await self._images.ensure(container.image or "", container.image_pull_policy or "IfNotPresent")

    def container_cgroup(
        self, pod: Pod, container: Container, container_id: str, parent: str
    ) -> CgroupSettings:
        return container_cgroup(pod, container, container_id, parent)

    async def container(
        self,
        pod: Pod,
        container: Container,
        container_id: str,
        attempt: int,
        image_ref: ImageRef,
        sandbox: SandboxRecord,
        cgroup: str,
    ) -> ContainerSpec:
        metadata = pod.metadata
        assert metadata is not None
        uid, name = metadata.uid or "", container.name or ""
        image = self._images.find(image_ref.image)
        log = log_files.log_path(
            self._paths.log_pods, metadata.namespace or "", metadata.name or "", uid, name, attempt
        )
        log_files.make_directory(log)
        termination = self._termination_log(uid, name)
        argv = [*(container.command or image.config.entrypoint), *(container.args or image.config.cmd)]
        if container.command and not container.args:
            argv = list(container.command)
        env = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"HOSTNAME={sandbox.spec.hostname}",
            *(f"{e.name}={e.value or ''}" for e in container.env or ()),
        ]
        return container_spec(
            pod,
            container,
            container_id=container_id,
            attempt=attempt,
            cgroup=cgroup,
            log_path=str(log),
            rootfs=self._rootfs(container_id, image),
            process=process(container, argv=argv, env=env, cwd=container.working_dir or "/", user=(0, 0, [])),
            mounts=[
                MountSpec("bind", container.termination_message_path or TERMINATION_LOG, str(termination))
            ],
            masked=image.masked,
            oom_score_adj=oom_score_adj(pod, container, self._memory_capacity),
            labels={
                IMAGE: container.image or "",
                IMAGE_ID: image_ref.image_id,
                HASH: container_hash(container),
                TERMINATION_FILE: str(termination),
                TERMINATION_POLICY: container.termination_message_policy or "File",
                STOP_SIGNAL: image.config.stop_signal,
            },
        )

    def remove_container(self, record: ContainerRecord) -> None:
        """Its termination log; layers and cgroup are the service's."""
        path = record.labels.get(TERMINATION_FILE)
        if path:
            Path(path).unlink(missing_ok=True)

    def _rootfs(self, container_id: str, image: Image) -> RootfsSpec:
        directory = self._paths.container(container_id)
        for name in ("upper", "work", "rootfs"):
            (directory / name).mkdir(mode=0o755, parents=True)
        return RootfsSpec(
            lower=list(image.layers),
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            mountpoint=str(directory / "rootfs"),
        )

    def _termination_log(self, uid: str, name: str) -> Path:
        """A new empty file for each instance (4.8)."""
        directory = self._paths.pod(uid) / "containers" / name
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        path = directory / secrets.token_hex(4)
        path.touch()
        path.chmod(0o666)
        return path
