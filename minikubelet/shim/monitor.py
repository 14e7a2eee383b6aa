"""One container as the shim sees it: its process, streams, log, cgroup, and its way from created to stopped.

                 start                    execve                  process 1 ends           cgroup empty
    (asked for) ──────▶ created (clone) ────────▶ running ──────────────────────▶ ending ─────────────▶
    stopped
                             └── a step failed, exit code 128 ──────────────────────────────────────────▲

When process 1 ends, everything else in the container's cgroup is killed; only when the cgroup is empty, the
pipes are read to their end and the record is written, the shim tells anybody that the container stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

from minikubelet.linux import cgroup, devices, namespaces, syscalls, trees
from minikubelet.linux.user_namespaces import UserNamespace
from minikubelet.shim import container, process
from minikubelet.shim.cri_log import CriLog
from minikubelet.shim.emptied import when_empty
from minikubelet.shim.loop import Loop, Timer
from minikubelet.shim.protocol import STDERR, STDOUT, ContainerRecord, ContainerSpec
from minikubelet.shim.sandbox import Sandbox
from minikubelet.shim.streams import Reader, Writer, nothing

TTY_GROUP = 5  # Debian's number, which runtimes use for every image
START_ERROR = 128  # the exit code of what never ran
_KILL_AGAIN = 0.05  # seconds; only where the kernel has no cgroup.kill

Told = Callable[[ContainerRecord], None]


class Keeper(Protocol):
    """The shim."""

    def changed(self) -> None:
        """Write the state down."""

    def container_died(self, monitor: Monitor) -> None:
        """Tell whoever subscribed. The state is written."""

    def pidfd_of(self, container_id: str) -> int:
        """Of another container's first process. ProcessLookupError when it does not run."""


class Tap(Protocol):
    """An attached client: gets a copy of what the container writes."""

    def output(self, channel: int, data: bytes) -> None: ...
    def stdin_drained(self) -> None: ...
    def container_stopped(self, exit_code: int) -> None: ...


