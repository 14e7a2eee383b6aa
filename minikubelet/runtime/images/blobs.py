"""The packed parts of an image, kept as they came: so that `image save` gives back the very same digests.

While an image is placed its blobs are gathered aside; with its layers they are renamed to where they belong.
An image that comes without a manifest (docker save has none) gets one here.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minikubelet.runtime.images.archive import Source
from minikubelet.runtime.images.records import Records

CHUNK = 1 << 20
OCI = "application/vnd.oci.image"
_PACKED = ((b"\x1f\x8b", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd"))


@dataclass(frozen=True, slots=True)
class Blob:
    """One that is kept. `kind` is its media type, if it is a layer."""

    digest: str
    size: int
    kind: str = ""

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}


class Keeper:
    """Gathers the blobs of one load or pull in `aside`."""

    def __init__(self, store: Path, aside: Path) -> None:
        self._records, self._aside = Records(store), aside
        aside.mkdir()

    def layer(self, source: Source, path: str, digest: str) -> Blob:
        """A packed layer; `digest` if it is known. The content was or will be checked by the unpacking."""
        for place in (self._records.blob(digest), self._aside / _hex(digest)) if digest else ():
            if place.exists():
                return self._described(place, digest)
        own = source.verified(path)
        if own is not None:
            os.link(own, self._aside / _hex(digest))
            return self._described(own, digest)
        work, found = self._aside / "part", hashlib.sha256()
        with source.open(path) as blob, open(work, "wb") as file:
            while chunk := blob.read(CHUNK):
                found.update(chunk)
                file.write(chunk)
        place = self._aside / found.hexdigest()
        os.rename(work, place)
        return self._described(place, f"sha256:{found.hexdigest()}")

    def small(self, data: bytes, kind: str) -> Blob:
        """A manifest or a configuration."""
        name = hashlib.sha256(data).hexdigest()
        (self._aside / name).write_bytes(data)
        return Blob(f"sha256:{name}", len(data), kind)

    def manifest(self, given: bytes, config: bytes, layers: list[Blob]) -> str:
        """The digest of the image's manifest: the one it came with, or one made for it."""
        kept = self.small(config, f"{OCI}.config.v1+json")
        if not given:
            document = {
                "schemaVersion": 2,
                "mediaType": f"{OCI}.manifest.v1+json",
                "config": kept.descriptor,
                "layers": [layer.descriptor for layer in layers],
            }
            given = json.dumps(document, separators=(",", ":")).encode()
        return self.small(given, "").digest

    def place(self) -> None:
        """All of it, to where it belongs."""
        for blob in self._aside.iterdir():
            os.rename(blob, self._records.blob(blob.name))

    def _described(self, place: Path, digest: str) -> Blob:
        with open(place, "rb") as file:
            head = file.read(4)
        packed = next((suffix for magic, suffix in _PACKED if head.startswith(magic)), "")
        return Blob(digest, place.stat().st_size, f"{OCI}.layer.v1.tar{packed}")


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
