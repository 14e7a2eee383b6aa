"""Everything a container needs before it can be started, and where it lies on the node.

    <lib>/pods/<uid>/etc-hosts, hostname, resolv.conf       written again at every container start
    <lib>/pods/<uid>/containers/<name>/<8 hex>               the termination log of one instance
    <lib>/pods/<uid>/volumes/…                               `volumes`
    <lib>/containers/<id>/{upper,work,rootfs}                the writable layer of one instance

The service calls this in the order of a pod's life; nothing here talks to a shim.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minikubelet.config import Paths
from minikubelet.errors import CreatePodCgroupError, FailedMount, ImageError
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime import env_file, hostfiles, log_files, volumes
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.container_spec import container_spec, kept_capabilities, pid_target, process
from minikubelet.runtime.cri import ImageRef, container_hash
from minikubelet.runtime.enforcement import enforcement
from minikubelet.runtime.environment import (
    SECRETS,
    Facts,
    Find,
    ReadFile,
    command_line,
    container_environment,
    process_environment,
    working_directory,
)
from minikubelet.runtime.images.credentials import Credentials, Entry, entries_of_secret, matching
from minikubelet.runtime.images.reference import Reference
from minikubelet.runtime.images.store import Image, ImageStore
from minikubelet.runtime.network import Network
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.resources import CgroupSettings, container_cgroup, oom_score_adj, pod_cgroup
from minikubelet.runtime.sandbox import (
    CGROUP,
    HASH,
    IMAGE,
    IMAGE_ID,
    RESOURCES,
    STOP_SIGNAL,
    TERMINATION_FILE,
    TERMINATION_POLICY,
    USER,
    resources_label,
    user_label,
)
from minikubelet.runtime.seccomp.filters import Filters
from minikubelet.runtime.sysctls import sandbox_sysctls
from minikubelet.runtime.threads import to_the_end
from minikubelet.runtime.user_namespaces import UserNamespaces
from minikubelet.runtime.users import container_user
from minikubelet.runtime.volumes import empty_dir
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    MountSpec,
    RootfsSpec,
    SandboxRecord,
    SandboxSpec,
)
from minikubelet.v1 import Container, Pod, PodSpec, Volume
from minikubelet.v1.qos import compute_of
from minikubelet.v1.quantity import Quantity

# (resource, namespace, name) → the object, or None
Lookup = Callable[[str, str, str], dict[str, Any] | None]

TERMINATION_LOG = "/dev/termination-log"
ETC_HOSTS = Path("/etc/hosts")


@dataclass(frozen=True, slots=True)
class NodeView:
    """What pods are told about the node; `memory` in bytes, `allocatable` as in its status."""

    name: str
    address: str
    memory: int
    allocatable: Mapping[str, str]


class Preparation:
    """`lookup` finds ConfigMaps and Secrets; `warn` is told (pod, reason, message) of what an Event should
    say.
    """

    def __init__(
        self,
        paths: Paths,
        images: ImageStore,
        network: Network,
        lookup: Lookup,
        configuration: KubeletConfiguration,
        cgroups: Cgroups,
        node: NodeView,
        token: Callable[[Pod], volumes.Token | None] = lambda pod: None,
    ) -> None:
        self.warn: Callable[[Pod, str, str], None] = lambda pod, reason, message: None
        self.service_variables: Callable[[Pod], Mapping[str, str]] = lambda pod: {}
        self.network = network
        self._paths = paths
        self._images = images
        self._lookup = lookup
        self._token = token
        self._configuration = configuration
        self._cgroups = cgroups
        self._filters = Filters(paths.seccomp, confine_by_default=configuration.seccompDefault)
        self._node = node
        self._user_namespaces = UserNamespaces(
            paths, configuration.userNamespaces.ids_per_pod, configuration.maxPods
        )
        self.rules = enforcement(configuration, cgroups.controllers, node.memory, node.allocatable)
        self.log_size = Quantity.parse(configuration.containerLogMaxSize).value()  # bytes
        self.log_files = configuration.containerLogMaxFiles

    # The pod

    def pod_cgroup(self, pod: Pod) -> CgroupSettings:
        settings = pod_cgroup(pod, self.rules)
        if reason := self._cgroups.cannot_enforce(settings):
            raise CreatePodCgroupError(f"cannot limit pod {settings.path}: {reason}")
        return settings

    def sandbox(self, pod: Pod, attempt: int, cgroup: str) -> SandboxSpec:
        metadata, spec = pod.metadata, pod.spec
        assert metadata is not None
        assert spec is not None
        uid = metadata.uid or ""
        host_network = bool(spec.host_network)
        ids = self._user_namespaces.of(pod)
        return SandboxSpec(
            uid=uid,
            name=metadata.name or "",
            namespace=metadata.namespace or "",
            attempt=attempt,
            sandbox_id=secrets.token_hex(32),
            directory=str(self._paths.sandbox(uid) / str(attempt)),
            hostname=hostfiles.kernel_hostname(pod, self._configuration.clusterDomain),
            host_network=host_network,
            host_ipc=bool(spec.host_ipc),
            host_pid=bool(spec.host_pid),
            share_process_namespace=bool(spec.share_process_namespace),
            sysctls=sandbox_sysctls(pod),
            first_id=ids.first,
            ids=ids.length,
            labels={CGROUP: cgroup},
        )

    async def set_up_volumes(self, pod: Pod) -> None:
        """Before the sandbox, so that a volume that is not there holds up everything. Raises FailedMount."""
        assert pod.metadata is not None
        directory = self._paths.pod(pod.metadata.uid or "")
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        if pod.spec and pod.spec.volumes:
            await self._ensure_volume_images(pod)
            await to_the_end(volumes.set_up, self._volumes(pod))

    async def _ensure_volume_images(self, pod: Pod) -> None:
        for image, policy in volumes.images_of(pod.spec).items():
            try:
                await self._images.ensure(
                    image, policy, partial(self._credentials, pod, Reference.parse(image))
                )
            except ImageError as error:
                raise FailedMount(f'failed to pull the image "{image}" of a volume: {error}') from error

    async def refresh_volumes(self, pod: Pod) -> list[FailedMount]:
        """What could not be brought up to date, and why."""
        if not volumes.refreshes(pod):
            return []
        return await to_the_end(volumes.refresh, self._volumes(pod))

    async def remove_volumes(self, uid: str) -> None:
        await to_the_end(volumes.tear_down, self._paths.pod(uid))

    async def remove_pod(self, uid: str) -> None:
        """Volumes and the pod directory."""
        directory = self._paths.pod(uid)
        if directory.exists():
            await to_the_end(_remove_pod_directory, directory)

    # Containers

    async def ensure_image(
        self, pod: Pod, container: Container, about_to_pull: Callable[[], None] | None
    ) -> ImageRef:
        """With the pod's imagePullSecrets, then with the node's own credentials, if a registry is asked."""
        name, policy = container.image or "", container.image_pull_policy or "IfNotPresent"
        return await self._images.ensure(
            name, policy, lambda: self._credentials(pod, Reference.parse(name)), about_to_pull
        )

    def _credentials(self, pod: Pod, image: Reference) -> list[Credentials]:
        find, missing = self._find(pod), []
        known: list[Entry] = []
        for secret in (pod.spec or PodSpec()).image_pull_secrets or ():
            found = find(SECRETS, secret.name or "")
            if found is None:
                missing.append(secret.name or "")
            else:
                known += entries_of_secret(found)
        if missing:
            self.warn(
                pod,
                "FailedToRetrieveImagePullSecret",
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed.",
            )
        return [*matching(image, known), *self._images.node_credentials(image)]

    def container_cgroup(
        self, pod: Pod, container: Container, container_id: str, parent: str
    ) -> CgroupSettings:
        return container_cgroup(pod, container, container_id, parent, self.rules)

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
        facts = self._facts(pod, sandbox)
        environment = container_environment(pod, container, facts, self._find(pod), self._read_file(pod))
        program = process(
            container,
            argv=command_line(container, image.config, environment, container_id),
            env=process_environment(environment, image.config, facts, tty=bool(container.tty)),
            cwd=working_directory(container, image.config),
            seccomp=self._filters.of(pod, container, kept_capabilities(container.security_context)),
            user=container_user(pod, container, image.config.user, image.layers),
        )
        return container_spec(
            pod,
            container,
            container_id=container_id,
            attempt=attempt,
            cgroup=cgroup,
            log_path=str(log),
            rootfs=self._rootfs(container_id, image, sandbox.spec.first_id),
            process=program,
            mounts=[
                *self._host_files(pod, container, sandbox),
                *volumes.mounts(self._volumes(pod), container, environment),
                MountSpec("bind", container.termination_message_path or TERMINATION_LOG, str(termination)),
            ],
            masked=image.masked,
            oom_score_adj=oom_score_adj(pod, container, self._node.memory),
            pid_target=pid_target(pod, container, sandbox.containers),
            labels={
                IMAGE: image_ref.image,
                IMAGE_ID: image_ref.image_id,
                HASH: container_hash(container),
                TERMINATION_FILE: str(termination),
                TERMINATION_POLICY: container.termination_message_policy or "File",
                STOP_SIGNAL: image.config.stop_signal,
                USER: user_label(program),
                RESOURCES: resources_label(compute_of(pod.spec or PodSpec(), container)),
            },
        )

    def remove_container(self, record: ContainerRecord) -> None:
        """Its termination log; layers and cgroup are the service's."""
        path = record.labels.get(TERMINATION_FILE)
        if path:
            Path(path).unlink(missing_ok=True)

    def _host_files(self, pod: Pod, container: Container, sandbox: SandboxRecord) -> list[MountSpec]:
        """/etc/hosts, hostname and resolv.conf, written again at every start of a container (9.6)."""
        spec = pod.spec or PodSpec()
        domain = self._configuration.clusterDomain
        node_hosts = ETC_HOSTS.read_text() if ETC_HOSTS.exists() else ""
        resolv = hostfiles.resolv_conf(
            pod,
            hostfiles.node_resolv_conf(Path(self._configuration.resolvConf)),
            self._configuration.cluster_dns,
            domain,
        )
        for reason, message in resolv.warnings:
            if reason != hostfiles.MISSING_CLUSTER_DNS:  # the agent itself has said why (docs/decisions.md)
                self.warn(pod, reason, message)
        host = self._node.name if spec.host_network else sandbox.spec.hostname
        texts = {
            "etc-hosts": ("/etc/hosts", hostfiles.hosts(pod, _addresses(sandbox), node_hosts, domain)),
            "hostname": ("/etc/hostname", f"{host}\n"),
            "resolv.conf": ("/etc/resolv.conf", resolv.text()),
        }
        directory = self._paths.pod(sandbox.spec.uid)
        taken = {mount.mount_path for mount in container.volume_mounts or ()}
        mounts = []
        for file, (destination, text) in texts.items():
            hostfiles.write_shared(directory / file, text)
            if destination not in taken:
                mounts.append(MountSpec("bind", destination, str(directory / file)))
        return mounts

    def _facts(self, pod: Pod, sandbox: SandboxRecord) -> Facts:
        spec = pod.spec or PodSpec()
        return Facts(
            hostname=self._node.name if spec.host_network else sandbox.spec.hostname,
            pod_ips=[self._node.address] if spec.host_network else _addresses(sandbox),
            host_ips=[self._node.address],
            node_name=self._node.name,
            allocatable=self._node.allocatable,
            services=self.service_variables(pod),
        )

    def _volumes(self, pod: Pod) -> volumes.Context:
        assert pod.metadata is not None
        find = self._find(pod)
        # Looked up here, in the event loop: the plugins work in a thread, where the store must not be used.
        asked = volumes.objects_of(pod.spec) | volumes.claims_of(pod.spec)
        objects = {reference: find(*reference) for reference in asked}
        return volumes.Context(
            pod=pod,
            directory=self._paths.pod(pod.metadata.uid or ""),
            memory=self._node.memory,
            claims=self._paths.claims,
            layers={image: self._layers(image) for image in volumes.images_of(pod.spec)},
            find=lambda resource, name: objects.get((resource, name)),
            facts=Facts(hostname="", node_name=self._node.name, allocatable=self._node.allocatable),
            token=self._token(pod) if volumes.wants_token(pod.spec) else None,
        )

    def _layers(self, reference: str) -> tuple[str, ...]:
        """Of an image that is no secret to anybody: the node itself is not among them."""
        image = self._images.resolve(reference)
        return image.layers if image is not None and not image.masked else ()

    def _find(self, pod: Pod) -> Find:
        namespace = (pod.metadata and pod.metadata.namespace) or ""
        return lambda resource, name: self._lookup(resource, namespace, name)

    def _read_file(self, pod: Pod) -> ReadFile:
        def read(volume: str, path: str) -> str:
            directory = self._volumes(pod).volume_directory(empty_dir.NAME, Volume(name=volume))
            return env_file.read_inside(directory, path)

        return read

    def _rootfs(self, container_id: str, image: Image, owner: int) -> RootfsSpec:
        directory = self._paths.container(container_id)
        for name in ("upper", "work", "rootfs"):
            (directory / name).mkdir(parents=True)
        # It is the container's `/`: every user must be able to pass through, whatever our umask.
        (directory / "upper").chmod(0o755)
        os.chown(directory / "upper", owner, owner)
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


def _remove_pod_directory(directory: Path) -> None:
    volumes.tear_down(directory)
    remove_tree(directory)


def _addresses(sandbox: SandboxRecord) -> list[str]:
    return [sandbox.network.address] if sandbox.network else []
