"""image: the content of an image as a read-only directory (10.2).

    <pod directory>/volumes/kubernetes.io~image/<volume>    a mount of the layers, ro and noexec

The image was pulled before, by whoever made the context. `tear_down` unmounts it like any other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from minikubelet.linux import syscalls, trees
from minikubelet.runtime.volumes.mountinfo import mount_points_below
from minikubelet.runtime.volumes.plugin import Context, make_parent
from minikubelet.v1 import ImageVolumeSource, PodSpec, Volume

NAME = "image"
_ATTRIBUTES = (
    syscalls.MOUNT_ATTR_RDONLY
    | syscalls.MOUNT_ATTR_NOSUID
    | syscalls.MOUNT_ATTR_NODEV
    | syscalls.MOUNT_ATTR_NOEXEC
)


class Image:
    """The plugin."""

    refreshes = False
    read_only = True

    def set_up(self, context: Context, volume: Volume) -> None:
        layers = context.layers.get(reference(volume))
        if not layers:
            raise OSError(f'image "{reference(volume)}" is not on this node, or is the node itself')
        path = self.source(context, volume)
        make_parent(path)
        path.mkdir(exist_ok=True)
        if os.fsencode(path.resolve()) not in mount_points_below(path.parent):
            _mount(layers, path)

    def source(self, context: Context, volume: Volume) -> Path:
        return context.volume_directory(NAME, volume)


def reference(volume: Volume) -> str:
    """Of the image, "" if the volume is none."""
    return (volume.image or ImageVolumeSource()).reference or ""


def images_of(spec: PodSpec | None) -> dict[str, str]:
    """The images that a pod's volumes show: reference → pullPolicy."""
    volumes = (spec and spec.volumes) or ()
    return {
        reference(volume): volume.image.pull_policy or "IfNotPresent"
        for volume in volumes
        if volume.image is not None
    }


def _mount(layers: Sequence[str], path: Path) -> None:
    tree = trees.clone_tree(layers[0]) if len(layers) == 1 else _overlay(layers)
    syscalls.mount_setattr(tree, attr_set=_ATTRIBUTES)
    trees.attach(tree, os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))


def _overlay(layers: Sequence[str]) -> int:
    """An overlay is made from a directory of its own (`trees.new_overlay`), which is the whole process's: so
    it is made in a thread that has left the process in this respect, and ends with it.
    """
    result: list[int] = []
    errors: list[OSError] = []

    def make() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_FS)
            result.append(trees.new_overlay(layers))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=make, name="overlay")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]
