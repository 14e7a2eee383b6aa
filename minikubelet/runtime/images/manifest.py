"""Manifests as a registry hands them out: JSON from a stranger, taken for one thing and for nothing else.

An image manifest names a configuration and layers, an index names manifests for several platforms. A
document that could be read as both was an attack (CVE-2021-41190).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import ImageError
from minikubelet.runtime.images.archive import MAX_LAYERS
from minikubelet.runtime.images.reference import is_digest

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MAX_BLOB = 64 << 30


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob; it is believed only when the content agrees. `size` in bytes."""

    digest: str
    size: int

    @classmethod
    def of(cls, value: object) -> Descriptor:
        """Raises ImageError."""
        found = value if isinstance(value, dict) else {}
        digest, size = found.get("digest"), found.get("size")
        if not isinstance(digest, str) or not is_digest(digest):
            raise failed(f"digest {str(digest)[:100]!r} is not a sha256")
        if type(size) is not int or not 0 <= size <= MAX_BLOB:
            raise failed(f"blob {digest} has an impossible size {str(size)[:40]}")
        return cls(digest, size)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest or an index; `digest` is of the very bytes."""

    digest: str
    media_type: str
    document: Mapping[str, Any]
    content: bytes

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES

    @property
    def config(self) -> Descriptor:
        return Descriptor.of(self.document.get("config"))

    @property
    def layers(self) -> list[Descriptor]:
        """Bottom first."""
        return [Descriptor.of(layer) for layer in self._list("layers", MAX_LAYERS)]

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """Of an index: descriptors, with the platform each is for."""
        return [entry for entry in self._list("manifests", 1000) if isinstance(entry, dict)]

    def _list(self, name: str, limit: int) -> list[Any]:
        value = self.document.get(name)
        if not isinstance(value, list) or len(value) > limit:
            raise failed(f"{name} of manifest {self.digest} must be a list of at most {limit}")
        return value


def read_manifest(body: bytes, digest: str, stated: str) -> Manifest:
    """`stated` is the Content-Type it came with. Raises ImageError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise failed(f"cannot read manifest {digest}: {error}") from error
    if not isinstance(document, dict):
        raise failed(f"cannot read manifest {digest}: it is not an object")
    if document.get("schemaVersion") == 1:
        raise failed(f"manifest {digest} is of Docker's schema 1, which nobody supports any more")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise failed(f"manifest {digest} is ambiguous: an image and an index in one")
    own = document.get("mediaType") or ""
    if own and stated in (*MANIFEST_TYPES, *INDEX_TYPES) and own != stated:
        raise failed(f"manifest {digest} says that it is {str(own)[:100]}, its server says {stated}")
    kind = own or stated
    if kind in INDEX_TYPES and "manifests" not in document:
        raise failed(f"manifest {digest} is no index")
    if kind in MANIFEST_TYPES and "layers" not in document:
        raise failed(f"manifest {digest} is no image manifest")
    if kind not in (*MANIFEST_TYPES, *INDEX_TYPES):
        raise failed(f"manifest {digest} has an unknown media type {str(kind)[:100]!r}")
    return Manifest(digest, str(kind), document, body)


def failed(why: str) -> ImageError:
    """A pull that cannot succeed as things are."""
    return ImageError("ErrImagePull", why)
