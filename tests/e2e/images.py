"""Images made on the spot: busybox, and whatever a test puts beside it. As `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from .conftest import Agent

BUSYBOX = Path("/bin/busybox")
APPLETS = ("sh", "cat", "echo", "grep", "id", "kill", "ls", "readlink", "sleep", "stat", "touch")


def directory(name: str) -> tarfile.TarInfo:
    return _entry(name, tarfile.DIRTYPE)


def link(name: str, target: str) -> tarfile.TarInfo:
    made = _entry(name, tarfile.SYMTYPE)
    made.linkname = target
    return made


def load_image(agent: Agent, name: str, *entries: tarfile.TarInfo | tuple[str, bytes], **config: Any) -> None:
    """One layer with busybox and the entries; a pair is a file and its text. `config`: User, Env…"""
    layer = _tar([directory("bin"), ("bin/busybox", BUSYBOX.read_bytes()), *_applets(), *entries])
    blob = json.dumps({"config": config, "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}).encode()
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    archive = _tar(
        [("layer.tar", layer), ("config.json", blob), ("manifest.json", json.dumps(manifest).encode())]
    )
    path = agent.root / "image.tar"
    path.write_bytes(archive)
    agent.run("image", "load", str(path))
    path.unlink()


def _applets() -> list[tarfile.TarInfo]:
    return [link(f"bin/{name}", "busybox") for name in APPLETS]


def _entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, 0o755
    return made


def _tar(entries: list[Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for item in entries:
            info, data = (_entry(item[0]), item[1]) if isinstance(item, tuple) else (item, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
