"""The runtime: the verbs of the Container Runtime Interface, done on this kernel.

It knows no policy: it makes, starts, stops and removes what it is told to, and undoes every step when a later
one fails. What exists is in the shims' records (`sandbox.Sandbox`); what they do not know (a container
prepared and not yet started) is forgotten with the agent, and its leavings are removed when the agent starts
again.

The story of a pod, as it is told here:
  run_pod_sandbox    cgroup → shim (zygote) → address and link
  create_container   image → environment, files, mounts → layers, cgroup → one ContainerSpec
  start_container    one message; the answer comes when the process has exec'd
  stop_container     one message; the answer comes when everything in its cgroup is dead
  stop_pod_sandbox   kill what is left → link and address → shim
  remove_pod         records, layers, cgroup, volumes, logs
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from minikubelet.config import Paths
from minikubelet.errors import (
    CreateContainerError,
    CreatePodCgroupError,
    CreatePodSandboxError,
    FailedMount,
    PortForwardError,
    ResizeError,
    RunContainerError,
    RuntimeServiceError,
    ShimError,
    ShimUnavailable,
)
from minikubelet.runtime import hostfiles, log_files, resizing
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import (
    ContainerStats,
    ExecResult,
    ExecSession,
    ImageRef,
    PodCgroup,
    PodDiskUsage,
    PodLifecycleEvent,
    PodRuntimeStatus,
    PodUsage,
    PortConnection,
    SandboxStatus,
)
from minikubelet.runtime.disk_usage import DiskUsage
from minikubelet.runtime.images.config import DEFAULT_STOP_SIGNAL, signal_number
from minikubelet.runtime.orphans import find_orphans, remove_orphans
from minikubelet.runtime.pod_connection import dial, open_socket
from minikubelet.runtime.preparation import Preparation
from minikubelet.runtime.pressure import pressure
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.resources import CgroupSettings
from minikubelet.runtime.sandbox import (
    RESOURCES,
    STOP_SIGNAL,
    Sandbox,
    applied_resources,
    exec_error,
    exec_sync_error,
    read_record,
    resources_label,
    start_error,
)
from minikubelet.runtime.shim_client import ShimClient, ShimStream, ZygoteClient
from minikubelet.runtime.threads import to_the_end
from minikubelet.runtime.volumes import empty_dir
from minikubelet.shim import protocol
from minikubelet.shim.protocol import ContainerRecord, ContainerSpec, ProcessSpec, SandboxSpec
from minikubelet.v1 import Container, Pod, PodSpec
from minikubelet.v1.host_ports import HostPort, host_ports
from minikubelet.v1.qos import compute_of

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Service:
    """`cri.RuntimeService` on the real kernel."""

    def __init__(
        self, paths: Paths, cgroups: Cgroups, zygote: ZygoteClient, preparation: Preparation
    ) -> None:
        self._paths = paths
        self._cgroups = cgroups
        self._zygote = zygote
        self._prepare = preparation
        self.rules = preparation.rules
        self._network = preparation.network
        self._sandboxes: dict[str, list[Sandbox]] = {}  # uid → newest first
        self._disk_usage = DiskUsage()
        self._created: dict[str, ContainerSpec] = {}  # prepared, not yet started
        self._events: asyncio.Queue[PodLifecycleEvent] = asyncio.Queue()

    # The pod

    async def start(self) -> None:
        """Find what an earlier agent left: adopt what lives, remember what died, remove what nobody knows."""
        for directory in sorted(self._paths.run.glob("pods/*/*"), key=lambda path: int(path.name)):
            await self._adopt(directory)
        known = {
            c.id for sandboxes in self._sandboxes.values() for s in sandboxes for c in s.record.containers
        }
        for directory in self._paths.lib.glob("containers/*"):
            if directory.name not in known:
                await _remove_tree(directory)
        for uid, (newest, *_) in self._sandboxes.items():
            for name in self._cgroups.children(newest.cgroup):
                if name not in known:
                    self._cgroups.kill(f"{newest.cgroup}/{name}")
                    await self._cgroups.remove(f"{newest.cgroup}/{name}")
            if newest.client is None:
                await self._network.detach(uid)

    async def close(self) -> None:
        """Let go of the shims; they and their containers live on."""
        for sandboxes in self._sandboxes.values():
            for sandbox in sandboxes:
                client = sandbox.let_go()
                if client is not None:
                    await client.close()

    async def run_pod_sandbox(self, pod: Pod, attempt: int) -> SandboxStatus:
        settings = self._prepare.pod_cgroup(pod)
        async with AsyncExitStack() as undo:
            try:
                spec = self._prepare.sandbox(pod, attempt, settings.path)
                self._create_pod_cgroup(settings)
                undo.push_async_callback(self._cgroups.remove, settings.path)
                await self._prepare.set_up_volumes(pod)
                sandbox = await self._spawn(spec, undo)
                if not spec.host_network:
                    await self._connect_network(sandbox, host_ports(pod), undo)
            except (OSError, ShimError) as error:
                raise CreatePodSandboxError(str(error)) from error
            undo.pop_all()
        self._sandboxes.setdefault(spec.uid, []).insert(0, sandbox)
        return sandbox.status()

    async def refresh_volumes(self, pod: Pod) -> list[FailedMount]:
        return await self._prepare.refresh_volumes(pod)

    async def stop_pod_sandbox(self, uid: str) -> None:
        for sandbox in self._sandboxes.get(uid, ()):
            if sandbox.client is None:
                continue
            await self._hear_of_starts(sandbox)
            for container in sandbox.record.containers:
                if container.state != "stopped":
                    await self.stop_container(uid, container.id, 0)
            await self._network.detach(uid)
            await self._shut_down(sandbox)

    async def remove_pod_sandbox(self, uid: str) -> None:
        await self.stop_pod_sandbox(uid)
        await self._network.detach(uid)
        for sandbox in self._sandboxes.get(uid, ()):
            for container in sandbox.record.containers:
                await _remove_tree(self._paths.container(container.id))
            await self._cgroups.remove(sandbox.cgroup)
        self._sandboxes.pop(uid, None)  # not before: what cannot be removed yet is tried again
        await _remove_tree(self._paths.sandbox(uid))

    async def remove_volumes(self, uid: str) -> None:
        await self._prepare.remove_volumes(uid)

    async def remove_pod(self, uid: str) -> None:
        await self.remove_pod_sandbox(uid)
        await self._prepare.remove_pod(uid)
        for directory in self._paths.log_pods.glob(f"*_{uid}"):
            await _remove_tree(directory)
        log_files.remove_dangling_links(self._paths.log_containers)

    async def remove_all(self) -> None:
        """End everything at once and leave nothing: for an agent that nobody will start again."""
        for uid in await self.list_pods():
            await self.remove_pod(uid)

    # Containers

    async def ensure_image(
        self, pod: Pod, container: Container, about_to_pull: Callable[[], None] | None = None
    ) -> ImageRef:
        return await self._prepare.ensure_image(pod, container, about_to_pull)

    async def create_container(self, pod: Pod, container: Container, attempt: int, image: ImageRef) -> str:
        sandbox = self._ready_sandbox(_uid(pod))
        container_id = secrets.token_hex(32)
        cgroup = self._prepare.container_cgroup(pod, container, container_id, sandbox.cgroup)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(_remove_tree, self._paths.container(container_id))
            try:
                spec = await self._prepare.container(
                    pod,
                    container,
                    container_id,
                    attempt,
                    image,
                    sandbox.record,
                    self._cgroups.path(cgroup.path),
                )
                self._cgroups.create(cgroup)
            except OSError as error:
                raise CreateContainerError(str(error)) from error
            undo.pop_all()
        self._created[container_id] = spec
        return container_id

    async def start_container(self, uid: str, container_id: str) -> None:
        spec = self._created.pop(container_id)
        try:
            sandbox = self._ready_sandbox(uid)
            record = await self._ask(sandbox, lambda shim: shim.start_container(spec))
        except RuntimeServiceError:
            await _remove_tree(self._paths.container(container_id))  # perhaps no record tells of it
            raise
        sandbox.remember(record)
        if record.error:
            await self._cgroups.remove(f"{sandbox.cgroup}/{container_id}")
            raise RunContainerError(start_error(record))
        log_files.link(self._paths.log_containers, sandbox.record.spec, record)
        await self._prune(uid, record)

    async def stop_container(self, uid: str, container_id: str, grace: float) -> None:
        found = self._find(uid, container_id)
        if found is None or found[1].state == "stopped" or found[0].client is None:
            return
        sandbox, container = found
        number = signal_number(container.labels.get(STOP_SIGNAL, DEFAULT_STOP_SIGNAL))
        try:
            record = await self._ask(sandbox, lambda shim: shim.stop_container(container_id, number, grace))
        except RuntimeServiceError:
            if await self._is_lost(sandbox):
                return  # and with the shim everything was killed
            raise
        sandbox.remember(record)
        await self._cgroups.remove(f"{sandbox.cgroup}/{container_id}")

    async def remove_container(self, uid: str, container_id: str, *, keep_log: bool = False) -> None:
        found = self._find(uid, container_id)
        if found is None:
            return
        sandbox, container = found
        if sandbox.client is not None:
            await self._ask(sandbox, lambda shim: shim.remove_container(container_id))
        await self._cgroups.remove(f"{sandbox.cgroup}/{container_id}")
        await _remove_tree(self._paths.container(container_id))
        if keep_log:
            log_files.remove_oldest(Path(container.log_path).parent)
        else:
            log_files.remove(Path(container.log_path))
        self._prepare.remove_container(container)
        # Last: what could not be removed is tried again, and a full disk has room for the record now.
        sandbox.forget(container_id)
        if sandbox.client is None:
            sandbox.write()

    # Resources of what runs

    async def pod_cgroup(self, pod: Pod) -> PodCgroup:
        sandbox = self._ready_sandbox(_uid(pod))
        with _resize_errors():
            return resizing.read_pod(self._cgroups, self._prepare.pod_cgroup(pod), sandbox)

    async def update_pod_cgroup(self, pod: Pod, files: Collection[str]) -> None:
        await self._write(resizing.chosen(self._prepare.pod_cgroup(pod), files))

    async def update_container_resources(
        self, pod: Pod, container: Container, container_id: str, resource: str
    ) -> None:
        sandbox = self._running(_uid(pod), container_id)
        settings = self._prepare.container_cgroup(pod, container, container_id, sandbox.cgroup)
        await self._write(resizing.chosen(settings, [resource]))
        record = sandbox.container(container_id)
        assert record is not None
        before = applied_resources(record.labels.get(RESOURCES, ""))
        now = resizing.merged(before, compute_of(pod.spec or PodSpec(), container), resource)
        label = {RESOURCES: resources_label(now)}
        sandbox.remember(await self._ask(sandbox, lambda shim: shim.label_container(container_id, label)))

    async def _write(self, settings: CgroupSettings) -> None:
        """In a thread: a lower memory limit is not written before the kernel has reclaimed what is above."""
        with _resize_errors():
            await asyncio.to_thread(self._cgroups.write, settings)

    # Commands in containers

    async def exec_sync(
        self, uid: str, container_id: str, command: list[str], timeout: float | None, limit: int = 10240
    ) -> ExecResult:
        sandbox = self._running(uid, container_id)
        process = ProcessSpec(argv=command, env=[], cwd="")
        answer = await self._ask(
            sandbox, lambda shim: shim.exec_sync(container_id, process, timeout, limit), exec_sync_error
        )
        return ExecResult(*answer)

    async def exec(
        self, uid: str, container_id: str, command: list[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        sandbox = self._running(uid, container_id)
        process = protocol.plain(ProcessSpec(argv=command, env=[], cwd="", stdin=stdin, tty=tty))
        return await self._ask(
            sandbox,
            lambda shim: ShimStream.open(
                shim.directory, "exec", container_id=container_id, process=process, width=80, height=24
            ),
            exec_error,
        )

    async def attach(self, uid: str, container_id: str, *, stdin: bool) -> ExecSession:
        sandbox = self._running(uid, container_id)
        return await self._ask(
            sandbox,
            lambda shim: ShimStream.open(shim.directory, "attach", container_id=container_id, stdin=stdin),
        )

    async def port_forward(self, uid: str, port: int) -> PortConnection:
        for sandbox in self._sandboxes.get(uid, ()):
            if sandbox.client is not None:
                record, opener = sandbox.record, partial(open_socket, sandbox.directory)
                namespace = "host" if record.spec.host_network else f"/proc/{record.pid}/ns/net"
                return await dial(opener, port, record.spec.sandbox_id, namespace)
        raise PortForwardError(f"failed to find sandboxID for pod {uid}")

    # Looking

    async def pod_status(self, uid: str) -> PodRuntimeStatus:
        sandboxes = self._sandboxes.get(uid, ())
        containers = [status for sandbox in sandboxes for status in sandbox.container_statuses()]
        containers.sort(key=lambda status: (status.created_at, status.attempt), reverse=True)
        return PodRuntimeStatus(uid, tuple(sandbox.status() for sandbox in sandboxes), tuple(containers))

    async def list_pods(self) -> list[str]:
        directories = {path.name for path in self._paths.lib.glob("pods/*")}
        return sorted(directories | set(self._sandboxes))

    async def stats(self, uid: str) -> list[ContainerStats]:
        found = []
        for sandbox in self._sandboxes.get(uid, ()):
            for container in sandbox.record.containers:
                if container.state == "running":
                    usage = self._cgroups.usage(f"{sandbox.cgroup}/{container.id}")
                    found.append(ContainerStats(container.id, container.name, *usage))
        return found

    async def pod_usage(self, uid: str) -> PodUsage | None:
        for sandbox in self._sandboxes.get(uid, ()):
            return self._cgroups.pod_usage(sandbox.cgroup)
        return None

    async def disk_usage(self, uid: str, *, inodes: bool = False, limit: float | None = None) -> PodDiskUsage:
        """A pod of another boot has no sandbox, and its emptyDirs count all the same."""
        newest = {one.name: one for one in reversed((await self.pod_status(uid)).containers)}
        layers = {name: self._paths.container(one.id) / "upper" for name, one in newest.items()}
        logs = {name: Path(one.log_path).parent for name, one in newest.items()}
        empty_dirs = {path.name: path for path in empty_dir.on_disk(self._paths.pod(uid))}
        files = {path.name: path for path in hostfiles.writable(self._paths.pod(uid))}
        paths = [*layers.values(), *logs.values(), *empty_dirs.values(), *files.values()]
        measured = await self._disk_usage.measure(paths, inodes=inodes, limit=limit)
        parts = (
            {name: measured[path] for name, path in part.items() if path in measured}
            for part in (layers, logs, empty_dirs, files)
        )
        return PodDiskUsage(*parts)

    def pressure(self, uid: str, container_id: str) -> str:
        """What the container suffers from, in one line; empty: nothing is known."""
        for sandbox in self._sandboxes.get(uid, ()):
            if any(container.id == container_id for container in sandbox.record.containers):
                return pressure(self._cgroups.mount / sandbox.cgroup / container_id)
        return ""

    async def remove_orphans(self, known: Collection[str]) -> None:
        """Folders of pods that are not among the uids `known`, and of which nothing runs."""
        found = find_orphans(self._paths, {*known, *self._sandboxes})
        await asyncio.to_thread(remove_orphans, self._paths, found)

    async def rotate_logs(self, uid: str) -> None:
        for sandbox in self._sandboxes.get(uid, ()):
            for container in sandbox.record.containers:
                path = Path(container.log_path)
                if container.state != "running":
                    continue
                if not path.exists():  # an agent that ended had renamed it, and not told the shim any more
                    await self._reopen_log(sandbox, container.id)
                elif log_files.is_full(path, self._prepare.log_size):
                    rotated = await asyncio.to_thread(log_files.rotate, path, self._prepare.log_files)
                    await self._reopen_log(sandbox, container.id)
                    log_files.keep_last(path, rotated)

    async def events(self) -> AsyncIterator[PodLifecycleEvent]:
        while True:
            yield await self._events.get()

    # Below: shims

    def _create_pod_cgroup(self, settings: CgroupSettings) -> None:
        try:
            self._cgroups.create_pod(settings)
        except OSError as error:
            raise CreatePodCgroupError(str(error)) from error

    async def _spawn(self, spec: SandboxSpec, undo: AsyncExitStack) -> Sandbox:
        directory = Path(spec.directory)
        directory.mkdir(mode=0o700, parents=True)
        undo.push_async_callback(_remove_tree, directory)
        born = asyncio.create_task(self._bear(spec), name=f"spawn {spec.uid}")
        try:
            sandbox = await asyncio.shield(born)
        except asyncio.CancelledError:  # a shim that is on its way comes all the same, and nobody knows of it
            with suppress(ShimError):
                await self._shut_down(await born)
            raise
        undo.push_async_callback(self._shut_down, sandbox)
        return sandbox

    async def _bear(self, spec: SandboxSpec) -> Sandbox:
        await self._zygote.spawn(spec)
        return await self._connect(Path(spec.directory))

    async def _connect(self, directory: Path) -> Sandbox:
        """The shim that listens in `directory`. Raises ShimUnavailable."""
        early: list[dict[str, Any]] = []
        tell = early.append
        client = await ShimClient.connect(directory, lambda event: tell(event))
        try:
            sandbox = Sandbox(await client.subscribe(), directory, client)
            tell = partial(self._shim_event, sandbox)
            for event in early:
                tell(event)
        except BaseException:
            await client.close()
            raise
        self._watch(sandbox, client)
        return sandbox

    async def _connect_network(
        self, sandbox: Sandbox, ports: tuple[HostPort, ...], undo: AsyncExitStack
    ) -> None:
        spec = sandbox.record.spec
        undo.push_async_callback(self._network.detach, spec.uid)
        network = await self._network.attach(spec.uid, sandbox.record.pid, spec.name, spec.namespace, ports)
        if sandbox.client is None:
            raise ShimUnavailable(f"the shim in {sandbox.directory} is gone")
        await sandbox.client.configure_network(network)
        await self._network.until_it_forwards(spec.uid)
        sandbox.record.network = network

    async def _adopt(self, directory: Path) -> None:
        record = read_record(directory)
        if record is None:
            await _remove_tree(directory)
            return
        try:
            sandbox = await self._connect(directory)
        except ShimUnavailable:
            sandbox = Sandbox(record, directory)
            for container in record.containers:  # its own: the pod may live on in a newer sandbox
                self._cgroups.kill(f"{sandbox.cgroup}/{container.id}")
            sandbox.lose_shim()
        self._sandboxes.setdefault(sandbox.uid, []).insert(0, sandbox)
        if sandbox.client is not None and sandbox.record.network is not None:
            await self._network.adopt(sandbox.uid, sandbox.record.network.address)

    def _shim_event(self, sandbox: Sandbox, event: dict[str, Any]) -> None:
        if event["event"] == "container_died":
            record = protocol.load(ContainerRecord, event["container"])
            sandbox.remember(record)
            self._cgroups.try_remove(f"{sandbox.cgroup}/{record.id}")
            self._tell(sandbox.uid, "ContainerDied", record.id)

    def _watch(self, sandbox: Sandbox, client: ShimClient) -> None:
        """The line to a shim breaks when the shim dies, and only then or by our own hand."""
        task = asyncio.create_task(client.wait_closed(), name=f"watch {sandbox.uid}")
        task.add_done_callback(lambda task: None if task.cancelled() else self._shim_lost(sandbox))
        sandbox.watch = task

    def _shim_lost(self, sandbox: Sandbox) -> None:
        """A shim died on its own: nobody is left to look after what it ran."""
        logger.warning("the shim of pod %s is gone; its containers are killed", sandbox.uid)
        self._cgroups.kill(sandbox.cgroup)
        sandbox.lose_shim()
        self._tell(sandbox.uid, "SandboxDied")

    async def _is_lost(self, sandbox: Sandbox) -> bool:
        """Who waits for an answer hears that the line is broken a moment before `_shim_lost` is called."""
        if sandbox.client is not None and sandbox.client.closed and sandbox.watch is not None:
            await asyncio.wait([sandbox.watch])
        return sandbox.client is None

    async def _hear_of_starts(self, sandbox: Sandbox) -> None:
        """Also of those that nobody waits for any more: who is cancelled does not hear what came of them."""
        try:
            state = await self._ask(sandbox, lambda shim: shim.state())
        except RuntimeServiceError:
            if await self._is_lost(sandbox):
                return
            raise
        for record in state.containers:
            sandbox.remember(record)

    async def _shut_down(self, sandbox: Sandbox) -> None:
        client = sandbox.let_go()
        if client is None:
            return
        try:
            await client.shutdown()
        except ShimUnavailable:
            logger.debug("the shim of pod %s was gone before it was asked to go", sandbox.uid)
        finally:
            await client.close()

    def _tell(self, uid: str, kind: str, container_id: str = "") -> None:
        self._events.put_nowait(PodLifecycleEvent(uid, kind, container_id))

    async def _reopen_log(self, sandbox: Sandbox, container_id: str) -> None:
        """A container that ended meanwhile has no log to reopen; then there is no new file."""
        try:
            await self._ask(sandbox, lambda shim: shim.reopen_log(container_id))
        except RuntimeServiceError as error:
            logger.debug("cannot reopen the log of %s: %s", container_id, error)

    async def _ask(
        self,
        sandbox: Sandbox,
        call: Callable[[ShimClient], Awaitable[T]],
        told: Callable[[ShimError], str] = str,
    ) -> T:
        """The one place where a shim's errors become the runtime's; `told` finds the words."""
        if sandbox.client is None:
            raise RunContainerError(f"the sandbox of pod {sandbox.uid} is gone")
        try:
            return await call(sandbox.client)
        except ShimError as error:
            raise RunContainerError(told(error)) from error

    # Below: records

    def _ready_sandbox(self, uid: str) -> Sandbox:
        for sandbox in self._sandboxes.get(uid, ()):
            if sandbox.client is not None:
                return sandbox
        raise CreateContainerError(f"pod {uid} has no ready sandbox")

    def _find(self, uid: str, container_id: str) -> tuple[Sandbox, ContainerRecord] | None:
        for sandbox in self._sandboxes.get(uid, ()):
            record = sandbox.container(container_id)
            if record is not None:
                return sandbox, record
        return None

    def _running(self, uid: str, container_id: str) -> Sandbox:
        found = self._find(uid, container_id)
        if found is None or found[1].state != "running":
            raise RunContainerError(f"container {container_id} is not running")
        return found[0]

    async def _prune(self, uid: str, newest: ContainerRecord) -> None:
        """Keep one dead instance of a container beside the newest (14.3), and no empty dead sandbox."""
        older = [
            c
            for sandbox in self._sandboxes[uid]
            for c in sandbox.record.containers
            if c.name == newest.name and c.id != newest.id and c.state == "stopped"
        ]
        older.sort(key=lambda record: record.created_at, reverse=True)
        for record in older[1:]:
            await self.remove_container(uid, record.id)
        for sandbox in self._sandboxes[uid][1:]:
            if sandbox.client is None and not sandbox.record.containers:
                self._sandboxes[uid].remove(sandbox)
                await _remove_tree(sandbox.directory)


@contextmanager
def _resize_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResizeError(str(error)) from error


async def _remove_tree(path: Path) -> None:
    """Of any size, and maybe gone already."""
    if path.exists():
        await to_the_end(remove_tree, path)


def _uid(pod: Pod) -> str:
    assert pod.metadata is not None
    return pod.metadata.uid or ""
