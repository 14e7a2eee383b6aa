"""The volumeMounts of a container as mounts (kubelet-behaviour 10.6, 10.7)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from minikubelet.errors import CreateContainerError
from minikubelet.runtime.volumes import host_path, sub_path
from minikubelet.runtime.volumes.mountinfo import peers_of
from minikubelet.shim.protocol import MountSpec
from minikubelet.v1 import Container, Volume, VolumeMount

BIDIRECTIONAL = "Bidirectional"
HOST_TO_CONTAINER = "HostToContainer"
_PROPAGATION = {BIDIRECTIONAL: "rshared", HOST_TO_CONTAINER: "rslave"}


def mount_spec(
    container: Container,
    mount: VolumeMount,
    volume: Volume,
    source: Path,
    environment: Mapping[str, str],
    *,
    read_only: bool,
) -> MountSpec:
    """One of them. `read_only`: the volume cannot be written to, whatever the mount says.

    Raises CreateContainerConfigError for a subPath, CreateContainerError for a propagation that the node's
    mounts do not give.
    """
    _check_propagation(mount, source)
    path = sub_path.sub_path(mount, environment)
    if path:
        sub_path.ensure(source, path, mount, container)
    options = ["rbind", _PROPAGATION.get(mount.mount_propagation or "", "private"), _access(mount, read_only)]
    return MountSpec(
        "bind",
        mount.mount_path or "",
        str(source),
        options,
        sub_path=path,
        file_type=host_path.file_type(volume),
    )


def check_nesting(container: Container) -> None:
    """What is mounted below a Bidirectional volume would be mounted on the node, too, and stay there when the
    container is gone: again for each restart. Raises CreateContainerError.
    """
    mounts = container.volume_mounts or ()
    for outer in mounts:
        above = _place(outer)
        for inner in mounts if outer.mount_propagation == BIDIRECTIONAL else ():
            if inner is not outer and above in _place(inner).parents:
                raise CreateContainerError(
                    f'volumeMount "{inner.name}" lies below "{outer.name}", whose mounts propagate to the '
                    "node: it would stay there"
                )


def _place(mount: VolumeMount) -> PurePosixPath:
    """However it is written."""
    return PurePosixPath("/", (mount.mount_path or "").lstrip("/"))


def _access(mount: VolumeMount, read_only: bool) -> str:
    """Read-only on top, or with all that is mounted below: every kernel that runs this program can do that,
    so IfPossible is Enabled.
    """
    if mount.recursive_read_only in ("Enabled", "IfPossible"):
        return "rro"
    return "ro" if mount.read_only or read_only else "rw"


def _check_propagation(mount: VolumeMount, source: Path) -> None:
    """A mount that is private on the node cannot propagate; containerd's words."""
    if mount.mount_propagation not in _PROPAGATION:
        return
    peers = peers_of(source)
    lacking = ""
    if mount.mount_propagation == BIDIRECTIONAL and not peers.shared:
        lacking = "shared mount"
    elif not (peers.shared or peers.slave):
        lacking = "shared or slave mount"
    if lacking:
        raise CreateContainerError(
            f'failed to generate spec: path "{source}" is mounted on "{peers.mount_point}" '
            f"but it is not a {lacking}"
        )
