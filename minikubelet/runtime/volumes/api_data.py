"""configMap, secret, downwardAPI, projected: volumes whose files are made of API objects, and follow them
(10.2 to 10.5).

What is to be in them says `payload`, how it gets there `atomic_writer`. All but a configMap lie on a tmpfs:
a Secret is written to no disk, wherever the pod's directory is. The tmpfs goes with the pod.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from minikubelet.linux import syscalls
from minikubelet.runtime.volumes import atomic_writer, ownership, tmpfs
from minikubelet.runtime.volumes.payload import Sources, payload, references
from minikubelet.runtime.volumes.plugin import Context, make_parent
from minikubelet.v1 import Pod, PodSpec, Volume

DISK_MODE, MEMORY_MODE = 0o777, 0o1777  # as the emptyDir that the kubelet wraps around the content

# Twice an object (old and new lie side by side for a moment) of the API's 1 MiB, and as much again for files
# that fill no page. The kubelet sets no bound, and a Secret of many tiny values takes what it takes.
BYTES_PER_OBJECT = 8 << 20


class ApiData:
    """The plugin, for each of the four."""

    refreshes = True
    read_only = True

    def __init__(self, name: str, *, in_memory: bool) -> None:
        self._name = name
        self._in_memory = in_memory

    def set_up(self, context: Context, volume: Volume) -> None:
        path = self.source(context, volume)
        present = partial(atomic_writer.read, path)
        sources = Sources(context.pod, context.facts, context.find, context.token, present)
        files = payload(volume, sources)
        make_parent(path)
        if not path.exists():
            path.mkdir()
            path.chmod(DISK_MODE)
        if self._in_memory:
            tmpfs.mount(path, BYTES_PER_OBJECT * max(1, len(references(volume))), MEMORY_MODE)
            _check_in_memory(path)
        ownership.apply(context.pod, path, read_only=True, once=True)
        try:
            atomic_writer.write(path, files, self._own(context.pod))
        except ValueError as error:
            raise OSError(str(error)) from error

    def _own(self, pod: Pod) -> Callable[[int], None]:
        """fsGroup is set on new content before anybody sees it (10.8)."""
        group = ownership.fs_group(pod)
        if group is None:
            return lambda directory: None
        return lambda directory: ownership.give(directory, group, read_only=True)

    def source(self, context: Context, volume: Volume) -> Path:
        return context.volume_directory(self._name, volume)


def objects_of(spec: PodSpec | None) -> set[tuple[str, str]]:
    """(resource, name) of all objects that a pod's volumes are made of."""
    return {reference for volume in (spec and spec.volumes) or () for reference in references(volume)}


def wants_token(spec: PodSpec | None) -> bool:
    """Is a token of the pod's ServiceAccount in one of its volumes?"""
    return any(
        part.service_account_token is not None
        for volume in (spec and spec.volumes) or ()
        for part in (volume.projected and volume.projected.sources) or ()
    )


def _check_in_memory(path: Path) -> None:
    """Whatever went wrong with the mount: rather no volume than a Secret on a disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if syscalls.filesystem_type(fd) != syscalls.TMPFS_MAGIC:
            raise OSError(f"{path} is not in memory")
    finally:
        os.close(fd)
