"""Bringing a process to life in a container: what `container` and `exec` have in common.

In the parent: `start` clones a child that runs a *story*, a function that ends in execve. The child reports
on a pipe that closes on exec: nothing at all means it died on the way, one byte means "about to execve",
and anything else is the step that failed, its errno and its text. `Child` follows it through both endings.

In the child: `become` is the end of every story: terminal, working directory, credentials, execve. By then
the process stands inside the container's file system, so everything it needs was imported long ago, and it
must not import again.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import signal
import stat
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, Protocol

from minikubelet.linux import paths, syscalls
from minikubelet.linux.user_namespaces import UserNamespace
from minikubelet.shim import credentials
from minikubelet.shim.loop import READ, Loop
from minikubelet.shim.protocol import ProcessSpec

ABOUT_TO_EXEC = b"\0"
_REPORT_LIMIT = 64 * 1024
TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x4004_5431


class StepFailed(Exception):
    """A step of the story that failed for a reason of its own, not by a system call."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.errno = number


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process never ran."""

    step: str
    errno: int
    text: str


class Reporter:
    """The child's end of the pipe: knows at which step it is."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.step = "clone"

    def at(self, step: str) -> None:
        self.step = step

    def about_to_exec(self) -> None:
        os.write(self.fd, ABOUT_TO_EXEC)

    def failed(self, error: BaseException) -> None:
        number = getattr(error, "errno", None) or 0
        text = str(error) if isinstance(error, StepFailed) else f"cannot {self.step}: {_cause(error)}"
        report = {"step": self.step, "errno": number, "text": text[:4096]}
        os.write(self.fd, json.dumps(report).encode())


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


Story = Callable[[Reporter], NoReturn]


class Owner(Protocol):
    """Who is told. Either `child_failed`, or `child_started` and later `child_exited`."""

    def child_started(self) -> None: ...
    def child_failed(self, failure: Failure) -> None: ...
    def child_exited(self, code: int) -> None: ...


class Child:
    """A child of the shim from clone to reaping."""

    def __init__(self, loop: Loop, pid: int, pidfd: int, report: int, owner: Owner) -> None:
        self.pid = pid
        self._loop, self._pidfd, self._report, self._owner = loop, pidfd, report, owner
        self._said = b""
        self._failure: Failure | None = None
        os.set_blocking(report, False)
        loop.watch(report, READ, self._read_report)
        loop.watch_child(pid, pidfd, self._exited)

    def signal(self, number: int) -> None:
        """To this very process; a dead one has no use for it."""
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    @property
    def pidfd(self) -> int:
        """-1 once it has been reaped."""
        return self._pidfd

    def _read_report(self) -> None:
        if self._report < 0:
            return
        try:
            while data := os.read(self._report, _REPORT_LIMIT):
                self._said = (self._said + data)[:_REPORT_LIMIT]
        except BlockingIOError:
            return
        self._loop.forget(self._report)
        os.close(self._report)
        self._report = -1
        if self._said == ABOUT_TO_EXEC:
            self._owner.child_started()
        else:
            self._failure = _parse_report(self._said)

    def _exited(self, code: int) -> None:
        self._read_report()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._failure is None:
            self._owner.child_exited(code)
            return
        if not self._said:
            self._failure = Failure("start", 0, f"the process died before it could execve (exit code {code})")
        self._owner.child_failed(self._failure)


def _parse_report(said: bytes) -> Failure:
    """A failure after ABOUT_TO_EXEC is execve's own."""
    try:
        return Failure(**json.loads(said.removeprefix(ABOUT_TO_EXEC) or b"{}"))
    except (ValueError, TypeError):
        return Failure("start", 0, "the process died before it could execve")


def start(loop: Loop, flags: int, cgroup: int, story: Story, owner: Owner) -> Child:
    """Clone a child in the cgroup behind the descriptor and let it run the story."""
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid, pidfd = syscalls.clone3(flags, cgroup)
    except OSError:
        os.close(report_read)
        os.close(report_write)
        raise
    if pid == 0:
        _tell(story, Reporter(report_write))
    os.close(report_write)
    return Child(loop, pid, pidfd, report_read, owner)


def _tell(story: Story, reporter: Reporter) -> NoReturn:
    """The child, from here to its end. Whatever happens, it never returns into the shim's loop."""
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        story(reporter)
    except BaseException as error:
        reporter.failed(error)
    finally:
        os._exit(125)


