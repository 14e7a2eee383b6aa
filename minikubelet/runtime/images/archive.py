"""The three shapes an image comes in: `docker save`, `podman save` and an OCI image layout; a tar or a
directory.

Each is turned into the same list of `ArchivedImage`s: a configuration blob, names, and a compressed or plain
tar per layer. Blobs that are named by their digest are checked against it; a layer's content is checked
against the configuration's diff id when it is unpacked. Manifests are JSON from a stranger: bounded in size,
and every member is checked for its type.

A tar is read by seeking, since `manifest.json` comes last in it and a layer may be used twice; so a stream
is first spooled to a file by the caller.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from minikubelet.errors import ImageError
from minikubelet.runtime.images.records import EVERYBODY
from minikubelet.runtime.images.reference import Reference, is_digest

MAX_JSON = 8 << 20  # as containerd's limit for manifests
MAX_MEMBERS = 100_000
MAX_LAYERS = 127  # what overlayfs was built for, and Docker's limit
MAX_INDEX_DEPTH = 4
MAX_MANIFESTS = 1000  # looked at in all: an index may name another a thousand times, and that one a third

MANIFEST = "manifest.json"  # of docker save, and of podman save in its default format
INDEX = "index.json"  # of an OCI image layout
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(slots=True)
class ArchivedImage:
    """One image of an archive; `layers` are (path in it, digest of that blob or ""), bottom first."""

    config: bytes
    layers: list[tuple[str, str]]
    tags: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    manifest: bytes = b""  # the very bytes; empty where the archive has none (docker save)
    allowed: list[str] = field(default_factory=lambda: [EVERYBODY])  # whose it is: `records`


class Source(Protocol):
    """Named blobs."""

    def has(self, path: str) -> bool: ...
    def open(self, path: str) -> AbstractContextManager[IO[bytes]]: ...
    def verified(self, path: str) -> Path | None:
        """A blob that is a file of our own, complete and checked against its digest: it may be linked to."""


class DirectorySource:
    """An OCI image layout as it lies on the disk. Links are not followed: a layout has none."""

    def __init__(self, root: str) -> None:
        self._root = root

    def has(self, path: str) -> bool:
        return os.path.isfile(os.path.join(self._root, path))

    def open(self, path: str) -> IO[bytes]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(os.path.join(self._root, _plain(path)), flags), "rb")

    def verified(self, path: str) -> None:
        return None


class TarSource:
    """A tar file, uncompressed. Old versions of docker save share layers by links within the archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  # lives as long as the file
            for member in self._archive:
                self._members[posixpath.normpath(member.name)] = member
                if len(self._members) > MAX_MEMBERS:
                    raise _bad(f"more than {MAX_MEMBERS} files")
        except (tarfile.TarError, ValueError) as error:
            raise _bad(str(error)) from error

    def has(self, path: str) -> bool:
        return self._find(path) is not None

    def open(self, path: str) -> IO[bytes]:
        member = self._find(path)
        content = self._archive.extractfile(member) if member is not None else None
        if content is None:
            raise _bad(f"{path!r} is missing")
        return content

    def verified(self, path: str) -> None:
        return None

    def _find(self, path: str) -> tarfile.TarInfo | None:
        path = posixpath.normpath(path)
        for _ in range(8):
            member = self._members.get(path)
            if member is None or member.isfile():
                return None if member is not None and member.issparse() else member  # zeros without end
            if member.issym():
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
            elif member.islnk():
                path = posixpath.normpath(member.linkname)
            else:
                return None
        return None


def images_of(source: Source) -> list[ArchivedImage]:
    """Every image in the archive that is for this machine. Raises ImageError.

    New versions of docker save write both forms in one; the index says more, if it says the names.
    """
    if source.has(INDEX):
        index = _json(_read(source, INDEX), INDEX)
        found = _indexed_images(source, index, names=[], depth=0, left=iter(range(MAX_MANIFESTS)))
        if not source.has(MANIFEST) or all(image.tags for image in found):
            return _joined(found)
    if source.has(MANIFEST):
        return [
            _saved_image(source, entry) for entry in _list(_json(_read(source, MANIFEST), MANIFEST), MANIFEST)
        ]
    raise _bad(f"neither {MANIFEST} (docker save, podman save) nor {INDEX} (OCI image layout) is in it")


def _joined(images: list[ArchivedImage]) -> list[ArchivedImage]:
    """An index has an entry for each name; an image with two names is one image."""
    made: dict[bytes, ArchivedImage] = {}
    for image in images:
        first = made.setdefault(image.manifest, image)
        if first is not image:
            first.tags += [tag for tag in image.tags if tag not in first.tags]
            first.digests += [digest for digest in image.digests if digest not in first.digests]
    return list(made.values())


