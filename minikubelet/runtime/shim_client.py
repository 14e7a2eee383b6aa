"""The agent's end of the conversations with the zygote and with shims (`shim.protocol` says what is spoken).

    ZygoteClient   starts the zygote, starts it again when it is lost, asks it for shims
    ShimClient     requests to one shim, answers in any order, and its events
    ShimStream     one exec or attach

Errors: `ShimUnavailable` when the other end is gone, `ProtocolError` for what must not happen,
`ShimRequestError` when the shim says no: it carries the failed step, the errno and the text. Whoever opens
one of these closes it; nothing is left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import minikubelet
from minikubelet.errors import ProtocolError, ShimRequestError, ShimUnavailable
from minikubelet.linux import cgroup
from minikubelet.runtime import shim_socket
from minikubelet.shim import protocol
from minikubelet.shim.protocol import (
    EXIT,
    FRAME_HEADER,
    FRAME_LIMIT,
    RESIZE,
    STDIN,
    ContainerRecord,
    ContainerSpec,
    NetworkSpec,
    ProcessSpec,
    SandboxRecord,
    SandboxSpec,
)

_ZYGOTE = """
import sys
sys.path.append(sys.argv[1])
from minikubelet.shim.seal import seal
seal()
from minikubelet.shim import zygote
zygote.main(int(sys.argv[2]))
"""
_PACKET = 1 << 20
_LINE_LIMIT = 32 << 20  # bytes of an answer; asyncio reads up to twice that ahead
_STREAM_LIMIT = 128 << 10  # of a stream: what the client has not taken yet waits in the pod

Event = dict[str, Any]


def _error(error: dict[str, Any]) -> ShimRequestError:
    return ShimRequestError(error.get("step", ""), int(error.get("errno", 0)), error.get("text", ""))


class ZygoteClient:
    """One zygote. `spawn` starts it when there is none.

    It and the shims it forks live in a cgroup of their own, away from the agent's: whoever kills the agent's
    cgroup (systemd, with another KillMode) does not kill pods.
    """

    def __init__(self, cgroup_directory: str = "") -> None:
        self._cgroup = cgroup_directory
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Event]] = {}
        self._ids = itertools.count(1)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the zygote now, so that the first pod does not wait for it."""
        if self._socket is not None:
            return
        self._collect()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            root = str(Path(minikubelet.__file__).parents[1])
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _ZYGOTE, root, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in ("TZ",) if name in os.environ},
                start_new_session=True,
            )
            if self._cgroup:
                cgroup.create(self._cgroup)
                cgroup.write(self._cgroup, "cgroup.procs", str(self._process.pid))
            undo.pop_all()
        ours.setblocking(False)
        self._socket = ours
        self._reader = asyncio.create_task(self._read(ours), name="zygote answers")

    async def spawn(self, spec: SandboxSpec) -> int:
        """A new shim, listening; its pid. The directory of the specification must exist."""
        message = {"op": "spawn", "spec": protocol.plain(spec)}
        try:
            answer = await self._ask(message)
        except ShimUnavailable:  # the zygote was lost in between; a new one has not been asked yet
            answer = await self._ask(message)
        if "error" in answer:
            raise _error(answer["error"])
        return int(answer["pid"])

    async def _ask(self, message: dict[str, Any]) -> Event:
        self.start()
        ours = self._socket
        assert ours is not None
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            packet = json.dumps({"id": number, **message}).encode()
            await asyncio.get_running_loop().sock_sendall(ours, packet)
            answer: Event = await future
            return answer
        except (BrokenPipeError, ConnectionResetError) as error:
            self._waiting.pop(number)  # nobody waits for it any more
            await self._stop_reading(ours)
            raise ShimUnavailable("the zygote is gone") from error
        finally:
            self._waiting.pop(number, None)

    async def _stop_reading(self, ours: socket.socket | None) -> None:
        """After this the zygote behind `ours` is none any more; the next `start` makes one. Perhaps it has
        been made, as another question found out the same: that one is let be.
        """
        if self._reader is not None and self._socket is ours:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if ours is not None and self._socket is ours:  # the reader was cancelled before it began
            ours.close()
            self._socket = None

    async def _read(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while packet := await loop.sock_recv(ours, _PACKET):
                answer = json.loads(packet)
                future = self._waiting.get(answer["id"])
                if future is not None and not future.done():
                    future.set_result(answer)
        except ConnectionResetError:
            pass  # as good as the end of file
        finally:
            ours.close()
            self._socket = None
            _fail(self._waiting, ShimUnavailable("the zygote is gone"))

    async def close(self) -> None:
        """The zygote ends when its socket is closed; shims live on."""
        await self._stop_reading(self._socket)
        if self._process is not None:
            await asyncio.to_thread(self._collect)

    def _collect(self) -> None:
        """Reap a zygote that has ended or is about to."""
        if self._process is not None:
            self._process.wait()
            self._process = None


def _fail(waiting: dict[int, asyncio.Future[Any]], error: Exception) -> None:
    for future in waiting.values():
        if not future.done():
            future.set_exception(error)


async def _open(
    directory: Path, limit: int = _LINE_LIMIT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the shim of a directory."""
    return await asyncio.open_unix_connection(sock=await shim_socket.connect(directory), limit=limit)


class ShimClient:
    """A connection for requests and events."""

    def __init__(
        self,
        directory: Path,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_event: Callable[[Event], None],
    ) -> None:
        self.directory = directory
        self._writer, self._on_event = writer, on_event
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._task = asyncio.create_task(self._read(reader), name=f"shim {directory.name}")

    @classmethod
    async def connect(
        cls, directory: Path, on_event: Callable[[Event], None] = lambda event: None
    ) -> ShimClient:
        """To the shim that listens in `directory`. ShimUnavailable when there is none."""
        reader, writer = await _open(directory)
        return cls(directory, reader, writer, on_event)

    @property
    def closed(self) -> bool:
        return self._task.done()

    async def wait_closed(self) -> None:
        """Returns when the shim is gone, or `close` was called."""
        await asyncio.wait([self._task])

    async def request(self, op: str, **arguments: Any) -> Any:
        """One operation. ShimRequestError when the shim refuses it."""
        if self.closed:
            raise ShimUnavailable(f"the shim in {self.directory} is gone")
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(protocol.encode({"id": number, "op": op, **arguments}))
            await self._writer.drain()
            return await future
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ShimUnavailable(f"the shim in {self.directory} is gone") from error
        finally:
            self._waiting.pop(number, None)

    async def subscribe(self) -> SandboxRecord:
        """Events go to `on_event` from now on; the state as it was when they began."""
        return protocol.load(SandboxRecord, (await self.request("subscribe"))["state"])

    async def state(self) -> SandboxRecord:
        return protocol.load(SandboxRecord, await self.request("state"))

    async def configure_network(self, network: NetworkSpec) -> None:
        await self.request("configure_network", spec=protocol.plain(network))

    async def start_container(self, spec: ContainerSpec) -> ContainerRecord:
        """When it runs, or when it is sure that it will not:

        Then the record is stopped and has an `error`.
        """
        return protocol.load(
            ContainerRecord, await self.request("start_container", spec=protocol.plain(spec))
        )

    async def stop_container(self, container_id: str, signal: int, grace: float) -> ContainerRecord:
        answer = await self.request("stop_container", container_id=container_id, signal=signal, grace=grace)
        return protocol.load(ContainerRecord, answer)

    async def remove_container(self, container_id: str) -> None:
        await self.request("remove_container", container_id=container_id)

    async def exec_sync(
        self, container_id: str, process: ProcessSpec, timeout: float | None = None, limit: int = 10240
    ) -> tuple[int, bytes, bool, bytes]:
        """(exit code, output, timed out, stderr). The process is killed when the connection is closed."""
        answer = await self.request(
            "exec_sync",
            container_id=container_id,
            process=protocol.plain(process),
            timeout=timeout,
            limit=limit,
        )
        output, stderr = answer["output"].encode("latin-1"), answer.get("stderr", "").encode("latin-1")
        return answer["exit_code"], output, answer["timed_out"], stderr

    async def reopen_log(self, container_id: str) -> None:
        await self.request("reopen_log", container_id=container_id)

    async def label_container(self, container_id: str, labels: dict[str, str]) -> ContainerRecord:
        answer = await self.request("label_container", container_id=container_id, labels=labels)
        return protocol.load(ContainerRecord, answer)

    async def shutdown(self) -> None:
        """End the shim. ShimRequestError while a container runs."""
        await self.request("shutdown")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._received(json.loads(line))
        except (BrokenPipeError, ConnectionResetError):
            pass  # as good as the end of file
        except ValueError as error:
            raise ProtocolError(
                f"the shim in {self.directory} does not speak the protocol: {error}"
            ) from error
        finally:
            self._writer.close()
            _fail(self._waiting, ShimUnavailable(f"the shim in {self.directory} is gone"))

    def _received(self, message: Event) -> None:
        if "event" in message:
            self._on_event(message)
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return  # whoever asked was cancelled
        if "error" in message:
            future.set_exception(_error(message["error"]))
        else:
            future.set_result(message["result"])

    async def close(self) -> None:
        """At once, also if the shim does not read what it was sent; who waits for an answer gets none."""
        self._writer.transport.abort()
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class ShimStream:
    """A process attached to a client, or a client attached to a container.

    It is a `runtime.cri.ExecSession`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.answer: dict[str, Any] = {}

    @classmethod
    async def open(cls, directory: Path, op: str, **arguments: Any) -> ShimStream:
        """`op` is exec or attach. ShimRequestError when it cannot begin."""
        stream = cls(*await _open(directory, _STREAM_LIMIT))
        try:
            stream._writer.write(protocol.encode({"id": 1, "op": op, **arguments}))
            line = await stream._reader.readline()
            if not line:
                raise ShimUnavailable(f"the shim in {directory} is gone")
            answer = json.loads(line)
            if "error" in answer:
                raise _error(answer["error"])
            stream.answer = answer["result"]
        except OSError as error:
            await stream.close()
            raise ShimUnavailable(f"the shim in {directory} is gone") from error
        except BaseException:
            await stream.close()
            raise
        return stream

    async def write_stdin(self, data: bytes) -> None:
        for start in range(0, len(data), FRAME_LIMIT):
            await self._send(STDIN, data[start : start + FRAME_LIMIT])

    async def close_stdin(self) -> None:
        await self._send(STDIN, b"")

    async def resize(self, width: int, height: int) -> None:
        await self._send(RESIZE, json.dumps({"width": width, "height": height}).encode())

    async def _send(self, channel: int, payload: bytes) -> None:
        """A process that has ended needs no more input: then this does nothing."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._writer.write(protocol.frame(channel, payload))
            await self._writer.drain()

    async def frames(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, payload); the last is (3, the exit code as decimal text).

        ShimUnavailable if it never comes.
        """
        try:
            while True:
                header = await self._reader.readexactly(FRAME_HEADER)
                payload = await self._reader.readexactly(int.from_bytes(header[1:], "big"))
                if header[0] == EXIT:
                    yield EXIT, str(json.loads(payload)["exit_code"]).encode()
                    return
                yield header[0], payload
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ShimUnavailable("the stream ended without an exit code") from error

    async def close(self) -> None:
        """At once: a process that still runs is killed; a container that was attached to goes on."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
