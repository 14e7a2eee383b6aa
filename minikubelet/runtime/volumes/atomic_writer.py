"""Files that change all at once: the update protocol of the kubelet's AtomicWriter (kubelet-behaviour 10.4).

    <volume>/..2026_11_28_16_30_00.123456789/name      what is current, a directory that never changes
    <volume>/..data  → ..2026_11_28_16_30_00.123456789  the one link that is swapped
    <volume>/name    → ..data/name                      what readers open

Whoever follows `name` sees the old payload or the new one, never a mixture: the swap is one rename(2).

Nothing below the volume is trusted. A container that could write there may have put links, pipes or
directories wherever we look (CVE-2017-1002102), so every step is taken relative to an open directory, no
link is ever followed by the kernel, and the one we read ourselves, `..data`, counts only when it names a
directory of the form that we make. What is in the way is replaced or removed as what it is. Blocks: call it
in a worker thread.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from minikubelet.runtime.removal import remove_tree

DATA = "..data"
NEW_DATA = "..data_tmp"
NEW_LINK = "..link_tmp"
PATH_MAX = 4096
NAME_MAX = 255
READ_LIMIT = 1 << 20
DIRECTORY_MODE = 0o755

_VERSION = re.compile(r"\.\.\d{4}(_\d\d){5}\.\d+")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class File(NamedTuple):
    """What one file holds, its permission bits, and whose it is."""

    content: bytes
    mode: int
    user: int | None = None  # whose it is; None: root's


Payload = Mapping[str, File]  # relative path → file


def write(
    volume: Path,
    payload: Payload,
    own: Callable[[int], None] = lambda directory: None,
) -> bool:
    """Make `payload` the content of the directory `volume`; False: it was already, and no file is written.

    `own` is given the new directory, as a descriptor, before anybody can see it: the place to set owners.
    Raises ValueError for a path that cannot be in a volume, OSError when the file system will not.
    """
    payload = {_cleaned(path): file for path, file in payload.items()}
    with _opened(volume, None) as root:
        version = _current(root)
        unchanged = bool(version) and _holds(root, version, payload)
        if not unchanged:
            version = _write_version(root, payload, own)
            _put_link(root, version, DATA, NEW_DATA)
        # Also if nothing is new: whoever swapped the link may have died right after it.
        names = {path.split("/")[0] for path in payload}
        _link_names(root, names)
        _remove_stale(root, names, version)
        return not unchanged


def read(volume: Path, path: str) -> bytes:
    """What a file of the current version holds; nothing when it is not there or is not what we make."""
    try:
        with _opened(volume, None) as root, _opened(_current(root), root) as directory:
            with _opened_parent(directory, _cleaned(path)) as (parent, name):
                fd = os.open(name, _OLD_FILE, dir_fd=parent)
            with os.fdopen(fd, "rb") as file:
                return file.read(READ_LIMIT) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except (OSError, ValueError):
        return b""


def _cleaned(path: str) -> str:
    """The shortest form of a path that is good; the texts are the kubelet's."""
    if path.startswith("/"):
        raise ValueError(f"invalid path: must be relative path: {path}")
    if len(path.encode()) > PATH_MAX:
        raise ValueError(f"invalid path: must be less than or equal to {PATH_MAX} characters")
    if ".." in path.split("/"):
        raise ValueError(f"invalid path: must not contain '..': {path}")
    if any(len(name.encode()) > NAME_MAX for name in path.split("/")):
        raise ValueError(f"invalid path: filenames must be less than or equal to {NAME_MAX} characters")
    cleaned = posixpath.normpath(path)
    if cleaned.startswith(".."):
        raise ValueError(f"invalid path: must not start with '..': {path}")
    if cleaned == "." or "\0" in cleaned:
        raise ValueError(f"invalid path: must name a file: {path}")
    return cleaned


# What is there


def _current(root: int) -> str:
    """The version that `..data` names; empty when it is none of ours."""
    target = _link(root, DATA)
    return target if _VERSION.fullmatch(target) else ""


def _holds(root: int, version: str, payload: Payload) -> bool:
    """Exactly these files with this content? Anything strange means no."""
    try:
        with _opened(version, root) as directory:
            found = set(_files(directory, _directories(payload)))
            return found == set(payload) and all(
                _read(directory, path, len(file.content)) == file.content for path, file in payload.items()
            )
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO):
            return False
        raise


