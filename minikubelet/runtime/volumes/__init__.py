"""Volumes: made before the first container of a pod, removed after the last (kubelet-behaviour 10).

    <pod directory>/volumes/kubernetes.io~<plugin>/<volume>    what a plugin has made for one volume

The story: `set_up` before the sandbox, `mounts` at each start of a container, `refresh` now and then for what
follows objects that change, `tear_down` when the pod is finished. Each kind of source has its plugin, found
in `PLUGINS` by the name of the source's field; a volume without a source is an emptyDir.

A tmpfs of a volume is a mount of the node below the pod's directory: all containers, and whatever agent comes
later, find it by its path, and the pod's directory cannot be removed while it is mounted, so it cannot be
forgotten. `tear_down` needs the directory alone. Everything here blocks for a moment: call it in a worker
thread.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

from minikubelet.errors import FailedMount
from minikubelet.linux import syscalls
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.volumes.api_data import ApiData, objects_of, wants_token
from minikubelet.runtime.volumes.claim import Claim, claims_of
from minikubelet.runtime.volumes.empty_dir import EmptyDir
from minikubelet.runtime.volumes.host_path import HostPath
from minikubelet.runtime.volumes.image import Image, images_of
from minikubelet.runtime.volumes.mountinfo import mount_points_below
from minikubelet.runtime.volumes.plugin import Context, Plugin, Token
from minikubelet.runtime.volumes.volume_mounts import check_nesting, mount_spec
from minikubelet.shim.protocol import MountSpec
from minikubelet.v1 import Container, Pod, PodSpec, Volume

__all__ = [
    "PLUGINS",
    "Context",
    "Plugin",
    "Token",
    "claims_of",
    "images_of",
    "mounts",
    "objects_of",
    "refresh",
    "refreshes",
    "set_up",
    "tear_down",
    "wants_token",
]

# By the field of `v1.Volume` that is set.
PLUGINS: dict[str, Plugin] = {
    "empty_dir": EmptyDir(),
    "host_path": HostPath(),
    "config_map": ApiData("configmap", in_memory=False),
    "secret": ApiData("secret", in_memory=True),
    "downward_api": ApiData("downward-api", in_memory=True),
    "projected": ApiData("projected", in_memory=True),
    "persistent_volume_claim": Claim(),
    "image": Image(),
}


def set_up(context: Context) -> None:
    """Make every volume of the pod; those that are there stay as they are. Raises FailedMount, when all were
    tried.
    """
    failures = _failures(context, _volumes(context))
    if failures:
        raise FailedMount(*(message for failure in failures for message in failure.messages))


def refreshes(pod: Pod) -> bool:
    """Has the pod volumes that `refresh` would look at?"""
    return any(_plugin(volume).refreshes for volume in (pod.spec or PodSpec()).volumes or ())


def refresh(context: Context) -> list[FailedMount]:
    """Bring those volumes up to date that show objects which may have changed; why some could not be. Those
    keep what they have.
    """
    return _failures(context, [volume for volume in _volumes(context) if _plugin(volume).refreshes])


def mounts(context: Context, container: Container, environment: Mapping[str, str]) -> list[MountSpec]:
    """The container's volumeMounts, parents before what is mounted below them; `environment` is for
    subPathExpr. Raises CreateContainerConfigError, CreateContainerError.
    """
    volumes = {volume.name: volume for volume in _volumes(context)}
    check_nesting(container)
    found = []
    for mount in container.volume_mounts or ():
        volume = volumes[mount.name]
        plugin = _plugin(volume)
        source = plugin.source(context, volume)
        claim = volume.persistent_volume_claim
        read_only = plugin.read_only or bool(claim and claim.read_only)
        found.append(mount_spec(container, mount, volume, source, environment, read_only=read_only))
    return sorted(found, key=lambda mount: mount.destination.rstrip("/").count("/"))


def tear_down(directory: Path) -> None:
    """Remove all volumes of the pod whose directory this is; all of it may be gone already.

    What a container has left in a volume is a stranger's: links are removed and never followed, mounts that
    it was given the right to make are not entered.
    """
    volumes = directory / "volumes"
    if not volumes.exists():
        return
    for point in reversed(mount_points_below(volumes)):
        _unmount(point)
    remove_tree(volumes)


def _unmount(point: bytes) -> None:
    try:
        syscalls.umount2(point, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        # The end of one of its peers was the end of this one, or somebody else was quicker.
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _volumes(context: Context) -> list[Volume]:
    return (context.pod.spec or PodSpec()).volumes or []


def _plugin(volume: Volume) -> Plugin:
    for field, plugin in PLUGINS.items():
        if getattr(volume, field) is not None:
            return plugin
    return PLUGINS["empty_dir"]


def _failures(context: Context, volumes: Iterable[Volume]) -> list[FailedMount]:
    """Set up each of these; why some could not be."""
    failures = []
    for volume in volumes:
        try:
            _set_up(context, volume, _plugin(volume))
        except FailedMount as failure:
            failures.append(failure)
    return failures


def _set_up(context: Context, volume: Volume, plugin: Plugin) -> None:
    try:
        plugin.set_up(context, volume)
    except OSError as error:
        cause = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        raise FailedMount(f'MountVolume.SetUp failed for volume "{volume.name}" : {cause}') from error
