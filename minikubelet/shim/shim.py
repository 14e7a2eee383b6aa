"""The shim: one process that *is* a pod's sandbox.

It lives in the pod's namespaces, is the parent of its containers, and answers whoever connects to its
socket: an agent, the next agent, nobody at all. It trusts neither containers nor clients to behave, and
once it has started it does not die for them. What it knows it writes to state.json, and only then tells
anybody.

`main` is called in a process the zygote has just forked.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from minikubelet.linux import interfaces, processes, syscalls
from minikubelet.shim import protocol, sandbox
from minikubelet.shim.connection import Connection, Refused, Request
from minikubelet.shim.loop import READ, Loop, complain
from minikubelet.shim.monitor import Monitor
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    NetworkSpec,
    ProcessSpec,
    SandboxRecord,
    SandboxSpec,
)
from minikubelet.shim.sessions import Attach, ExecStream, ExecSync

PORTION = 64 * 1024
LOCK = "lock"
LOG = "shim.log"
_RETRY = 1.0  # seconds, when the system is short of something


def main(shape: sandbox.Shape, order: int, answer: int) -> None:
    """From a fresh fork to the pod's sandbox, serving until `shutdown`.

    1. A session of its own, no inherited descriptor but these two, nobody may look inside.
    2. A pod's namespaces, of the usual shape or another.
    3. Wait for the specification, perhaps for hours: the zygote makes the next shim ahead of time.
    4. The lock of its directory: there is never a second shim for one sandbox.
    5. Name and settings of the pod.
    6. The socket and state.json, in this order: an agent that finds a state and nobody who listens takes the
       shim for dead. Only then the zygote hears that it is there.
    7. Serve.
    """
    become_daemon(order, answer)
    listener = socket.socket(socket.AF_UNIX)  # made here it is the node's; in the pod nobody can list it
    made = sandbox.prepare(shape)
    spec = receive(order)
    if spec is None:
        return
    take_place(spec)
    lock(spec.directory)
    shim = Shim(sandbox.enter(spec, made), listener)
    shim.listen()
    shim.save()
    os.write(answer, json.dumps({"pid": os.getpid()}).encode())
    os.close(answer)
    shim.loop.run()


def become_daemon(*kept: int) -> None:
    """Step 1."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for target in range(3):
        os.dup2(null, target)
    first = 3
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    syscalls.close_range(first)
    os.chdir("/")
    os.umask(0)
    processes.set_name("mk-shim")
    processes.hide()
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)


def receive(order: int) -> SandboxSpec | None:
    """Step 3. None when the zygote is gone, or has no more use for us."""
    data = b""
    while portion := os.read(order, PORTION):
        data += portion
    os.close(order)
    return protocol.load(SandboxSpec, json.loads(data)) if data else None