class Monitor:
    """Supervises one container."""

    def __init__(self, loop: Loop, spec: ContainerSpec, sandbox: Sandbox, keeper: Keeper) -> None:
        self.spec = spec
        self.record = ContainerRecord(
            id=spec.id, name=spec.name, attempt=spec.attempt, state="created", created_at=time.time(),
            log_path=spec.log_path, labels=spec.labels,
        )  # fmt: skip
        self.devpts = -1
        self.child: process.Child | None = None
        self.stdin: Writer | None = None
        self.master = -1
        self.taps: set[Tap] = set()
        self._loop, self._sandbox, self._keeper = loop, sandbox, keeper
        self._log: CriLog | None = None
        self._readers: list[Reader] = []
        self._execs = 0
        self._timer: Timer | None = None
        self._start_told: list[Told] = []
        self._stop_told: list[Told] = []

    @property
    def user(self) -> UserNamespace | None:
        """Of the pod, if it has one of its own."""
        return self._sandbox.user

    @property
    def running(self) -> bool:
        return self.record.state == "running"

    @property
    def stopped(self) -> bool:
        return self.record.state == "stopped"

    # Start

    def start(self, told: Told) -> None:
        """Clone the container's process; `told` hears whether it runs."""
        self._start_told.append(told)
        try:
            self._start()
        except OSError as error:
            self.child_failed(
                process.Failure("prepare", error.errno or 0, f"cannot prepare the container: {error}")
            )

    def _start(self) -> None:
        spec, null = self.spec, self._sandbox.null
        self._log = CriLog(spec.log_path)
        first = 0 if self.user is None else self.user.first
        values = (("gid", str(first + TTY_GROUP)), ("mode", "620"), ("ptmxmode", "666"))
        self.devpts = trees.new_filesystem("devpts", 0, values)
        if first:
            os.chown(".", first, first, dir_fd=self.devpts)
        with process.open_directory(spec.cgroup) as directory:
            if not spec.privileged:
                devices.attach_policy(self._sandbox.device_policy(), directory)
            streams = process.Streams.open(spec.process, null, self.devpts)
            try:
                self._follow(streams)  # before it lives, or what it said last may be seen first
                with self._pid_namespace():
                    self.child = process.start(
                        self._loop,
                        container.clone_flags(spec),
                        directory,
                        lambda report: container.run(spec, self._sandbox, self.devpts, streams.child, report),
                        self,
                    )
            finally:
                streams.close_child_ends(null)
        self.record.pid = self.child.pid

    def _pid_namespace(self) -> AbstractContextManager[None]:
        """Where the container's process will be born."""
        if self.spec.pid_mode == "pod":
            return namespaces.entered(self._sandbox.init_pidfd, syscalls.CLONE_NEWPID)
        if self.spec.pid_mode == "target":
            target = self._keeper.pidfd_of(self.spec.pid_target)
            return namespaces.entered(target, syscalls.CLONE_NEWPID)
        return nullcontext()

    def _follow(self, streams: process.Streams) -> None:
        for channel, fd in ((STDOUT, streams.stdout), (STDERR, streams.stderr)):
            if fd >= 0:
                received = partial(self._output, channel)
                self._readers.append(Reader(self._loop, fd, received, nothing))
        self.master = streams.master
        if streams.stdin >= 0:
            self.stdin = Writer(self._loop, streams.stdin, self._stdin_drained)

    def _output(self, channel: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write("stdout" if channel == STDOUT else "stderr", data)
        for tap in list(self.taps):
            tap.output(channel, data)

    def _stdin_drained(self) -> None:
        for tap in list(self.taps):
            tap.stdin_drained()

    def child_started(self) -> None:
        self.record.state = "running"
        self.record.started_at = time.time()
        self._keeper.changed()
        self._tell(self._start_told)

    def child_failed(self, failure: process.Failure) -> None:
        self.record.error = failure.text
        self._ended(START_ERROR)

    # Stop

    def stop(self, number: int, grace: float, told: Told) -> None:
        """Signal process 1, kill the rest after `grace` seconds.

        Asked again, the time may only become shorter.
        """
        if self.stopped:
            told(self.record)
            return
        self._stop_told.append(told)
        if grace <= 0 or not self.running:
            self._kill()
            return
        deadline = time.monotonic() + grace
        if self._timer is None:
            cgroup.thaw(self.spec.cgroup)  # a frozen process would not see the signal
            self._signal(number)
        elif self._timer.when <= deadline:
            return
        else:
            self._timer.cancel()
        self._timer = self._loop.call_later(grace, self._kill)

    def _signal(self, number: int) -> None:
        if self.child is not None:
            self.child.signal(number)

    def _kill(self) -> None:
        """Everything in the cgroup, again and again where the kernel cannot do it in one step."""
        if self.stopped:
            return
        self._cancel_timer()
        cgroup.kill(self.spec.cgroup)
        if not cgroup.can_kill(self.spec.cgroup):
            self._timer = self._loop.call_later(_KILL_AGAIN, self._kill)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # End

    def child_exited(self, code: int) -> None:
        self._ended(code)

    def _ended(self, code: int) -> None:
        """Process 1 is dead and reaped, or never ran. Whoever else lives in the cgroup has to go."""
        self.record.exit_code = code
        self.record.finished_at = time.time()
        if cgroup.populated(self.spec.cgroup):
            self._kill()
        when_empty(self._loop, self.spec.cgroup, self._finish)

    def _finish(self) -> None:
        """Read the pipes to their end, write the record, and only then tell."""
        self._loop.catch_up({reader.fd for reader in self._readers})  # the order of both pipes' last words
        for reader in self._readers:
            reader.drain()
            reader.close()
        self._close_all()
        self.record.oom_killed = cgroup.oom_killed(self.spec.cgroup)
        self.record.state = "stopped"
        self._cancel_timer()
        self._keeper.changed()
        if not self.record.error:
            self._keeper.container_died(self)
        for tap in list(self.taps):
            tap.container_stopped(self.record.exit_code)
        self._tell(self._start_told)
        self._tell(self._stop_told)

    def _close_all(self) -> None:
        if self._log is not None:
            self._log.finish()
            self._log.close()
            self._log = None
        if self.stdin is not None:
            self.stdin.close()
        if self.devpts >= 0:
            os.close(self.devpts)
        self.devpts = self.master = -1

    def _tell(self, who: list[Told]) -> None:
        told, who[:] = list(who), []
        for callback in told:
            callback(self.record)

    # For others

    def new_exec_cgroup(self) -> str:
        """A name for a cgroup below the container's; the caller makes and removes it."""
        self._execs += 1
        return f"{self.spec.cgroup}/exec-{self._execs}"

    def reopen_log(self) -> None:
        if self._log is not None:
            self._log.reopen()
