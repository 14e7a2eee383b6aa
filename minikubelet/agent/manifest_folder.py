"""The folder of static pods: which files count, and what each of them says (kubelet-behaviour 7.4).

A folder is edited by people and programs while it is read. A file is therefore read only when nobody has it
open for writing, and again only when its stamp has changed; a file that cannot be read as a pod keeps saying
what it said before. (The kubelet ends the pod of a file that is broken at the moment it looks: half a file
must not cost a pod.) A file that is gone says nothing any more.

Everything here may take its time; `StaticPods` calls it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from minikubelet.errors import ManifestError
from minikubelet.v1 import Pod
from minikubelet.v1.manifest import MAX_BYTES

logger = logging.getLogger(__name__)

Stamp = tuple[int, ...]
Make = Callable[[bytes, str, datetime], tuple[Pod, list[str]]]


class BeingWritten(Exception):
    """Somebody has the file open for writing; closing it will wake us."""


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: Stamp
    pod: Pod | None


class ManifestFolder:
    """A directory, or a single file; `make` turns bytes, path and time into a pod; raises ManifestError."""

    def __init__(self, path: Path, make: Make) -> None:
        self.path = path.absolute()
        self._make = make
        self._known: dict[str, _Known] = {}
        self._being_written: set[str] = set()  # said once

    @property
    def directory(self) -> Path:
        """What is to be watched."""
        return self.path.parent if self.path.is_file() else self.path

    def pods(self, now: datetime) -> list[Pod]:
        """What the files say `now`, in the order of their names."""
        paths = self._files()
        self._known = {path: known for path, known in self._known.items() if path in paths}
        for path in paths:
            self._look_at(path, now)
        found = [self._known[path].pod for path in paths if path in self._known]
        return [pod for pod in found if pod is not None]

    def _files(self) -> list[str]:
        if self.path.is_file():
            return [str(self.path)]
        try:
            names = sorted(os.listdir(self.path))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("cannot list static pods: %s", error)
            return []
        return [str(self.path / name) for name in names if not name.startswith(".")]

    def _look_at(self, path: str, now: datetime) -> None:
        before = self._known.get(path)
        try:
            with _opened(path) as file:
                stamp = _stamp(file.fileno())
                if before is not None and before.stamp == stamp:
                    return
                with _nobody_writes(file.fileno()):
                    data = file.read(MAX_BYTES + 1)
        except (IsADirectoryError, FileNotFoundError):  # also a link whose end is gone
            self._known.pop(path, None)
            return
        except BeingWritten:
            if path not in self._being_written:
                logger.info("%s is being written: looking again when it is closed", path)
            self._being_written.add(path)
            return
        except OSError as error:
            logger.warning("cannot read manifest %s: %s", path, error)
            return
        self._being_written.discard(path)
        pod = self._read(path, data, now, before.pod if before else None)
        self._known[path] = _Known(stamp, pod)

    def _read(self, path: str, data: bytes, now: datetime, before: Pod | None) -> Pod | None:
        """The pod, or the one before when the file makes none."""
        try:
            if len(data) > MAX_BYTES:
                raise ManifestError(f"larger than {MAX_BYTES >> 20} MiB")
            pod, warnings = self._make(data, path, now)
        except ManifestError as error:
            kept = "; its pod stays as it was" if before else ""
            logger.error("cannot use manifest %s%s: %s", path, kept, error)
            return before
        except Exception:  # a bug of ours: it may cost this file, but not the agent
            logger.exception("cannot use manifest %s", path)
            return before
        for warning in warnings:
            logger.warning("manifest %s: %s", path, warning)
        return pod


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A regular file and nothing else: opening a device may do something, opening a FIFO may never end."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        yield file


def _stamp(descriptor: int) -> Stamp:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def _nobody_writes(descriptor: int) -> Iterator[None]:
    """A read lease (fcntl(2)): given only when nobody has the file open for writing, and while we have it,
    whoever wants to write waits the millisecond. File systems without leases are read as they are.
    """
    try:
        # The kernel tells the holder that somebody waits by a signal; SIGURG is one that is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise BeingWritten from None
        yield
        return
    try:
        yield
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