def _directories(payload: Payload) -> set[str]:
    """The relative paths of the directories that the payload's files lie in."""
    parts = [path.split("/") for path in payload]
    return {"/".join(names[:depth]) for names in parts for depth in range(1, len(names))}


def _files(directory: int, known: Collection[str], prefix: str = "") -> Iterator[str]:
    """The relative paths of everything below, but of the known directories what is in them: a stranger's tree
    of ten thousand levels is one entry.
    """
    for name in os.listdir(directory):
        path = prefix + name
        if path in known and _is_directory(directory, name):
            with _opened(name, directory) as inner:
                yield from _files(inner, known, f"{path}/")
        else:
            yield path


def _read(directory: int, path: str, size: int) -> bytes | None:
    """A regular file of this size; None if it is anything else, which is not read at all."""
    with _opened_parent(directory, path) as (parent, name):
        fd = os.open(name, _OLD_FILE, dir_fd=parent)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        return file.read(size + 1) if stat.S_ISREG(found.st_mode) and found.st_size == size else None


# What is new


def _write_version(root: int, payload: Payload, own: Callable[[int], None]) -> str:
    """The new directory, complete; its name."""
    version = f"..{datetime.now(UTC):%Y_%m_%d_%H_%M_%S}.{secrets.randbelow(10**9):09d}"
    os.mkdir(version, dir_fd=root)
    try:
        with _opened(version, root) as directory:
            os.fchmod(directory, DIRECTORY_MODE)
            for path, file in payload.items():
                _write_file(directory, path, file)
            own(directory)
    except BaseException:
        _remove_entry(root, version)
        raise
    return version


def _write_file(directory: int, path: str, file: File) -> None:
    with _opened_parent(directory, path, make=True) as (parent, name):
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    with os.fdopen(fd, "wb") as opened:
        opened.write(file.content)
        opened.flush()
        if file.user is not None:
            os.fchown(fd, file.user, -1)
        os.fchmod(fd, file.mode)


def _put_link(root: int, target: str, name: str, temporary: str) -> None:
    """`name` becomes a link to `target`, in one step, whatever it was before but a directory."""
    _remove_entry(root, temporary)
    os.symlink(target, temporary, dir_fd=root)
    try:
        os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=root)
    except IsADirectoryError:
        _remove_entry(root, name)
        os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=root)


def _link_names(root: int, names: Collection[str]) -> None:
    """A directory in the place of a link is left: it was made for a subPath that was not there, and a
    container has it mounted (10.6).
    """
    for name in names:
        wanted = f"{DATA}/{name}"
        if _link(root, name) != wanted and not _is_directory(root, name):
            _put_link(root, wanted, name, NEW_LINK)


def _remove_stale(root: int, names: Collection[str], version: str) -> None:
    """Links of ours whose file is gone, and everything of an older version, or of one that was cut off."""
    for name in os.listdir(root):
        ours = name in names or name in (DATA, version)
        if not ours and (name.startswith("..") or _link(root, name) == f"{DATA}/{name}"):
            _remove_entry(root, name)


# By descriptor


@contextmanager
def _opened(path: str | Path, directory: int | None) -> Iterator[int]:
    """A directory that is no link."""
    fd = os.open(path, _DIRECTORY, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened_parent(directory: int, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """(descriptor of the directory, last name) of a path below `directory`; `make` what is missing."""
    *parents, name = path.split("/")
    fd = os.dup(directory)
    try:
        for parent in parents:
            inner = _make_directory(fd, parent) if make else os.open(parent, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd, name
    finally:
        os.close(fd)


def _make_directory(parent: int, name: str) -> int:
    """A descriptor of the directory, which may be there already."""
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    os.fchmod(fd, DIRECTORY_MODE)  # chmod(2) by name would follow a link put there since
    return fd


def _link(root: int, name: str) -> str:
    """Where a link leads, as text; empty if it is none."""
    try:
        return os.readlink(name, dir_fd=root)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return ""
        raise


def _is_directory(root: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _remove_entry(root: int, name: str) -> None:
    """Whatever it is: a directory with all below it, anything else by unlink(2), which follows nothing."""
    if _is_directory(root, name):
        remove_tree(Path(f"/proc/self/fd/{root}/{name}"))
        return
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=root)