@contextmanager
def open_directory(path: str) -> Iterator[int]:
    """A descriptor of a directory, such as the cgroup a child is born in."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


# Standard streams


@dataclass(slots=True)
class Streams:
    """Both ends of a process's standard streams; -1 where there is none.

    With a terminal, stdin, stdout and stderr of the child are its slave, and the shim reads and writes its
    master.
    """

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    master: int = -1
    child: tuple[int, int, int] = (-1, -1, -1)

    @classmethod
    def open(cls, process: ProcessSpec, null: int, devpts: int) -> Streams:
        """What the process asks for; its stdin is the null device unless it wants one."""
        return cls.terminal(devpts) if process.tty else cls.pipes(null, stdin=process.stdin)

    @classmethod
    def pipes(cls, null: int, *, stdin: bool) -> Streams:
        opened: list[int] = []
        try:
            for _ in range(3 if stdin else 2):
                opened += os.pipe2(os.O_CLOEXEC)
        except OSError:
            _close(opened)
            raise
        out_read, out_write, error_read, error_write, *rest = opened
        in_read, in_write = rest if stdin else (null, -1)
        for fd in (out_read, error_read, *rest[1:]):
            os.set_blocking(fd, False)
        return cls(in_write, out_read, error_read, -1, (in_read, out_write, error_write))

    @classmethod
    def terminal(cls, devpts: int) -> Streams:
        """A new terminal of the container's own devpts; no path of the container is used (CVE-2025-52565)."""
        master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=devpts)
        try:
            fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))  # unlock, as unlockpt(3)
            slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                writer = os.dup(master)
            except OSError:
                os.close(slave)
                raise
        except OSError:
            os.close(master)
            raise
        os.set_blocking(master, False)
        return cls(writer, master, -1, master, (slave, slave, slave))

    def close_child_ends(self, null: int) -> None:
        """In the parent, once the child has its copies."""
        _close(set(self.child) - {null, -1})
        self.child = (-1, -1, -1)

    def close(self, null: int) -> None:
        """Everything: the child was never made."""
        self.close_child_ends(null)
        _close({self.stdin, self.stdout, self.stderr, self.master} - {-1})


def _close(fds: list[int] | set[int]) -> None:
    for fd in fds:
        os.close(fd)


def resize(master: int, width: int, height: int) -> None:
    """The size of a terminal, in characters."""
    size = struct.pack("HHHH", min(height, 0xFFFF), min(width, 0xFFFF), 0, 0)
    fcntl.ioctl(master, termios.TIOCSWINSZ, size)


# The end of every story


def enter_user_namespace(user: UserNamespace, streams: tuple[int, int, int]) -> None:
    """Give up the node's rights; the standard streams come along, so that their owner can be changed again.

    A terminal keeps its group, as in `_own_streams`.
    """
    for fd in streams:
        if os.isatty(fd):
            os.fchown(fd, user.first, -1)
        elif not stat.S_ISCHR(os.fstat(fd).st_mode):
            os.fchown(fd, user.first, user.first)
    user.enter()


def open_root() -> int:
    """The directory that is `/` to this process."""
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_working_directory(root: int, process: ProcessSpec) -> int:
    """The directory to start in, made if missing.

    Magic links such as /proc/self/fd/7 are refused (CVE-2024-21626).
    """
    directory = paths.open_or_make_directory(root, process.cwd or "/")
    if not stat.S_ISDIR(os.fstat(directory).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), process.cwd)
    return directory


def become(process: ProcessSpec, streams: tuple[int, int, int], directory: int, report: Reporter) -> NoReturn:
    """Turn into the process asked for, already inside the container.

    1 standard streams, session, terminal · 2 working directory · 3 bounding set, groups, gid, uid,
    capabilities, no_new_privs · 4 signals, umask · 5 no descriptor above 2 survives · 6 the filter of system
    calls · 7 execve
    """
    report.at("set up the standard streams")
    os.setsid()
    for target, fd in enumerate(streams):
        os.dup2(fd, target)
    if process.tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _own_streams(process)

    report.at(f"enter the working directory {process.cwd}")
    os.fchdir(directory)

    report.at("set the credentials")
    credentials.assume(process)

    report.at("reset the signals")
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):  # what Python and the loop had changed
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)

    report.at("find the program")
    environment = dict(pair.partition("=")[::2] for pair in process.env)
    program = look_path(process.argv[0], environment.get("PATH", ""))
    syscalls.close_range(
        3, flags=syscalls.CLOSE_RANGE_CLOEXEC
    )  # at execve: the report has to reach its reader
    report.at("load the seccomp filter")
    report.about_to_exec()  # from here on each system call is one that the filter must allow
    credentials.confine(process)
    try:
        os.execve(program, process.argv, environment)
    except OSError as error:
        raise StepFailed(error.errno or 0, f"exec {program}: {_go_error(error)}") from None


def _own_streams(process: ProcessSpec) -> None:
    """Pipes and terminals belong to the process's user, so that it may open /dev/stdout again."""
    for fd in range(3):
        if not stat.S_ISCHR(os.fstat(fd).st_mode) or os.isatty(fd):
            os.fchown(fd, process.uid or 0, -1 if process.tty else process.gid or 0)


def look_path(name: str, path: str) -> str:
    """Find a program as Go's exec.LookPath does, with its words when there is none."""
    if "/" in name:
        try:
            _check_executable(name)
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
            at = f"stat {name}: " if missing or error.filename else ""
            raise StepFailed(error.errno or 0, f'exec: "{name}": {at}{_go_error(error)}') from None
        return name
    for directory in path.split(":") if path else ():
        candidate = os.path.join(directory or ".", name)
        try:
            _check_executable(candidate)
        except OSError:
            continue
        return candidate
    raise StepFailed(errno.ENOENT, f'exec: "{name}": executable file not found in $PATH')


def _check_executable(path: str) -> None:
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if not os.access(path, os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "permission denied")


def _go_error(error: OSError) -> str:
    text = os.strerror(error.errno or 0)
    return text[:1].lower() + text[1:]
