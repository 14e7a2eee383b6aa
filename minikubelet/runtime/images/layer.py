"""From the tar of one layer to a directory that overlayfs can use as a lower one.

Runs in the loading process (see `loader`), as root, on input that may be hostile: paths stay inside (see
`tree`), device nodes are left out, sizes are counted as they are written and never believed. Kept are owners,
modes with setuid, times, hard links, and those extended attributes that mean something in a container
(`security.capability`, `user.*`); `trusted.*` is ours: overlayfs reads its own orders there.

OCI writes a deletion as an empty file `.wh.NAME`, and "nothing below here from lower layers" as
`.wh..wh..opq`; overlayfs wants a character device 0/0 called NAME, and an attribute of the directory.
"""

from __future__ import annotations

import errno
import math
import os
import tarfile
from dataclasses import dataclass, field
from typing import Any, Protocol

from minikubelet.runtime.images.tree import Tree, UnsafePath, components

WHITEOUT = ".wh."
WHITEOUT_META = ".wh..wh."
OPAQUE_MARK = ".wh..wh..opq"
XATTR_KEY = "SCHILY.xattr."
MAX_XATTR = 64 * 1024
MAX_HEADER = 1 << 20  # bytes of an extended header: it is read into memory
MAX_ID = (1 << 32) - 2
MAX_TIME = float(1 << 33)  # the year 2242
CHUNK = 1 << 20


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class BadLayer(Exception):
    """This layer cannot be unpacked; nothing of it is kept."""


