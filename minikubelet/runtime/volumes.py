"""Volumes: made before the first container of a pod, removed after the last (kubelet-behaviour 10).

    <pod directory>/volumes/kubernetes.io~empty-dir/<volume>    emptyDir: a directory, or a tmpfs on it
    hostPath                                                    used where it is

A memory emptyDir is a mount of the node below the pod's directory: all containers, and whatever agent comes
later, find it by its path, and the pod's directory cannot be removed while it is mounted, so it cannot be
forgotten. `tear_down` detaches it first. Everything here blocks for a moment: call it in a worker thread.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from minikubelet.errors import FailedMount
from minikubelet.linux import syscalls, trees
from minikubelet.runtime.removal import remove_tree
from minikubelet.shim.protocol import MountSpec
from minikubelet.v1 import Container, EmptyDirVolumeSource, HostPathVolumeSource, Pod, PodSpec, Volume
from minikubelet.v1.quantity import Quantity

EMPTY_DIR = "kubernetes.io~empty-dir"
EMPTY_DIR_MODE = 0o777
MEMORY = "Memory"

# hostPath types that must be there, how they are recognised, and what is said if they are not (10.2).
_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def set_up(pod: Pod, directory: Path, memory: int) -> None:
    """Make every volume of the pod; those that are there stay as they are. Raises FailedMount.

    `directory` is the pod's, `memory` what the node can give: the most a memory emptyDir may hold.
    """
    for volume in (pod.spec or PodSpec()).volumes or ():
        try:
            if volume.host_path is not None:
                check_host_path(volume.host_path)
            else:
                source = volume.empty_dir or EmptyDirVolumeSource()
                _make_empty_dir(source, _empty_dir(directory, volume), _tmpfs_size(pod, source, memory))
        except OSError as error:
            cause = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            raise FailedMount(f'MountVolume.SetUp failed for volume "{volume.name}" : {cause}') from error


def mounts(pod: Pod, container: Container, directory: Path) -> list[MountSpec]:
    """The container's volumeMounts, parents before what is mounted below them."""
    volumes = {volume.name: volume for volume in (pod.spec or PodSpec()).volumes or ()}
    found = []
    for mount in container.volume_mounts or ():
        source = _source(volumes[mount.name], directory)
        options = ["rbind", "private", "ro" if mount.read_only else "rw"]
        found.append(MountSpec("bind", mount.mount_path or "", source, options))
    return sorted(found, key=lambda mount: mount.destination.rstrip("/").count("/"))


def tear_down(directory: Path) -> None:
    """Remove all volumes of the pod whose directory this is; all of it may be gone already.

    What a container has left in a volume is a stranger's: links are removed and never followed, mounts that
    it was given the right to make are not entered.
    """
    for volume in (directory / "volumes" / EMPTY_DIR).glob("*"):
        if os.path.ismount(volume):
            syscalls.umount2(str(volume), syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    remove_tree(directory / "volumes")


def check_host_path(source: HostPathVolumeSource) -> None:
    """Raises OSError in the kubelet's words when the path is not what the manifest says it is."""
    path, kind = source.path or "", source.type or ""
    if not os.path.exists(path):
        _create_host_path(Path(path), kind)
    if kind:
        is_kind, words = _CHECKS[kind]
        if not (os.path.exists(path) and is_kind(os.stat(path).st_mode)):
            raise OSError(f"hostPath type check failed: {path} is not {words}")


def _create_host_path(path: Path, kind: str) -> None:
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


def _make_empty_dir(source: EmptyDirVolumeSource, path: Path, size: int) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if not path.exists():
        path.mkdir()
        path.chmod(EMPTY_DIR_MODE)
    if source.medium == MEMORY and not os.path.ismount(path):
        target = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        trees.attach(_new_tmpfs(size), target)


def _new_tmpfs(size: int) -> int:
    """Never swapped where the kernel can promise that (Linux 6.4)."""
    context = syscalls.fsopen("tmpfs")
    try:
        for key, value in (("source", "tmpfs"), ("size", str(size)), ("mode", f"{EMPTY_DIR_MODE:o}")):
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        try:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "noswap")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, 0)
    finally:
        os.close(context)


def _tmpfs_size(pod: Pod, source: EmptyDirVolumeSource, memory: int) -> int:
    """The least of the node's memory, the containers' limits if all have one, and sizeLimit."""
    sizes = [memory]
    limits = [_memory_limit(container) for container in (pod.spec or PodSpec()).containers or ()]
    if limits and all(limits):
        sizes.append(sum(limits))
    if source.size_limit:
        sizes.append(Quantity.parse(source.size_limit).value())
    return max(min(size for size in sizes if size > 0), 4096)


def _memory_limit(container: Container) -> int:
    limits = container.resources.limits if container.resources else None
    return Quantity.parse((limits or {}).get("memory", "0")).value()


def _source(volume: Volume, directory: Path) -> str:
    if volume.host_path is not None:
        return volume.host_path.path or ""
    return str(_empty_dir(directory, volume))


def _empty_dir(directory: Path, volume: Volume) -> Path:
    return directory / "volumes" / EMPTY_DIR / (volume.name or "")