def take_place(spec: SandboxSpec) -> None:
    """Where it belongs; standard error becomes the shim's log file."""
    if spec.cgroup:
        with open(f"{spec.cgroup}/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write("0")
    log = os.open(f"{spec.directory}/{LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 2)
    os.close(log)
    processes.set_oom_score(spec.oom_score_adj)


def lock(directory: str) -> None:
    """Step 4. The descriptor is never closed: the lock is the life of this process."""
    fd = os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Shim:
    """The pod's state, and what can be asked of it."""

    def __init__(self, pod: sandbox.Sandbox, listener: socket.socket) -> None:
        self.loop = Loop()
        self._pod = pod
        self._monitors: dict[str, Monitor] = {}
        self._subscribers: set[Connection] = set()
        self._record = SandboxRecord(
            version=protocol.VERSION,
            spec=pod.spec,
            pid=os.getpid(),
            boot_id=boot_id(),
            created_at=time.time(),
        )
        self._listener = listener
        if pod.init_pid:
            self.loop.watch_child(pod.init_pid, pod.init_pidfd, self._init_died)

    # State

    def _state(self) -> dict[str, Any]:
        self._record.containers = [monitor.record for monitor in self._monitors.values()]
        return protocol.plain(self._record)

    def save(self) -> None:
        """Replace state.json in one step. Readers see the old one or the new one."""
        path = f"{self._record.spec.directory}/{protocol.STATE}"
        new = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(new, protocol.encode(self._state()))
        finally:
            os.close(new)
        os.replace(f"{path}.new", path)

    def changed(self) -> None:
        """As `save`, but a full disk does not stop a pod: the old state stays, and it is tried again."""
        try:
            self.save()
        except OSError as error:
            complain(f"cannot write the state: {error}")
            self.loop.call_later(_RETRY, self.changed)

    def container_died(self, monitor: Monitor) -> None:
        event = {"event": "container_died", "container": protocol.plain(monitor.record)}
        for client in list(self._subscribers):
            client.send(event)

    def pidfd_of(self, container_id: str) -> int:
        monitor = self._monitors.get(container_id)
        if monitor is None or not monitor.running or monitor.child is None:
            raise ProcessLookupError(errno.ESRCH, "the target container is not running")
        return monitor.child.pidfd

    def _init_died(self, code: int) -> None:
        """The kernel has killed everything in the pod's pid namespace; no container can be started again."""
        complain(f"process 1 of the pod died ({code}); the sandbox is lost")
        self.loop.running = False

    # Clients

    def listen(self) -> None:
        """A path in a socket address has at most 107 bytes; through a descriptor it is always short."""
        directory = os.open(self._record.spec.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = f"/proc/self/fd/{directory}/{protocol.SOCKET}"
            if os.path.lexists(path):
                os.unlink(path)  # of a shim that was killed: this one holds the lock
            os.umask(0o177)
            self._listener.bind(path)
            os.umask(0)
        finally:
            os.close(directory)
        self._listener.setblocking(False)
        self._listener.listen(128)
        self._watch_listener()

    def _watch_listener(self) -> None:
        self.loop.watch(self._listener.fileno(), READ, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # EMFILE, ENFILE, ENOMEM: leave them in the queue for a moment
            self.loop.forget(self._listener.fileno())
            self.loop.call_later(_RETRY, self._watch_listener)
            return
        _, uid, _ = struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        with client:
            if uid == 0:
                Connection(self.loop, client, self._serve)

    def _serve(self, client: Connection, request: Request) -> None:
        operation = OPERATIONS.get(str(request.get("op")))
        try:
            if operation is None:
                raise Refused(f"unknown operation {request.get('op')!r}")
            operation(self, client, request)
        except Refused as refused:
            client.refuse(request, refused)
        except OSError as error:
            client.refuse(request, Refused(f"cannot {request['op']}: {error}", number=error.errno or 0))
        except (KeyError, TypeError, ValueError) as error:
            client.refuse(
                request, Refused(f"bad request: {type(error).__name__}: {error}", number=errno.EINVAL)
            )

    def _monitor(self, request: Request) -> Monitor:
        monitor = self._monitors.get(request["container_id"])
        if monitor is None:
            raise Refused(f"container {request['container_id']} not found", number=errno.ENOENT)
        return monitor

    def _running(self, request: Request) -> Monitor:
        monitor = self._monitor(request)
        if not monitor.running:
            raise Refused(f"container {request['container_id']} is not running", number=errno.ESRCH)
        return monitor

    # Operations, in the order of protocol.py

    def subscribe(self, client: Connection, request: Request) -> None:
        self._subscribers.add(client)
        client.when_closed(lambda: self._subscribers.discard(client))
        client.answer(request, {"state": self._state()})

    def state(self, client: Connection, request: Request) -> None:
        client.answer(request, self._state())

    def configure_network(self, client: Connection, request: Request) -> None:
        network = protocol.load(NetworkSpec, request["spec"])
        interfaces.configure("eth0", network.address, network.prefix, network.mtu)
        interfaces.add_default_route(network.gateway)
        self._record.network = network
        self.changed()
        client.answer(request, {})

    def start_container(self, client: Connection, request: Request) -> None:
        spec = protocol.load(ContainerSpec, request["spec"])
        if spec.id in self._monitors:
            raise Refused(f"container {spec.id} exists", number=errno.EEXIST)
        monitor = Monitor(self.loop, spec, self._pod, self)
        self._monitors[spec.id] = monitor
        monitor.start(lambda record: client.answer(request, protocol.plain(record)))

    def stop_container(self, client: Connection, request: Request) -> None:
        def stopped(record: ContainerRecord) -> None:
            client.answer(request, protocol.plain(record))

        self._monitor(request).stop(
            int(request.get("signal", signal.SIGTERM)), float(request["grace"]), stopped
        )

    def remove_container(self, client: Connection, request: Request) -> None:
        monitor = self._monitors.get(request["container_id"])
        if monitor is not None and not monitor.stopped:
            raise Refused(f"container {monitor.spec.id} is not stopped", number=errno.EBUSY)
        if monitor is not None:
            del self._monitors[monitor.spec.id]
            self.changed()
        client.answer(request, {})

    def exec_sync(self, client: Connection, request: Request) -> None:
        spec = protocol.load(ProcessSpec, request["process"])
        ExecSync(
            self.loop, self._running(request), spec, self._pod.null, request=request, client=client
        ).start()

    def exec(self, client: Connection, request: Request) -> None:
        spec = protocol.load(ProcessSpec, request["process"])
        ExecStream(
            self.loop, self._running(request), spec, self._pod.null, request=request, client=client
        ).start()

    def attach(self, client: Connection, request: Request) -> None:
        Attach(self._running(request), request, client)

    def reopen_log(self, client: Connection, request: Request) -> None:
        self._monitor(request).reopen_log()
        client.answer(request, {})

    def label_container(self, client: Connection, request: Request) -> None:
        record = self._monitor(request).record
        record.labels = {**record.labels, **{str(k): str(v) for k, v in request["labels"].items()}}
        self.changed()
        client.answer(request, protocol.plain(record))

    def open_socket(self, client: Connection, request: Request) -> None:
        """For the node to reach what listens on the pod's loopback only. Whose namespace a socket belongs to
        is settled when it is made; connecting is the agent's.
        """
        family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}[request["family"]]
        with socket.socket(family, socket.SOCK_STREAM) as made:
            client.answer_with(request, made.fileno())

    def shutdown(self, client: Connection, request: Request) -> None:
        alive = [monitor.spec.name for monitor in self._monitors.values() if not monitor.stopped]
        if alive:
            raise Refused(f"still running: {', '.join(alive)}", number=errno.EBUSY)
        os.unlink(f"{self._record.spec.directory}/{protocol.SOCKET}")
        client.answer(request, {})
        self.loop.running = False


OPERATIONS: dict[str, Callable[[Shim, Connection, Request], None]] = {
    operation.__name__: operation
    for operation in (
        Shim.subscribe,
        Shim.state,
        Shim.configure_network,
        Shim.start_container,
        Shim.stop_container,
        Shim.remove_container,
        Shim.exec_sync,
        Shim.exec,
        Shim.attach,
        Shim.reopen_log,
        Shim.label_container,
        Shim.open_socket,
        Shim.shutdown,
    )
}


def boot_id() -> str:
    """Of this boot of the machine: pids and namespaces of another one mean nothing."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write_all(fd: int, data: bytes) -> None:
    """A full disk may take a part and refuse the rest."""
    while data:
        data = data[os.write(fd, data) :]
