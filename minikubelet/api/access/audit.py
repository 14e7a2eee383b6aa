"""The audit log: one line of JSON per write, to `audit.log` beside the pods' logs.

Who (and in whose name), what verb on what, from where, with which command of kubectl, and the code of the
answer. Never a body, never a header that is a secret. Opening a stream into a container is a write as well.

What nobody has signed is not written down (A48): a caller without credentials cannot fill the disk. Everybody
else fills at most FILES files of SIZE bytes; every word that comes from a client is cut. Failed logins are
counted and told to the agent's log at most once a minute.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from minikubelet.api.access.authorization import Attributes
from minikubelet.api.access.user import User
from minikubelet.store.store import timestamp, utc_now

log = logging.getLogger(__name__)

SIZE, FILES = 8 << 20, 4
WORD_LIMIT = 256  # characters
TELL_EVERY = 60.0  # seconds
READS = frozenset({"get", "list", "watch", "head", "options"})
STREAMS = frozenset({"exec", "attach", "portforward", "proxy"})
QUESTIONS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})


class Audit:
    """One for the server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _PrivateFiles | None = None

    def record(self, user: User, wanted: Attributes, code: int, http: web.BaseRequest) -> None:
        """After the answer. Reads and questions are left out."""
        if not is_write(wanted):
            return
        line = entry(user, wanted, code, http.remote or "unix", http.headers.get("Kubectl-Command", ""))
        try:
            self._open().emit(_record(msgspec.json.encode(line).decode()))
        except OSError as error:  # of the file itself; what goes wrong while writing is `handleError`'s
            log.warning("cannot open the audit log: %s", error)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> _PrivateFiles:
        if self._file is None:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._file = _PrivateFiles(self._path, maxBytes=SIZE, backupCount=FILES - 1)
        return self._file


class _PrivateFiles(RotatingFileHandler):
    """Each for its owner only, from its first moment."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_private)

    def handleError(self, record: logging.LogRecord) -> None:
        """The disk may be full: that must not stop who would make room."""
        log.warning("cannot write the audit log: %s", sys.exc_info()[1])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class FailedLogins:
    """Counts them, and says so now and then."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._told = float("-inf")

    def add(self, remote: str) -> None:
        self._count += 1
        now = self._clock()
        if now - self._told >= TELL_EVERY:
            log.warning("%d failed logins, the last from %s", self._count, remote)
            self._count, self._told = 0, now


def is_write(wanted: Attributes) -> bool:
    """Does it change anything, or get into a container?"""
    if wanted.group in QUESTIONS and not wanted.subresource:
        return False
    return wanted.verb not in READS or wanted.subresource in STREAMS


def entry(user: User, wanted: Attributes, code: int, remote: str, command: str) -> dict[str, Any]:
    """One line, as an object; what is empty is left out."""
    line = {
        "user": user.name,
        "impersonator": user.impersonator,
        "verb": wanted.verb,
        "group": wanted.group,
        "resource": wanted.what,
        "namespace": wanted.namespace,
        "name": wanted.name,
        "path": wanted.path,
        "source": remote,
        "command": command,
    }
    words = {key: value[:WORD_LIMIT] for key, value in line.items() if value}
    return {"time": timestamp(utc_now()), **words, "code": code}


def _record(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.INFO, "", 0, text, None, None)
