"""Write an image as an archive to standard output: `python -m minikubelet.runtime.images.saver STORE ID`.

One tar that is both an OCI image layout and, by its `manifest.json`, what docker save writes: docker, podman,
skopeo and containerd read it, and find the digests that the image was pulled or loaded with. Messages go to
standard error.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from minikubelet.runtime.images.archive import blob_path
from minikubelet.runtime.images.records import ImageRecord, Records

NAME, REF_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def main() -> int:
    records = Records(Path(sys.argv[1]))
    record = next(record for record in records.all() if record.id == sys.argv[2])
    save(records, record, sys.stdout.buffer)
    return 0


def save(records: Records, record: ImageRecord, stream: Any) -> None:
    """Blobs before what names them, as a reader of a stream likes it."""
    manifest_bytes = records.blob(record.manifest).read_bytes()
    manifest = json.loads(manifest_bytes)
    layers = [layer["digest"] for layer in manifest["layers"]]
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for digest in dict.fromkeys([*layers, manifest["config"]["digest"], record.manifest]):
            _put_file(archive, blob_path(digest), records.blob(digest))
        _put(archive, "index.json", _index(record, manifest, len(manifest_bytes)))
        saved = {
            "Config": blob_path(manifest["config"]["digest"]),
            "RepoTags": record.tags,
            "Layers": [blob_path(digest) for digest in layers],
        }
        _put(archive, "manifest.json", json.dumps([saved]).encode())


def _index(record: ImageRecord, manifest: dict[str, Any], size: int) -> bytes:
    """One entry for each name."""
    entry = {
        "mediaType": manifest.get("mediaType") or MANIFEST_TYPE,
        "digest": record.manifest,
        "size": size,
    }
    entries = [entry | {"annotations": {NAME: tag, REF_NAME: tag.rpartition(":")[2]}} for tag in record.tags]
    return json.dumps({"schemaVersion": 2, "manifests": entries or [entry]}).encode()


def _put(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_info(name, len(data)), io.BytesIO(data))


def _put_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    with open(path, "rb") as file:
        archive.addfile(_info(name, path.stat().st_size), file)


def _info(name: str, size: int) -> tarfile.TarInfo:
    """The same for the same content, whoever saves it and when."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


if __name__ == "__main__":
    sys.exit(main())
