"""Unpack an image archive into the store: `python -m minikubelet.runtime.images.loader STORE PATH`.

A process of its own, started by the agent for each load: archives are hostile input, unpacking them is
minutes of pure work, and neither its memory nor its share of the interpreter should be the agent's. PATH is
a file, a directory (OCI layout) or `-` for standard input. It prints one line of JSON: {"images": [...]} or
{"reason", "error"}.

Everything is written below STORE/aside first. Only when each layer of each image is complete, checked
against its digest and on the disk, the layers are renamed to their places and then the images' records are
written. A load that fails or is killed at any point leaves the store as it was; what lies aside is removed
by the next load.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import json
import lzma
import os
import resource
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from minikubelet.errors import ImageError
from minikubelet.linux import processes
from minikubelet.runtime.images import archive
from minikubelet.runtime.images.blobs import Keeper
from minikubelet.runtime.images.config import ImageConfig
from minikubelet.runtime.images.layer import BadLayer, Readable, unpack
from minikubelet.runtime.images.records import ImageRecord, Records
from minikubelet.runtime.images.reference import is_digest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_UNPACKED = 64 << 30  # bytes of one layer
MAX_ENTRIES = 2_000_000
FREE_AFTERWARDS = 0.05  # part of the file system that stays free
# Real layers shrink to a tenth; a bomb of zeros to a thousandth.
BOMB_FROM = 512 << 20
BOMB_RATIO = 200
MEMORY = 3 << 30
CHUNK = 1 << 20
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)


def main() -> int:
    store, path = Path(sys.argv[1]), sys.argv[2]
    os.umask(0o022)
    processes.set_oom_score(0)  # a stranger's archive is not worth the agent's protection
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        loaded = load(store, path)
        answer: dict[str, Any] = {"images": [record.id for record in loaded]}
    except ImageError as error:
        answer = {"reason": error.reason, "error": str(error)}
    except (OSError, MemoryError) as error:
        answer = {"reason": "ErrImageLoad", "error": f"cannot load image archive: {error or 'out of memory'}"}
    print(json.dumps(answer))
    return 0 if "images" in answer else 1


def load(store: Path, path: str) -> list[ImageRecord]:
    """The images of the archive, complete and recorded in the store. Raises ImageError, OSError."""
    # Read first: a client that sends slowly must not keep everybody else from the store.
    with _opened(path, store) as source, _exclusive(store), _aside(store) as aside:
        return _place(store, aside, source, archive.images_of(source))


def place(store: Path, source: archive.Source, images: list[archive.ArchivedImage]) -> list[ImageRecord]:
    """Unpack these images of `source` and record them, all or none. Raises ImageError, OSError."""
    with _exclusive(store), _aside(store) as aside:
        return _place(store, aside, source, images)


def _place(
    store: Path, aside: Path, source: archive.Source, images: list[archive.ArchivedImage]
) -> list[ImageRecord]:
    records, keeper = Records(store), Keeper(store, aside / "blobs")
    made = [_unpack_image(store, aside, source, image, keeper) for image in images]
    os.sync()  # content before names: a power cut must not leave a layer that only looks complete
    for entry in sorted((aside / "layers").iterdir()):
        os.rename(entry, records.layer(f"sha256:{entry.name}"))
    keeper.place()
    return [records.add(record) for record in made]


def _unpack_image(
    store: Path, aside: Path, source: archive.Source, image: archive.ArchivedImage, keeper: Keeper
) -> ImageRecord:
    config = _configuration(image.config)
    contents = diff_ids(image.config)
    if len(contents) != len(image.layers) or len(contents) > archive.MAX_LAYERS:
        raise _bad(f"{len(image.layers)} layers where the configuration has {len(contents)}")
    records, size, kept = Records(store), 0, []
    for diff_id, (path, digest) in zip(contents, image.layers, strict=True):
        in_place, in_work = records.layer(diff_id), aside / "layers" / diff_id.removeprefix("sha256:")
        if not in_place.exists() and not in_work.exists():
            _unpack_layer(source, path, digest, diff_id, in_work)
        size += records.layer_size(in_place if in_place.exists() else in_work)
        kept.append(keeper.layer(source, path, digest))
    return ImageRecord(
        id="sha256:" + hashlib.sha256(image.config).hexdigest(),
        layers=contents[::-1],
        config=ImageConfig.read(config.get("config")),
        size=size,
        tags=image.tags,
        digests=image.digests,
        allowed=image.allowed,
        manifest=keeper.manifest(image.manifest, image.config, kept),
    )


def _unpack_layer(source: archive.Source, path: str, digest: str, diff_id: str, target: Path) -> None:
    """Raises before `target` exists if anything is wrong with the layer."""
    work = target.with_suffix(".part")
    content = work / "diff"
    content.mkdir(parents=True, mode=0o755)
    with source.open(path) as blob:
        packed = _Counted(blob)
        plain = _Counted(_decompressed(packed), packed)
        try:
            result = unpack(plain, str(content), max_size=_room(work), max_entries=MAX_ENTRIES)
            plain.drain()
            packed.drain()
        except BadLayer as error:
            raise _bad(f"layer {path!r}: {error}") from error
    if plain.digest != diff_id:
        raise _bad(f"the content of layer {path!r} is {plain.digest}, not {diff_id}")
    if digest not in ("", packed.digest):
        raise _bad(f"the content of blob {path!r} is {packed.digest}, not {digest}")
    (work / "size").write_text(str(result.size))
    os.rename(work, target)


class _Counted:
    """A stream that is measured and hashed while it is read; refuses to outgrow its source."""

    def __init__(self, stream: Readable, source: _Counted | None = None) -> None:
        self._stream, self._source = stream, source
        self._hash = hashlib.sha256()
        self.count = 0

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._stream.read(size if size >= 0 else CHUNK)
        except DAMAGED as error:
            raise BadLayer(f"cannot decompress it: {error}") from error
        self._hash.update(data)
        self.count += len(data)
        if self._source and self.count > BOMB_FROM and self.count > BOMB_RATIO * self._source.count:
            raise BadLayer(f"it grows more than {BOMB_RATIO} times when decompressed")
        if self.count > 2 * MAX_UNPACKED:
            raise BadLayer("it is too large")
        return data

    def drain(self) -> None:
        """What follows the end of the archive belongs to the digest too."""
        while self.read(CHUNK):
            continue


def _decompressed(stream: Readable) -> Readable:
    """By its first bytes, as everyone does: media types are often wrong."""
    head = stream.read(6)
    whole: Any = _Prefixed(head, stream)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=whole)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(whole)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(whole)
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(whole)
    return _Prefixed(head, stream)


class _Prefixed:
    """A stream with some bytes put back in front of it."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1, /) -> bytes:
        if not self._head:
            return self._rest.read(size)
        if size < 0:
            size = len(self._head)
        data, self._head = self._head[:size], self._head[size:]
        return data