def _saved_image(source: Source, entry: object) -> ArchivedImage:
    """One entry of manifest.json: {"Config": path, "RepoTags": [...], "Layers": [paths]}."""
    manifest = _object(entry, MANIFEST)
    config_path = _text(manifest.get("Config"), "Config")
    config = _read(source, config_path)
    _check_named_digest(config_path, config)
    layers = [_text(path, "Layers") for path in _list(manifest.get("Layers"), "Layers")]
    names = [_text(name, "RepoTags") for name in _list(manifest.get("RepoTags") or [], "RepoTags")]
    return ArchivedImage(config, [(path, _digest_in(path)) for path in layers], _tags(names))


def _indexed_images(
    source: Source, document: object, names: list[str], depth: int, left: Iterator[int]
) -> list[ArchivedImage]:
    """The images of an index, which may point at further indexes: one for each platform. `left` ends when
    there were too many of them.
    """
    if depth > MAX_INDEX_DEPTH:
        raise _bad("index within index within index")
    found: list[ArchivedImage] = []
    for entry in _list(_object(document, INDEX).get("manifests"), "manifests"):
        descriptor = _object(entry, "manifests")
        if not for_this_machine(descriptor):
            continue
        if next(left, None) is None:
            raise _bad(f"more than {MAX_MANIFESTS} manifests")
        manifest = _blob(source, descriptor)
        content = _json(manifest, "manifest")
        ours = names or _annotated_names(descriptor)
        if descriptor.get("mediaType") in INDEX_TYPES or "manifests" in _object(content, "manifest"):
            found += _indexed_images(source, content, ours, depth + 1, left)
        else:
            image = _manifest_image(source, _object(content, "manifest"), descriptor, ours)
            image.manifest = manifest
            found.append(image)
    if depth == 0 and not found:
        raise _bad(f"no image in it is for linux/{architecture()}")
    return found


def _manifest_image(
    source: Source, manifest: dict[str, Any], descriptor: dict[str, Any], names: list[str]
) -> ArchivedImage:
    config = _blob(source, _object(manifest.get("config"), "config"))
    layers = [_object(layer, "layers") for layer in _list(manifest.get("layers"), "layers")]
    digest = _digest(descriptor)
    return ArchivedImage(
        config,
        [(blob_path(_digest(layer)), _digest(layer)) for layer in layers],
        _tags(names),
        [f"{Reference.parse(name).name}@{digest}" for name in names],
    )


def _annotated_names(descriptor: dict[str, Any]) -> list[str]:
    """containerd writes the whole name; others only a tag, which names nothing by itself."""
    annotations = descriptor.get("annotations")
    if not isinstance(annotations, dict):
        return []
    for key in NAME_ANNOTATIONS:
        name = annotations.get(key)
        if isinstance(name, str) and ("/" in name or ":" in name):
            return [name]
    return []


def for_this_machine(descriptor: Mapping[str, Any]) -> bool:
    """Of an entry of an index; one without a platform is for everybody."""
    wanted = descriptor.get("platform")
    if not isinstance(wanted, dict):
        return True
    return wanted.get("os", "linux") == "linux" and wanted.get("architecture") == architecture()


def architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _blob(source: Source, descriptor: dict[str, Any]) -> bytes:
    digest = _digest(descriptor)
    data = _read(source, blob_path(digest))
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise _bad(f"the content of blob {digest} has another digest")
    return data


def _digest(descriptor: dict[str, Any]) -> str:
    digest = _text(descriptor.get("digest"), "digest")
    if not is_digest(digest):
        raise _bad(f"digest {digest[:100]!r} is not a sha256")
    return digest


def blob_path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _digest_in(path: str) -> str:
    """The digest in a name like blobs/sha256/HEX or HEX.json."""
    word = posixpath.basename(path).removesuffix(".json")
    return f"sha256:{word}" if is_digest(f"sha256:{word}") else ""


def _check_named_digest(path: str, data: bytes) -> None:
    digest = _digest_in(path)
    if digest and digest != "sha256:" + hashlib.sha256(data).hexdigest():
        raise _bad(f"the content of {path!r} has another digest")


def _read(source: Source, path: str) -> bytes:
    with source.open(path) as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise _bad(f"{path!r} is larger than {MAX_JSON} bytes")
    return data


def _json(data: bytes, what: str) -> object:
    try:
        return json.load(io.BytesIO(data))
    except (ValueError, RecursionError) as error:
        raise _bad(f"cannot read {what}: {error}") from error


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{what} must be an object")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_MEMBERS:
        raise _bad(f"{what} must be a list")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _bad(f"{what} must be text")
    return value


def _plain(path: str) -> str:
    """A path in a directory that does not lead out of it."""
    clean = posixpath.normpath(path)
    if clean.startswith(("/", "..")):
        raise _bad(f"path {path[:200]!r} leads out of the archive")
    return clean


def _tags(names: list[str]) -> list[str]:
    """A name may be one by digest only."""
    return [tag for name in names if (tag := Reference.parse(name).tagged)]


def _bad(why: str) -> ImageError:
    return ImageError("ErrImageLoad", f"cannot load image archive: {why}")
