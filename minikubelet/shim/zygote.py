"""The zygote: a small, warm process that becomes a shim by fork, in about a millisecond.

A fork copies its memory page by page as it is touched, and that is a good part of a shim's birth. So when
nobody is in a hurry the next shim is made ahead of time: an *embryo* of the usual shape, which waits for its
specification. Of many pods at once all but the first wait for a fork.

It has imported everything a shim will ever need and then emptied its importers, so neither it nor any
descendant can load code from anywhere again, least of all from a container's file system (CVE-2019-14271).
It has one thread, does one thing at a time, and ends when the agent closes its end of the socket; the shims
live on.

The agent starts it (`runtime.shim_client`) with the number of a SOCK_SEQPACKET descriptor; one packet is
one JSON object: `{"id", "op": "spawn", "spec"}` → `{"id", "pid"}` when the shim's socket listens, or
`{"id", "error": {step, errno, text}}`.
"""

from __future__ import annotations

import codecs
import gc
import json
import os
import select
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from minikubelet.linux import processes
from minikubelet.shim import protocol, shim
from minikubelet.shim.sandbox import Shape
from minikubelet.shim.shim import write_all

_PACKET = 1 << 20
_QUIET = 60  # milliseconds without a request, after which the next shim is made


@dataclass(slots=True)
class Embryo:
    """A shim that does not know yet whose: it reads its specification from `order`, or dies with us."""

    pid: int
    order: int
    answer: int


@dataclass(slots=True)
class Newborn:
    """A shim that has been told what it is. It answers once."""

    request: Any
    pid: int


def main(agent: int) -> NoReturn:
    """Prepare once, then fork on request."""
    os.umask(0)
    kept = {
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }  # Python ignores the last two: good
    for number in signal.valid_signals() - kept:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    processes.set_name("mk-zygote")
    processes.hide()
    forget_importers()
    gc.collect()
    gc.freeze()  # what is never looked at by the collector is never copied after a fork
    Zygote(agent).serve()


def forget_importers() -> None:
    """From here on, an import that was not done yet fails."""
    for encoding in ("ascii", "latin-1", "utf-8"):
        codecs.lookup(encoding)  # Python imports these when they are first used
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()


class Zygote:
    """poll(2) rather than epoll: it leaves no descriptor behind that a fork would inherit."""

    def __init__(self, agent: int) -> None:
        self._agent = agent
        self._embryo: Embryo | None = None
        self._prepares = True  # until that fails; the next request gives it another chance
        self._answers: dict[int, Newborn] = {}  # by the descriptor of the pipe
        self._pidfds: dict[int, int] = {}

    def serve(self) -> NoReturn:
        while True:
            poll = select.poll()
            for fd in (self._agent, *self._answers, *self._pidfds):
                poll.register(fd, select.POLLIN)
            ready = poll.poll(_QUIET if self._prepares and self._embryo is None else None)
            if not ready:
                self._prepare()
            for fd, _ in ready:
                if fd == self._agent:
                    self._take_request()
                elif fd in self._answers:
                    self._pass_on(fd)
                else:
                    self._reap(fd)

    def _prepare(self) -> None:
        try:
            self._embryo = self._conceive(Shape())
        except OSError:
            self._prepares = False

    def _take_request(self) -> None:
        try:
            packet = os.read(self._agent, _PACKET)
        except ConnectionResetError:  # it ended with an answer of ours unread: as good as the end of file
            packet = b""
        if not packet:
            os._exit(0)
        request = json.loads(packet)
        try:
            self._spawn(request["id"], request["spec"])
        except OSError as error:
            self._refuse(request["id"], "fork", error.errno or 0, f"cannot fork a shim: {error}")

    def _spawn(self, request: Any, spec: dict[str, Any]) -> None:
        self._prepares = True
        order = json.dumps(spec).encode()
        shape = Shape.of(protocol.load(protocol.SandboxSpec, spec))
        embryo = self._take_embryo() if shape == Shape() else None
        if embryo is not None and not give(embryo.order, order):
            os.close(embryo.answer)
            embryo = None
        if embryo is None:
            embryo = self._conceive(shape)
            give(embryo.order, order)  # if it is dead already, its answer says why
        self._answers[embryo.answer] = Newborn(request, embryo.pid)

    def _take_embryo(self) -> Embryo | None:
        embryo, self._embryo = self._embryo, None
        return embryo

    def _conceive(self, shape: Shape) -> Embryo:
        pipes: list[int] = []
        try:
            pipes += os.pipe2(os.O_CLOEXEC)
            pipes += os.pipe2(os.O_CLOEXEC)
            pid = os.fork()
        except OSError:
            _close(pipes)
            raise
        order_read, order_write, answer_read, answer_write = pipes
        if pid == 0:
            be_shim(shape, order_read, answer_write)
        _close([order_read, answer_write])
        self._pidfds[os.pidfd_open(pid)] = pid
        return Embryo(pid, order_write, answer_read)

    def _pass_on(self, answer: int) -> None:
        """What the shim said, once; or that it died without a word."""
        newborn = self._answers.pop(answer)
        said = os.read(answer, _PACKET)
        os.close(answer)
        if said:
            self._tell({"id": newborn.request, **json.loads(said)})
        else:
            self._refuse(newborn.request, "start", 0, f"shim {newborn.pid} died before it answered")

    def _reap(self, pidfd: int) -> None:
        pid = self._pidfds.pop(pidfd)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        if self._embryo is not None and self._embryo.pid == pid:
            _close([self._embryo.order, self._embryo.answer])
            self._embryo = None
            self._prepares = False

    def _refuse(self, request: Any, step: str, number: int, text: str) -> None:
        self._tell({"id": request, "error": {"step": step, "errno": number, "text": text}})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            os.write(self._agent, json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def give(order: int, specification: bytes) -> bool:
    """False when nobody is there to read it."""
    try:
        write_all(order, specification)
    except BrokenPipeError:
        return False
    finally:
        os.close(order)
    return True


def be_shim(shape: Shape, order: int, answer: int) -> NoReturn:
    """The forked child. A failure before it listens is its answer; it always ends here."""
    code = 1
    try:
        shim.main(shape, order, answer)
        code = 0
    except BaseException as error:
        report = {
            "step": "start",
            "errno": getattr(error, "errno", None) or 0,
            "text": f"cannot start the shim: {error}",
        }
        try:
            os.write(answer, json.dumps({"error": report}).encode())
        except OSError:
            traceback.print_exc()  # it was serving already: a bug, and its log file is the place to say so
    finally:
        os._exit(code)
