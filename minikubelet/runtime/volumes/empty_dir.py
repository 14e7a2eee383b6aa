"""emptyDir: a fresh directory that lives as long as the pod, or a tmpfs on it (10.2)."""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.runtime.volumes import ownership, tmpfs
from minikubelet.runtime.volumes.plugin import Context, make_parent
from minikubelet.v1 import Container, EmptyDirVolumeSource, Pod, PodSpec, Volume
from minikubelet.v1.quantity import Quantity

NAME = "empty-dir"
MODE = 0o777
MEMORY = "Memory"


class EmptyDir:
    """The plugin."""

    refreshes = False
    read_only = False

    def set_up(self, context: Context, volume: Volume) -> None:
        source = volume.empty_dir or EmptyDirVolumeSource()
        path = self.source(context, volume)
        make_parent(path)
        if not path.exists():
            path.mkdir()
            path.chmod(MODE)
        if source.medium == MEMORY:
            tmpfs.mount(path, tmpfs_size(context.pod, source, context.memory), MODE)
        ownership.apply(context.pod, path, once=True)

    def source(self, context: Context, volume: Volume) -> Path:
        return context.volume_directory(NAME, volume)


def on_disk(directory: Path) -> list[Path]:
    """The emptyDirs of the pod whose directory this is, but those in memory, which are mounts."""
    found = (directory / "volumes" / f"kubernetes.io~{NAME}").glob("*")
    return [volume for volume in found if not os.path.ismount(volume)]


def tmpfs_size(pod: Pod, source: EmptyDirVolumeSource, memory: int) -> int:
    """The least of the node's memory, the containers' limits if all have one, and sizeLimit; bytes."""
    sizes = [memory]
    limits = [_memory_limit(container) for container in (pod.spec or PodSpec()).containers or ()]
    if limits and all(limits):
        sizes.append(sum(limits))
    if source.size_limit:
        sizes.append(Quantity.parse(source.size_limit).value())
    return min((size for size in sizes if size > 0), default=tmpfs.LEAST_SIZE)


def _memory_limit(container: Container) -> int:
    limits = container.resources.limits if container.resources else None
    return Quantity.parse((limits or {}).get("memory", "0")).value()
