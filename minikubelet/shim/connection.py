"""A client of a shim: first JSON lines, then perhaps, after `exec` or `attach`, the frames of one stream.

What a client may occupy is bounded: the length of a line, of a frame, and of what it has not read yet. Who
exceeds it is cut off. A client that goes away takes with it what was done for it alone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from minikubelet.shim import protocol
from minikubelet.shim.loop import Callback, Loop
from minikubelet.shim.streams import Reader, Writer

LINE_LIMIT = 8 << 20
UNREAD_LIMIT = 16 << 20

Request = dict[str, Any]


class Refused(Exception):
    """A request that cannot be carried out, said to the client."""

    def __init__(self, text: str, step: str = "request", number: int = 0) -> None:
        super().__init__(text)
        self.step, self.number = step, number


class Session(Protocol):
    """What a connection carries once it is a stream."""

    def frame(self, channel: int, payload: bytes) -> None: ...
    def drained(self) -> None: ...


class Connection:
    """One accepted socket."""

    def __init__(
        self, loop: Loop, accepted: socket.socket, serve: Callable[[Connection, Request], None]
    ) -> None:
        self._serve = serve
        self._input = bytearray()
        self._session: Session | None = None
        self._when_closed: list[Callback] = []
        accepted.setblocking(False)
        self._writer = Writer(loop, os.dup(accepted.fileno()), self._drained, self.close)
        self._reader = Reader(loop, accepted.detach(), self._received, self.close)

    @property
    def open(self) -> bool:
        return self._reader.open

    @property
    def full(self) -> bool:
        """The client does not keep up: stop producing until `Session.drained`."""
        return self._writer.full

    # To the client

    def answer(self, request: Request, result: Any) -> None:
        self.send({"id": request.get("id"), "result": result})

    def refuse(self, request: Request, refused: Refused) -> None:
        error = {"step": refused.step, "errno": refused.number, "text": str(refused)}
        self.send({"id": request.get("id"), "error": error})

    def send(self, message: dict[str, Any]) -> None:
        self._write(protocol.encode(message))

    def answer_with(self, request: Request, fd: int) -> None:
        """An empty result with a descriptor, past whatever is still to be written: so nothing may be."""
        if self._writer.pending:
            raise Refused("a descriptor is only sent on a connection of its own")
        with socket.socket(fileno=os.dup(self._reader.fd)) as sock:
            socket.send_fds(sock, [protocol.encode({"id": request.get("id"), "result": {}})], [fd])

    def send_frame(self, channel: int, payload: bytes) -> None:
        self._write(protocol.frame(channel, payload))

    def _write(self, data: bytes) -> None:
        self._writer.write(data)
        if self._writer.pending > UNREAD_LIMIT:
            self.close()

    # From the client

    def become_stream(self, session: Session) -> None:
        self._session = session
        self._parse()

    def pause(self) -> None:
        self._reader.pause()

    def resume(self) -> None:
        self._reader.resume()

    def _received(self, data: bytes) -> None:
        self._input += data
        self._parse()

    def _parse(self) -> None:
        while self.open and (self._parse_frame() if self._session else self._parse_line()):
            pass

    def _parse_line(self) -> bool:
        end = self._input.find(b"\n")
        if end < 0:
            if len(self._input) > LINE_LIMIT:
                self.close()
            return False
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if isinstance(request, dict):
            self._serve(self, request)
        else:
            self.close()
        return True

    def _parse_frame(self) -> bool:
        header = protocol.FRAME_HEADER
        if len(self._input) < header:
            return False
        length = int.from_bytes(self._input[1:header], "big")
        if length > protocol.FRAME_LIMIT:
            self.close()
            return False
        if len(self._input) < header + length:
            return False
        channel, payload = self._input[0], bytes(self._input[header : header + length])
        del self._input[: header + length]
        assert self._session is not None
        self._session.frame(channel, payload)
        return True

    def _drained(self) -> None:
        if self._session is not None:
            self._session.drained()

    # The end

    @property
    def unread(self) -> int:
        """Bytes the client has not taken yet."""
        return self._writer.pending

    def forget(self, callback: Callback) -> None:
        """As if `when_closed` had not been called."""
        self._when_closed = [known for known in self._when_closed if known != callback]

    def when_closed(self, callback: Callback) -> None:
        self._when_closed.append(callback)

    def close_when_written(self) -> None:
        """Everything was said. The client reads it in its own time, and closes.

        What it still sends is read and dropped: closing in the middle of that would take from it what it has
        not read yet, the exit code above all.
        """
        self._session = _Deaf()
        self._when_closed.clear()
        self._writer.close_when_written()
        self._reader.resume()

    def close(self) -> None:
        if not self._reader.open and not self._writer.open:
            return
        self._reader.close()
        self._writer.close()
        callbacks, self._when_closed = self._when_closed, []
        for callback in callbacks:
            callback()


class _Deaf:
    """The session of a connection that only waits to be read to its end."""

    def frame(self, channel: int, payload: bytes) -> None:
        return

    def drained(self) -> None:
        return
