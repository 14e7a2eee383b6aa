"""What clients do with a container's streams: `exec_sync`, `exec` and `attach`.

    exec_sync   collects output up to a limit, reads on and throws away, answers once
    exec        a process of its own, its streams on the connection, both directions with back-pressure
    attach      a copy of the container's output, and its stdin

All three end with the client: what runs only for it is killed, what is kept only for it is freed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from minikubelet.shim import process
from minikubelet.shim.connection import Connection, Refused, Request
from minikubelet.shim.exec import Exec
from minikubelet.shim.loop import Timer
from minikubelet.shim.monitor import Monitor
from minikubelet.shim.process import Failure, Streams
from minikubelet.shim.protocol import EXIT, FRAME_LIMIT, RESIZE, STDERR, STDIN, STDOUT
from minikubelet.shim.streams import Reader, Writer

ATTACH_LIMIT = 1 << 20  # how far an attached client may fall behind before it is cut off


class ExecSync(Exec):
    """A probe or a hook: run it, collect what it says, answer."""

    def __init__(self, *common: Any, request: Request, client: Connection) -> None:
        super().__init__(*common)
        self.spec = replace(self.spec, stdin=False, tty=False)
        self._request, self._client = request, client
        self._limit = int(request.get("limit", 10240))
        self._output = {STDOUT: bytearray(), STDERR: bytearray()}
        self._readers: list[Reader] = []
        self._timer: Timer | None = None
        self._timed_out = False

    def follow(self, streams: Streams) -> None:
        for channel, fd in ((STDOUT, streams.stdout), (STDERR, streams.stderr)):
            if fd >= 0:
                self._readers.append(Reader(self._loop, fd, partial(self._collect, channel)))
        timeout = self._request.get("timeout")
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self._time_out)
        self._client.when_closed(self.kill)

    def _collect(self, channel: int, data: bytes) -> None:
        kept = self._output[channel]
        kept += data[: self._limit - len(kept)]

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill()

    def child_started(self) -> None:
        return

    def child_failed(self, failure: Failure) -> None:
        self._finish()
        self._client.refuse(self._request, Refused(failure.text, failure.step, failure.errno))

    def child_exited(self, code: int) -> None:
        self._finish()
        stdout, stderr = self._output[STDOUT], self._output[STDERR]
        result = {
            "exit_code": code,
            "output": (stdout + stderr)[: self._limit].decode("latin-1"),
            "timed_out": self._timed_out,
            "stderr": stderr.decode("latin-1"),
        }
        self._client.answer(self._request, result)

    def _finish(self) -> None:
        self._client.forget(self.kill)
        if self._timer is not None:
            self._timer.cancel()
        for reader in self._readers:
            reader.drain()
            reader.close()
        self.remove_cgroup()


class ExecStream(Exec):
    """A process attached to a client."""

    def __init__(self, *common: Any, request: Request, client: Connection) -> None:
        super().__init__(*common)
        self._request, self._client = request, client
        self._readers: list[Reader] = []
        self._stderr: Reader | None = None
        self._stdin: Writer | None = None
        self._master = -1

    def follow(self, streams: Streams) -> None:
        self._master = streams.master
        if self._master >= 0:
            process.resize(self._master, self._request.get("width", 80), self._request.get("height", 24))
        for channel, fd in ((STDOUT, streams.stdout), (STDERR, streams.stderr)):
            if fd >= 0:
                reader = Reader(self._loop, fd, partial(self._output, channel))
                reader.pause()  # until the client knows that there is a stream
                self._readers.append(reader)
                if channel == STDERR:
                    self._stderr = reader
        if streams.stdin >= 0:
            self._stdin = Writer(self._loop, streams.stdin, self._client.resume)
        self._client.when_closed(self.kill)

    def child_started(self) -> None:
        self._client.answer(self._request, {"pid": self.child.pid})
        self._client.become_stream(self)
        self.drained()

    def child_failed(self, failure: Failure) -> None:
        self._close()
        self._client.refuse(self._request, Refused(failure.text, failure.step, failure.errno))

    def child_exited(self, code: int) -> None:
        for reader in self._readers:
            reader.drain()
        self._close()
        self._client.send_frame(EXIT, json.dumps({"exit_code": code}).encode())
        self._client.close_when_written()

    def _output(self, channel: int, data: bytes) -> None:
        """What was said on stderr goes before what came later on stdout: `kubectl cp` listens no more once it
        has the (empty) tar of a file that is not there, and tar has said so before.
        """
        if channel == STDOUT and self._stderr is not None:
            self._stderr.read_now()
        for start in range(0, len(data), FRAME_LIMIT):
            self._client.send_frame(channel, data[start : start + FRAME_LIMIT])
        if self._client.full:
            for reader in self._readers:
                reader.pause()

    def drained(self) -> None:
        for reader in self._readers:
            reader.resume()

    def frame(self, channel: int, payload: bytes) -> None:
        take_frame(self._client, channel, payload, self._stdin, self._master, may_end=True)

    def _close(self) -> None:
        self._client.forget(self.kill)
        for reader in self._readers:
            reader.close()
        if self._stdin is not None:
            self._stdin.close()
        self._master = -1
        self.remove_cgroup()


class Attach:
    """A client on the container's own streams.

    It may fall behind only so far: the container is not held up for it.
    """

    def __init__(self, monitor: Monitor, request: Request, client: Connection) -> None:
        self._monitor, self._client = monitor, client
        self._wants_stdin = bool(request.get("stdin"))
        monitor.taps.add(self)
        client.when_closed(self._leave)
        client.answer(request, {"tty": monitor.spec.process.tty})
        client.become_stream(self)

    def output(self, channel: int, data: bytes) -> None:
        self._client.send_frame(channel, data)
        if self._client.unread > ATTACH_LIMIT:
            self._client.close()

    def drained(self) -> None:
        return

    def stdin_drained(self) -> None:
        self._client.resume()

    def frame(self, channel: int, payload: bytes) -> None:
        stdin = self._monitor.stdin if self._wants_stdin else None
        once = self._monitor.spec.stdin_once  # or the next client finds it open
        take_frame(self._client, channel, payload, stdin, self._monitor.master, may_end=once)

    def container_stopped(self, exit_code: int) -> None:
        self._leave()
        self._client.send_frame(EXIT, json.dumps({"exit_code": exit_code}).encode())
        self._client.close_when_written()

    def _leave(self) -> None:
        self._monitor.taps.discard(self)
        if self._wants_stdin and self._monitor.spec.stdin_once and self._monitor.stdin is not None:
            self._monitor.stdin.close_when_written()


def take_frame(
    client: Connection, channel: int, payload: bytes, stdin: Writer | None, master: int, *, may_end: bool
) -> None:
    """What a client sent: input, the end of input (if that may be), or the size of its window."""
    if channel == STDIN and stdin is not None:
        if payload:
            stdin.write(payload)
            if stdin.full:
                client.pause()
        elif may_end and master < 0:  # a terminal has no end of input
            stdin.close_when_written()
    elif channel == RESIZE and master >= 0:
        try:
            size = json.loads(payload)
            process.resize(master, int(size["width"]), int(size["height"]))
        except (ValueError, KeyError, TypeError, OverflowError):
            client.close()
