"""A command in a container whose streams this program itself reads and writes: what `cp` is made of."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from minikubelet.cli import websocket
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError
from minikubelet.cli.websocket import WebSocket

DRAIN_LIMIT = 1 << 20  # bytes read for nothing, to hear how it ended


class RemoteProcess:
    """One exec. stderr goes to ours, unless it is quiet; stdout is an iterator and a file (`read`)."""

    def __init__(
        self, client: Client, path: str, container: str, command: Sequence[str], *, stdin: bool, quiet: bool
    ) -> None:
        query = {"command": list(command), "container": container, "stdin": stdin or None}
        self._socket = WebSocket.connect(client, path, {**query, "stdout": True, "stderr": True})
        self._quiet = quiet
        self._chunks = self._receive()
        self._rest = b""
        self._status: dict[str, Any] | None = None

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def write(self, data: bytes) -> int:
        """To its stdin. Raises BrokenPipeError once it has ended."""
        if self._status is not None:
            raise BrokenPipeError
        self._socket.send(websocket.STDIN, data)
        return len(data)

    def end_input(self) -> None:
        self._socket.close_stdin()

    def read(self, size: int) -> bytes:
        """Of its stdout; less than `size` bytes only at its end."""
        pieces, missing = [self._rest], size - len(self._rest)
        while missing > 0 and (chunk := next(self._chunks, b"")):
            pieces.append(chunk)
            missing -= len(chunk)
        whole = b"".join(pieces)
        self._rest = whole[size:]
        return whole[:size]

    def wait(self) -> int:
        """Its exit code. CliError when it could not be started, or does not come to its end."""
        seen = 0
        for chunk in self._chunks:
            seen += len(chunk)
            if seen > DRAIN_LIMIT:
                raise CliError("the command in the container goes on and on")
        if self._status is None:
            raise CliError("lost connection to pod")
        if self._status.get("status") == "Success":
            return 0
        for cause in (self._status.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
        raise CliError(self._status.get("message") or "the remote process ended without a word")

    def _receive(self) -> Iterator[bytes]:
        for channel, data in self._socket.messages():
            if channel == websocket.STDOUT and data:
                yield data
            elif channel == websocket.STDERR and not self._quiet:
                sys.stderr.buffer.write(data)
                sys.stderr.flush()
            elif channel == websocket.ERROR:
                self._status = json.loads(data)
