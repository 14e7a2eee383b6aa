"""A small image that is there without a registry: the node's static busybox."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

IMAGE = "docker.io/library/busybox:1.35"


def save_busybox(archive: Path) -> None:
    """An image of the node's static busybox and its names, as `docker save` writes it."""
    names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    busybox = Path(
        subprocess.run(["which", "busybox"], capture_output=True, text=True, check=True).stdout.strip()
    )
    layer = tar_of(
        {"bin/busybox": busybox.read_bytes()},
        {f"bin/{name}": "busybox" for name in names if name != "busybox"},
    )
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    contents = json.dumps([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode()
    archive.write_bytes(
        tar_of({"manifest.json": contents, "config.json": config, "layer.tar": layer}, {}, folders=False)
    )


def tar_of(files: dict[str, bytes], links: dict[str, str], folders: bool = True) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for folder in ("bin", "tmp", "t") if folders else ():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return written.getvalue()
