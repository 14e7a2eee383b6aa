"""What the image store holds on disk.

    STORE/images/HEX.json    one image: configuration, layers, names; written aside and renamed
    STORE/blobs/HEX          what was fetched or loaded, as it was, so that `image save` can hand it on:
                             manifest, configuration, packed layers; named by its digest
    STORE/layers/HEX/diff    one unpacked layer, named by its diff id, shared by all images that have it
    STORE/aside              unfinished work of the load or pull that holds the lock
    STORE/partial/HEX        blobs on their way from a registry (see `puller`)
    STORE/lock               held while any of this is changed

A layer exists only when it is complete, a record only when its layers exist; a name belongs to one image.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minikubelet.runtime.images.config import ImageConfig

EVERYBODY = "*"


@dataclass(slots=True)
class ImageRecord:
    """One image of the store."""

    id: str  # "sha256:" and the digest of its configuration
    layers: list[str]  # diff ids, top first
    config: ImageConfig
    size: int
    tags: list[str] = field(default_factory=list)  # the newest last
    digests: list[str] = field(default_factory=list)
    manifest: str = ""  # digest of its manifest among the blobs
    # Who may use it without asking its registry: fingerprints of credentials, or everybody.
    allowed: list[str] = field(default_factory=lambda: [EVERYBODY])
    directory: str = ""  # instead of layers: an unpacked root file system somewhere else


class Records:
    """The files above. Every method blocks."""

    def __init__(self, store: Path) -> None:
        self._store = store
        for name in ("images", "layers", "blobs"):
            (store / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self, *, wait: bool = True) -> Iterator[None]:
        """One writer at a time, among processes too; freed by the kernel if its holder dies. BlockingIOError
        if somebody has it and we do not `wait`.
        """
        with open(self._store / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    @property
    def partial(self) -> Path:
        return self._store / "partial"

    @contextmanager
    def pulling(self, *, alone: bool = False) -> Iterator[None]:
        """As long as it lasts nobody clears `partial`; `alone`: nobody pulls, else BlockingIOError."""
        self.partial.mkdir(mode=0o700, exist_ok=True)
        directory = os.open(self.partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(directory)

    def all(self) -> list[ImageRecord]:
        """Read without the lock: one that is removed meanwhile is left out."""
        found = []
        for path in sorted((self._store / "images").glob("*.json")):
            with suppress(FileNotFoundError):
                found.append(_load(path.read_bytes()))
        return found

    def add(self, record: ImageRecord) -> ImageRecord:
        """Write the record, joined with what was there under its id; its names leave their former images."""
        for other in self.all():
            if other.id == record.id:
                record.tags = [*(tag for tag in other.tags if tag not in record.tags), *record.tags]
                record.digests = _union(other.digests, record.digests)
                record.manifest = record.manifest or other.manifest
                record.allowed = _union(other.allowed, record.allowed)
            elif set(other.tags) & set(record.tags):
                other.tags = [tag for tag in other.tags if tag not in record.tags]
                self.write(other)
        self.write(record)
        return record

    def write(self, record: ImageRecord) -> None:
        path = self._record(record.id)
        aside = path.with_suffix(".new")
        with open(aside, "w") as file:
            json.dump(asdict(record), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)

    def remove(self, image_id: str) -> None:
        self._record(image_id).unlink(missing_ok=True)

    def remove_unused_layers(self) -> int:
        """The bytes freed."""
        used = {diff_id for record in self.all() for diff_id in record.layers}
        freed = 0
        for path in (self._store / "layers").iterdir():
            diff_id = f"sha256:{path.name}"
            if diff_id not in used:
                freed += self.layer_size(path)
                gone = path.with_suffix(".gone")  # half a layer must not look like a whole one
                os.rename(path, gone)
                shutil.rmtree(gone)
        return freed

    def remove_unused_blobs(self) -> int:
        """The bytes freed."""
        used = {name for record in self.all() if record.manifest for name in self._blobs_of(record)}
        freed = 0
        for path in (self._store / "blobs").iterdir():
            if path.name not in used:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def remove_unfinished(self, older_than: float) -> None:
        """What killed loads have left, and blobs that no pull has gone on with since `older_than`, seconds
        since the epoch. Nothing while somebody is at work on it.
        """
        aside = self._store / "aside"
        with suppress(BlockingIOError), self.lock(wait=False):
            if aside.exists():
                shutil.rmtree(aside)
        with suppress(BlockingIOError), self.pulling(alone=True):
            for path in self.partial.iterdir():
                if path.stat().st_mtime < older_than:
                    path.unlink()

    def _blobs_of(self, record: ImageRecord) -> Iterator[str]:
        manifest = self.blob(record.manifest)
        yield manifest.name
        document = json.loads(manifest.read_bytes())
        for descriptor in (document["config"], *document["layers"]):
            yield descriptor["digest"].removeprefix("sha256:")

    def blob(self, digest: str) -> Path:
        return self._store / "blobs" / digest.removeprefix("sha256:")

    def layer(self, diff_id: str) -> Path:
        return self._store / "layers" / diff_id.removeprefix("sha256:")

    def layer_size(self, layer: Path) -> int:
        """Bytes of file content in it."""
        size = layer / "size"
        return int(size.read_text()) if size.exists() else 0

    def lower(self, diff_id: str) -> str:
        """The layer's directory, for overlayfs."""
        return str(self.layer(diff_id) / "diff")

    def _record(self, image_id: str) -> Path:
        return self._store / "images" / f"{image_id.removeprefix('sha256:')}.json"


def _load(data: bytes) -> ImageRecord:
    values: dict[str, Any] = json.loads(data)
    values["config"] = ImageConfig(**values["config"])
    return ImageRecord(**values)


def _union(first: list[str], second: list[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))
