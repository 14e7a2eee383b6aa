"""hostPath: a file or directory of the node, used where it is, checked when the pod starts (10.2)."""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.linux import syscalls
from minikubelet.linux.mounts import FILE_TYPES
from minikubelet.runtime.volumes.plugin import Context
from minikubelet.v1 import HostPathVolumeSource, Volume

# Types that must be there, and what they must be: keys of FILE_TYPES.
_CHECKS = {
    "Directory": "a directory",
    "DirectoryOrCreate": "a directory",
    "File": "a file",
    "FileOrCreate": "a file",
    "Socket": "a socket file",
    "CharDevice": "a character device",
    "BlockDevice": "a block device",
}


class HostPath:
    """The plugin."""

    refreshes = False
    read_only = False

    def set_up(self, context: Context, volume: Volume) -> None:
        check(volume.host_path or HostPathVolumeSource())

    def source(self, context: Context, volume: Volume) -> Path:
        return Path((volume.host_path and volume.host_path.path) or "")


def file_type(volume: Volume) -> str:
    """What the source of the mount must still be when it is mounted, "" for anything.

    Whoever can write to the directory may have swapped the path since it was checked, so the container's
    process looks again, at the very descriptor it mounts (`linux.mounts.Bind`).
    """
    return _CHECKS.get((volume.host_path and volume.host_path.type) or "", "")


def check(source: HostPathVolumeSource) -> None:
    """Raises OSError in the kubelet's words when the path is not what the manifest says it is."""
    path, kind = source.path or "", source.type or ""
    syscalls.path_bytes(path)
    if not os.path.exists(path):
        _create(Path(path), kind)
    if kind:
        words = _CHECKS[kind]
        if not (os.path.exists(path) and FILE_TYPES[words](os.stat(path).st_mode)):
            raise OSError(f"hostPath type check failed: {path} is not {words}")


def _create(path: Path, kind: str) -> None:
    """Without a type any missing directory is made, with …OrCreate only the last part of the path."""
    if kind == "":
        for missing in [parent for parent in (path, *path.parents) if not parent.exists()][::-1]:
            _make_directory(missing, 0o755)
    elif kind == "DirectoryOrCreate":
        _make_directory(path, 0o755)
    elif kind == "FileOrCreate":
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        path.chmod(0o644)


def _make_directory(path: Path, mode: int) -> None:
    """With exactly this mode, whatever the umask."""
    path.mkdir(mode)
    path.chmod(mode)
