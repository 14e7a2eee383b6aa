"""What a container had to say when it ended (kubelet-behaviour 4.8).

The file lies on the node, is bind-mounted into the container and is therefore written by a stranger: it is
opened without following links and only its end is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

FILE_LIMIT = 4096
LOG_LINES, LOG_LIMIT = 80, 2048
_LOG_TAIL = 64 * 1024  # more than 80 short lines; a log of long lines is cut to LOG_LIMIT anyway


def termination_message(
    path: str, policy: str, *, exit_code: int, log_path: str, runtime_message: str
) -> str:
    """The message of an exited instance: the runtime's own, then the file's, or by policy the log's end."""
    text = ""
    if path:
        try:
            text = _tail(path, FILE_LIMIT).decode(errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            text = f"Error on reading termination log {path}: {error.strerror}"
    if not text and policy == "FallbackToLogsOnError" and exit_code != 0:
        text = _log_text(log_path)
    return ": ".join(part for part in (runtime_message, text) if part)


def _tail(path: str, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return os.pread(descriptor, limit, max(0, status.st_size - limit))
    finally:
        os.close(descriptor)


def _log_text(log_path: str) -> str:
    """The last lines of a CRI log without their stamps, both streams in file order."""
    if not Path(log_path).exists():
        return ""
    lines = _tail(log_path, _LOG_TAIL).split(b"\n")[-LOG_LINES - 1 :]
    text = b""
    for line in lines:
        fields = line.split(b" ", 3)
        if len(fields) == 4:
            text += fields[3] + (b"\n" if fields[2] == b"F" else b"")
    return text[-LOG_LIMIT:].decode(errors="replace")