class BoundedTarInfo(tarfile.TarInfo):
    """tarfile reads extended headers (long names, pax records) into memory whole: bound them first."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        data = self.isfile() or self.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
        if self.size < 0 or (not data and self.size > MAX_HEADER):
            raise BadLayer(f"header of {self.size} bytes")
        member: tarfile.TarInfo | None = super()._proc_member(archive)  # type: ignore[misc]
        return member


@dataclass(slots=True)
class Unpacked:
    """What became of a layer."""

    size: int = 0  # bytes of file content
    entries: int = 0
    devices_left_out: int = 0
    directory_times: list[tuple[list[str], float]] = field(default_factory=list)


def unpack(stream: Readable, directory: str, *, max_size: int, max_entries: int) -> Unpacked:
    """Write the uncompressed tar into `directory`, which is empty. Raises BadLayer, OSError."""
    result = Unpacked()
    try:
        with (
            Tree(directory) as tree,
            _tar(stream) as archive,
        ):
            for member in iter(archive.next, None):
                archive.members = []  # type: ignore[attr-defined]  # else it keeps all it has seen
                result.entries += 1
                if result.entries > max_entries:
                    raise BadLayer(f"more than {max_entries} entries")
                _write(tree, archive, member, result, max_size)
            _restore_directory_times(tree, result)
    except (tarfile.TarError, UnsafePath, ValueError) as error:
        raise BadLayer(str(error)) from error
    return result


def _tar(stream: Any) -> tarfile.TarFile:
    return tarfile.open(
        fileobj=stream, mode="r|", tarinfo=BoundedTarInfo, encoding="utf-8", errors="surrogateescape"
    )


def _write(
    tree: Tree, archive: tarfile.TarFile, member: tarfile.TarInfo, result: Unpacked, limit: int
) -> None:
    parts = components(member.name)
    if not parts:
        if member.isdir():
            _set_metadata(tree.root, member)
        return
    directory, name = tree.parent_of(parts), parts[-1]
    if name.startswith(WHITEOUT):
        _write_whiteout(tree, directory, name)
    elif member.isdir():
        _write_directory(tree, directory, name, member)
        result.directory_times.append((parts, member.mtime))
    elif member.ischr() or member.isblk():
        result.devices_left_out += 1
    elif member.issym():
        tree.clear(directory, name)
        os.symlink(member.linkname, name, dir_fd=directory)
        os.chown(name, *_owner(member), dir_fd=directory, follow_symlinks=False)
        _set_time(name, directory, member.mtime)
    elif member.islnk():
        _write_link(tree, parts, member)
    elif member.isfifo():
        tree.clear(directory, name)
        os.mkfifo(name, 0o600, dir_fd=directory)
        os.chown(name, *_owner(member), dir_fd=directory, follow_symlinks=False)
        os.chmod(name, member.mode & 0o777, dir_fd=directory)
    elif member.isfile():
        tree.clear(directory, name)
        result.size += _write_file(directory, name, archive, member, limit - result.size)
    else:
        raise BadLayer(f"entry {member.name[:200]!r} of unknown type {member.type!r}")


def _write_whiteout(tree: Tree, directory: int, name: str) -> None:
    if name == OPAQUE_MARK:
        tree.mark_opaque(directory)
        return
    if name.startswith(WHITEOUT_META):
        return  # book-keeping of aufs, of no meaning to anyone else
    deleted = name.removeprefix(WHITEOUT)
    if deleted in ("", ".", ".."):
        raise UnsafePath(f"whiteout {name!r} leads out of its directory")
    try:
        os.mknod(deleted, 0o020000, os.makedev(0, 0), dir_fd=directory)
    except FileExistsError:
        return  # the same layer has a new one: that hides the old one as well


def _write_directory(tree: Tree, directory: int, name: str, member: tarfile.TarInfo) -> None:
    made = tree.make_directory(directory, name)
    try:
        _set_metadata(made, member)
    finally:
        os.close(made)


def _write_link(tree: Tree, parts: list[str], member: tarfile.TarInfo) -> None:
    """To another entry of this layer, itself and not what it may point at."""
    target = components(member.linkname)
    if not target:
        raise UnsafePath(f"hard link {member.name[:200]!r} to the root")
    source = os.dup(tree.parent_of(target))
    try:
        directory = tree.parent_of(parts)
        if target != parts:
            tree.clear(directory, parts[-1])
            os.link(target[-1], parts[-1], src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
    finally:
        os.close(source)


def _write_file(
    directory: int, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int
) -> int:
    """The bytes written."""
    if not 0 <= member.size <= limit:
        raise BadLayer("content is larger than an unpacked layer may be")
    content = archive.extractfile(member)
    assert content is not None
    file = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
    )
    try:
        written = 0
        while chunk := content.read(CHUNK):
            written += len(chunk)
            _write_all(file, chunk)
        _set_metadata(file, member)
        _set_time(file, None, member.mtime)
        return written
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _set_metadata(entry: int, member: tarfile.TarInfo) -> None:
    """Owner first: changing it clears setuid bits and capabilities."""
    os.fchown(entry, *_owner(member))
    os.fchmod(entry, member.mode & 0o7777)
    for key, value in member.pax_headers.items():
        name = key.removeprefix(XATTR_KEY)
        if name != key and (name == "security.capability" or name.startswith("user.")):
            data = value.encode("utf-8", "surrogateescape")
            if len(data) > MAX_XATTR:
                raise BadLayer(f"attribute {name[:200]!r} of {len(data)} bytes")
            _set_attribute(entry, name, data)


def _set_attribute(entry: int, name: str, data: bytes) -> None:
    """A file system without user attributes (tmpfs before Linux 6.6) keeps none; containerd says the same."""
    try:
        os.setxattr(entry, name, data)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or not name.startswith("user."):
            raise


def _owner(member: tarfile.TarInfo) -> tuple[int, int]:
    for number in (member.uid, member.gid):
        if not 0 <= number <= MAX_ID:
            raise BadLayer(f"owner {number} of {member.name[:200]!r} is no user or group id")
    return member.uid, member.gid


def _set_time(entry: int | str, directory: int | None, seconds: float) -> None:
    usable = seconds if math.isfinite(seconds) else 0.0
    nanoseconds = int(min(max(usable, 0.0), MAX_TIME) * 1e9)
    times = (nanoseconds, nanoseconds)
    if isinstance(entry, int):
        os.utime(entry, ns=times)
    else:
        os.utime(entry, ns=times, dir_fd=directory, follow_symlinks=False)


def _restore_directory_times(tree: Tree, result: Unpacked) -> None:
    """Last, as every entry made in a directory changes its time."""
    for parts, seconds in reversed(result.directory_times):
        directory = tree.parent_of(parts)
        _set_time(parts[-1], directory, seconds)
    result.directory_times.clear()
