"""A tree of files through a pipe, both ways. What comes out of a container is not believed.

The tar in the container may be anything. So of what it sends only directories and regular files are written,
each opened from its parent directory by descriptor without following links, below the one place the user has
named; names that lead elsewhere, links, devices and sparse files are left out with a warning, and headers
that would be read into memory whole are bounded. Neither owners nor setuid bits are taken over.

(tarfile's data filter, where this Python has one, allows links within the tree and follows those that are
there; it also needs the tree to hold still.)
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from minikubelet.cli.errors import CliError

HEADER_LIMIT = 1 << 20  # bytes of an extended header
PIECE = 64 * 1024

Warn = Callable[[str], None]


class CorruptedTar(CliError):
    """What came is not a tar of what was asked for."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _BoundedTarInfo(tarfile.TarInfo):
    """tarfile reads extended headers (long names, pax records) into memory whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        is_plain = self.isfile() or self.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
        if self.size < 0 or (not is_plain and self.size > HEADER_LIMIT):
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        member: tarfile.TarInfo | None = super()._proc_member(archive)  # type: ignore[misc]
        return member


def pack(source: Path, name: str, sink: Writable) -> None:
    """`source`, a file or a whole directory, as `name`."""
    with tarfile.open(fileobj=_as_file(sink), mode="w|", format=tarfile.GNU_FORMAT) as archive:
        archive.add(source, name, filter=_without_names)


def _without_names(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who owns it here is somebody else there: numbers only, as from kubectl."""
    member.uname = member.gname = ""
    return member


def unpack(stream: Readable, prefix: str, target: Path, warn: Warn) -> int:
    """What the tar holds below `prefix` (a path without a leading slash) to `target`; how many entries.

    A single file goes to `target` itself, or into it if that is a directory; a directory's contents go into
    `target`. Raises CorruptedTar, CliError, OSError.
    """
    entries = 0
    try:
        with tarfile.open(fileobj=_as_file(stream), mode="r|", tarinfo=_BoundedTarInfo) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps all it has seen
                entries += 1
                _write(archive, member, _below(member.name, prefix), target, warn)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        # tarfile lets numbers that are none through, and goes one call deeper for every header of a header.
        raise CorruptedTar(f"tar contents corrupted: {error}") from error
    return entries


def _below(name: str, prefix: str) -> str:
    """The rest of the name, empty or with a slash in front; it must begin with the prefix."""
    while name.startswith("./"):
        name = name[2:]
    rest = name.removeprefix(prefix)
    begins = name.startswith(prefix) and not name.startswith("/") and "\0" not in name
    if not begins or (prefix and rest and not rest.startswith("/")):
        raise CorruptedTar("tar contents corrupted")
    return rest


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, rest: str, target: Path, warn: Warn) -> None:
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if ".." in parts:
        warn(f'file "{target / rest.lstrip("/")}" is outside target destination, skipping')
    elif member.isdir():
        with _directory(target, parts):
            pass
    elif member.isfile() and not member.issparse():
        data = archive.extractfile(member)
        assert data is not None  # of a regular file
        if not parts:
            parent, leaf = (
                (target, Path(member.name).name) if target.is_dir() else (target.parent, target.name)
            )
            parts, target = [leaf], parent
        with _directory(target, parts[:-1]) as parent_fd:
            _write_file(parent_fd, parts[-1], member.mode & 0o777, data, target / "/".join(parts))
    else:
        kind = {tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hard link"}.get(member.type, "special file")
        where = f' -> "{member.linkname}"' if member.linkname else ""
        warn(f'skipping {kind}: "{member.name}"{where}')


@contextmanager
def _directory(target: Path, parts: list[str]) -> Iterator[int]:
    """A directory below `target`, open; what is missing is made. Links below it are not followed."""
    target.mkdir(parents=True, exist_ok=True)
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with suppress(FileExistsError):  # it is a directory, or the next step fails
                os.mkdir(part, 0o777, dir_fd=fd)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _write_file(parent: int, name: str, mode: int, data: IO[bytes], shown: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO does not hold us up
    fd = os.open(name, flags, mode | 0o200, dir_fd=parent)
    with open(fd, "wb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise CliError(f"cannot write {shown}: it is no regular file")
        file.truncate()
        while piece := data.read(PIECE):
            file.write(piece)


def _as_file(stream: Any) -> IO[bytes]:
    """tarfile's streams need `read` or `write` and nothing else of a file."""
    file: IO[bytes] = stream
    return file
