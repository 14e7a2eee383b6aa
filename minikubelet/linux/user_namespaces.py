"""User namespaces: a range of the node's ids that is 0, 1, 2 … for those who are in it (user_namespaces(7)).

Who is root in one can do to what the namespace *owns* all that root can do, and to everything else only what
the node's user `first` could, who is nobody. A namespace of another kind is owned by the user namespace its
maker was in, so `make` has a short-lived process make all of them, and its caller steps only into the others:
it keeps the node's own rights, which reach into every user namespace.

Files keep the ids they have on disk; an id-mapped mount shows them shifted by the range (`map_ids`).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from minikubelet.linux import paths, processes, syscalls


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """`fd` is its file, `first` the node's id of who is 0 in it."""

    fd: int
    first: int

    def enter(self) -> None:
        """Be root in it, and nobody outside. There is no way back.

        A change of credentials may make a process dumpable (fs.suid_dumpable): not this one.
        """
        syscalls.setns(self.fd, syscalls.CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        processes.hide()

    @contextmanager
    def acting_as_root(self) -> Iterator[None]:
        """Stay outside with all the node's rights, and be who is its root to everybody who asks for a name.

        Files made in the block are its root's, and so may be sysctls that go by the owner of a namespace.
        """
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
        os.setegid(self.first)
        os.seteuid(self.first)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            syscalls.prctl(syscalls.PR_SET_SECUREBITS, 0)
            processes.hide()


def make(first: int, count: int, others: int) -> UserNamespace:
    """A new one with ids 0 to `count` - 1; step into the namespaces of the kinds `others` that it owns."""
    parent = os.pidfd_open(os.getpid())
    try:
        pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWUSER | others)
        if pid == 0:
            _wait_for_the_end(parent)
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise OSError(error.errno, f"failed to create user namespace: {text}") from error
    finally:
        os.close(parent)
    try:
        for file in ("uid_map", "gid_map"):
            paths.write_kernel_file(f"/proc/{pid}/{file}", f"0 {first} {count}\n", syscalls.PROC_SUPER_MAGIC)
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(pidfd, others)
        return UserNamespace(fd, first)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


def _wait_for_the_end(parent: int) -> NoReturn:
    """The child: it is there to be looked at."""
    try:
        processes.die_with(parent)
        while True:
            signal.pause()
    finally:
        os._exit(125)


def map_ids(tree: int, namespace: int, source: str) -> None:
    """Show the files of a detached mount as the namespace behind the descriptor sees the same numbers.

    The node's root becomes its root. Not every file system can do that (EINVAL); then the words are runc's.
    """
    try:
        syscalls.mount_setattr(tree, attr_set=syscalls.MOUNT_ATTR_IDMAP, user_namespace=namespace)
    except OSError as error:
        unable = error.errno == errno.EINVAL
        hint = " (maybe the filesystem used doesn't support idmap mounts on this kernel?)" if unable else ""
        text = os.strerror(error.errno or 0).lower()
        raise OSError(error.errno, f"failed to set MOUNT_ATTR_IDMAP on {source}: {text}{hint}") from error
