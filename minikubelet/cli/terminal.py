"""The user's terminal while a remote process has it: raw mode, window size, and bytes both ways.

`Conversation.run` owns one WebSocket. The main thread reads what the agent sends and writes it out; one
daemon thread reads stdin. In raw mode Ctrl-C is a byte like any other and goes to the remote process; the
mode is restored on every way out. A SIGWINCH sends the new size on the resize channel.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from minikubelet.cli import websocket
from minikubelet.cli.base import complain
from minikubelet.cli.errors import CliError
from minikubelet.cli.websocket import WebSocket


class Conversation:
    """stdin, stdout and stderr of this process, joined to those of a remote one."""

    def __init__(self, socket: WebSocket, *, stdin: bool, tty: bool) -> None:
        self.socket = socket
        self.stdin = stdin
        self.tty = tty

    def run(self) -> int:
        """Until the agent says how it ended; the remote exit code."""
        raw = raw_mode() if self.tty else contextlib.nullcontext()
        try:
            with raw, self._window():
                if self.stdin:
                    threading.Thread(target=self._send_stdin, daemon=True, name="stdin").start()
                status = self._receive()
        finally:
            self.socket.close()
        return exit_code(status)

    def _receive(self) -> dict[str, Any]:
        outputs = {websocket.STDOUT: sys.stdout.buffer, websocket.STDERR: sys.stderr.buffer}
        status: dict[str, Any] | None = None
        for channel, data in self.socket.messages():
            if channel in outputs:
                outputs[channel].write(data)
                outputs[channel].flush()
            elif channel == websocket.ERROR:
                status = json.loads(data)
        if status is None:
            raise CliError("lost connection to pod")
        return status

    def _send_stdin(self) -> None:
        while data := os.read(sys.stdin.fileno(), 32 * 1024):
            self.socket.send(websocket.STDIN, data)
        self.socket.close_stdin()

    @contextlib.contextmanager
    def _window(self) -> Iterator[None]:
        """Tell the size now and whenever it changes."""
        if not self.tty:
            yield
            return
        self._send_size()
        before = signal.signal(signal.SIGWINCH, lambda *_: self._send_size())
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)

    def _send_size(self) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        message = {"Width": size.columns, "Height": size.lines}
        self.socket.send_soon(websocket.RESIZE, json.dumps(message).encode())


@contextlib.contextmanager
def raw_mode() -> Iterator[None]:
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def want_tty(asked: bool, stdin: bool) -> bool:
    """-t without -i, or with a stdin that is no terminal, cannot be had; kubectl says so and goes on."""
    if asked and not stdin:
        return False
    if asked and not os.isatty(sys.stdin.fileno()):
        complain("Unable to use a TTY - input is not a terminal or the right kind of file")
        return False
    return asked


def exit_code(status: dict[str, Any]) -> int:
    """From the Status on the error channel; anything but an exit code is an error of its own."""
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == "NonZeroExitCode":
        for cause in (status.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                code = int(cause["message"])
                complain(f"command terminated with exit code {code}")
                return code
    raise CliError(status.get("message") or "the remote process ended without a word")