def diff_ids(config: bytes) -> list[str]:
    """The digests of the layers' contents, bottom first, as the configuration has them. Raises ImageError."""
    rootfs = _configuration(config).get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not all(isinstance(d, str) and is_digest(d) for d in found):
        raise _bad("the configuration names no layers")
    return found


def _configuration(blob: bytes) -> dict[str, Any]:
    try:
        config = json.loads(blob)
    except (ValueError, RecursionError) as error:
        raise _bad(f"cannot read the configuration: {error}") from error
    if not isinstance(config, dict):
        raise _bad("the configuration must be an object")
    return config


def _room(directory: Path) -> int:
    """How many bytes a layer may have here."""
    space = os.statvfs(directory)
    spare = int((space.f_bavail - FREE_AFTERWARDS * space.f_blocks) * space.f_frsize)
    if spare <= 0:
        raise OSError(errno.ENOSPC, "less than 5 % of the file system is free", str(directory))
    return min(spare, MAX_UNPACKED)


@contextmanager
def _exclusive(store: Path) -> Iterator[None]:
    """One load at a time; the agent takes the same lock to remove images."""
    with Records(store).lock():
        yield


@contextmanager
def _aside(store: Path) -> Iterator[Path]:
    """Room for unfinished work; what a killed load has left there is removed first."""
    aside = store / "aside"
    if aside.exists():
        shutil.rmtree(aside)
    (aside / "layers").mkdir(parents=True)
    os.chmod(aside, 0o700)
    try:
        yield aside
    finally:
        shutil.rmtree(aside)


@contextmanager
def _opened(path: str, store: Path) -> Iterator[archive.Source]:
    """The archive; a stream or a compressed tar is spooled to a file first, as it must be sought in. The file
    has no name: it goes with the process.
    """
    if path != "-" and os.path.isdir(path):
        yield archive.DirectorySource(path)
        return
    with sys.stdin.buffer if path == "-" else open(path, "rb") as stream, _spooled(stream, store) as file:
        yield archive.TarSource(file)


@contextmanager
def _spooled(stream: IO[bytes], store: Path) -> Iterator[IO[bytes]]:
    packed = _Counted(stream)
    plain = _decompressed(packed)
    if isinstance(plain, _Prefixed) and stream.seekable():
        stream.seek(0)
        yield stream
        return
    with tempfile.TemporaryFile(dir=store) as file:
        try:
            _copy(_Counted(plain, packed), file, _room(store))
        except BadLayer as error:
            raise _bad(str(error)) from error
        file.seek(0)
        yield file


def _copy(stream: Readable, file: IO[bytes], room: int) -> None:
    while chunk := stream.read(CHUNK):
        room -= len(chunk)
        if room < 0:
            raise OSError(errno.ENOSPC, "the archive is larger than the free space")
        file.write(chunk)


def _bad(why: str) -> ImageError:
    return ImageError("ErrImageLoad", f"cannot load image archive: {why}")


if __name__ == "__main__":
    sys.exit(main())
