"""What the image store holds on disk.

    STORE/images/HEX.json    one image: configuration, layers, names; written aside and renamed
    STORE/layers/HEX/diff    one unpacked layer, named by its diff id, shared by all images that have it
    STORE/l/SHORT            link to a layer's diff: overlayfs takes all layers of an image in one page of
    text STORE/aside              unfinished work
    STORE/lock               held while any of this is changed

A layer exists only when it is complete, a record only when its layers exist; a name belongs to one image.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minikubelet.runtime.images.config import ImageConfig


@dataclass(slots=True)
class ImageRecord:
    """One image of the store."""

    id: str  # "sha256:" and the digest of its configuration
    layers: list[str]  # diff ids, top first
    config: ImageConfig
    size: int
    tags: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    directory: str = ""  # instead of layers: an unpacked root file system somewhere else


class Records:
    """The files above. Every method blocks."""

    def __init__(self, store: Path) -> None:
        self._store = store
        for name in ("images", "layers"):
            (store / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time, among processes too; freed by the kernel if its holder dies."""
        with open(self._store / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def all(self) -> list[ImageRecord]:
        return [_load(path.read_bytes()) for path in sorted((self._store / "images").glob("*.json"))]

    def add(self, record: ImageRecord) -> ImageRecord:
        """Write the record, joined with what was there under its id; its names leave their former images."""
        for other in self.all():
            if other.id == record.id:
                record.tags = _union(other.tags, record.tags)
                record.digests = _union(other.digests, record.digests)
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
