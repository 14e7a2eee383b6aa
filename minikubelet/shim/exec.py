"""Running one more process in a container: a probe, a hook, `kubectl exec`.

The shim forks; there is no second start of an interpreter. The child is born in the container's pid
namespace and in a cgroup of its own below the container's, so that a time-out, or a client that goes away,
ends all of it in one step, daemons included, and nothing else. It joins the other namespaces through the
container's pidfd, not dumpable as every child of the shim, and from then on it is the same story as a
container's: `process.become`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NoReturn

from minikubelet.linux import cgroup, namespaces, processes, syscalls
from minikubelet.linux.user_namespaces import UserNamespace
from minikubelet.shim import process
from minikubelet.shim.connection import Refused
from minikubelet.shim.emptied import when_empty
from minikubelet.shim.loop import Loop
from minikubelet.shim.monitor import Monitor
from minikubelet.shim.process import Failure, Reporter, Streams
from minikubelet.shim.protocol import ProcessSpec


def run(
    spec: ProcessSpec,
    oom_score_adj: int,
    pidfd: int,
    user: UserNamespace | None,
    streams: tuple[int, int, int],
    report: Reporter,
) -> NoReturn:
    """The story of a process that joins a container.

    1 oom_score_adj, while the node's /proc is there · 2 the container's mount and cgroup namespaces;
    network, IPC and UTS are the shim's own, and the pid namespace is that of birth · 3 the pod's user
    namespace, if it has one · 4 working directory · 5 `process.become`
    """
    report.at("set oom_score_adj")
    processes.set_oom_score(oom_score_adj)
    report.at("join the container's namespaces")
    syscalls.setns(pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
    if user is not None:
        process.enter_user_namespace(user, streams)
    report.at(f"open the working directory {spec.cwd}")
    directory = process.open_working_directory(process.open_root(), spec)
    process.become(spec, streams, directory, report)


class Exec(ABC):
    """A process that was started in a container. What becomes of its streams is up to the two kinds of it."""

    def __init__(self, loop: Loop, monitor: Monitor, spec: ProcessSpec, null: int) -> None:
        own = monitor.spec.process
        self.spec = replace(
            spec,
            env=spec.env or own.env,
            cwd=spec.cwd or own.cwd,
            uid=own.uid if spec.uid is None else spec.uid,
            gid=own.gid if spec.gid is None else spec.gid,
            groups=own.groups if spec.groups is None else spec.groups,
            capabilities=own.capabilities if spec.capabilities is None else spec.capabilities,
            no_new_privileges=spec.no_new_privileges or own.no_new_privileges,
            seccomp=own.seccomp if spec.seccomp is None else spec.seccomp,
        )
        self._loop, self._monitor, self._null = loop, monitor, null
        self._cgroup = monitor.new_exec_cgroup()

    def start(self) -> None:
        """Clone the process. Refused: what the shim itself could not do for it."""
        monitor, spec = self._monitor, self.spec
        assert monitor.child is not None
        pidfd, oom_score_adj = monitor.child.pidfd, monitor.spec.oom_score_adj
        streams = Streams()
        try:
            os.mkdir(self._cgroup, 0o755)  # the shim has no umask, and this is seen on the node
            streams = Streams.open(spec, self._null, monitor.devpts)
            with process.open_directory(self._cgroup) as directory, in_pid_namespace(pidfd):
                self.child = process.start(
                    self._loop,
                    0,
                    directory,
                    lambda report: run(spec, oom_score_adj, pidfd, monitor.user, streams.child, report),
                    self,
                )
        except OSError as error:
            streams.close(self._null)
            self.remove_cgroup()
            raise Refused(f"cannot start a process: {error}", "exec", error.errno or 0) from error
        streams.close_child_ends(self._null)
        self.follow(streams)

    def kill(self) -> None:
        """All of it."""
        cgroup.kill(self._cgroup)

    def remove_cgroup(self) -> None:
        """Now, or when the last process that was left behind in it has ended."""
        when_empty(self._loop, self._cgroup, lambda: cgroup.remove(self._cgroup))

    @abstractmethod
    def follow(self, streams: Streams) -> None: ...

    @abstractmethod
    def child_started(self) -> None: ...

    @abstractmethod
    def child_failed(self, failure: Failure) -> None: ...

    @abstractmethod
    def child_exited(self, code: int) -> None: ...


def in_pid_namespace(pidfd: int) -> AbstractContextManager[None]:
    return namespaces.entered(pidfd, syscalls.CLONE_NEWPID)
