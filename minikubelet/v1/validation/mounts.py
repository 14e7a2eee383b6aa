"""Volume mounts and block devices of a container (V47–V53)."""

from __future__ import annotations

from minikubelet.v1.container import Container, EphemeralContainer, VolumeDevice, VolumeMount
from minikubelet.v1.validation.field import (
    Errors,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    required,
    unsupported,
)
from minikubelet.v1.validation.names import no_backsteps, relative_path
from minikubelet.v1.validation.volume import Volumes

PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def mount_errors(path: str, container: Container | EphemeralContainer, volumes: Volumes) -> Errors:
    """`volumeMounts`. Some of these errors carry no index in the API server, and so none here."""
    devices = {device.name: device.device_path for device in container.volume_devices or ()}
    taken: set[str] = set()
    for index, mount in enumerate(container.volume_mounts or ()):
        here, target = f"{path}[{index}]", mount.mount_path or ""
        yield from _volume_name(f"{here}.name", mount.name, volumes)
        if not target:
            yield required(f"{here}.mountPath")
        if target in taken:
            yield invalid(f"{here}.mountPath", target, "must be unique")
        taken.add(target)
        if mount.name in devices:
            yield invalid(f"{here}.name", mount.name, "must not already exist in volumeDevices")
        if target in devices.values():
            yield invalid(f"{here}.mountPath", target, "must not already exist as a path in volumeDevices")
        yield from _sub_path(path, here, mount)
        yield from _propagation(f"{path}.mountPropagation", mount, container)
        yield from _recursive_read_only(f"{path}.recursiveReadOnly", mount)


def _volume_name(path: str, name: str | None, volumes: Volumes) -> Errors:
    if not name:
        yield required(path)
    if name not in volumes:
        yield not_found(path, name or "")


def _sub_path(path: str, here: str, mount: VolumeMount) -> Errors:
    if mount.sub_path:
        yield from each_invalid(f"{path}.subPath", mount.sub_path, relative_path(mount.sub_path))
    if mount.sub_path_expr:
        if mount.sub_path:
            detail = "subPathExpr and subPath are mutually exclusive"
            yield invalid(f"{here}.subPathExpr", mount.sub_path_expr, detail)
        yield from each_invalid(
            f"{path}.subPathExpr", mount.sub_path_expr, relative_path(mount.sub_path_expr)
        )


def _propagation(path: str, mount: VolumeMount, container: Container | EphemeralContainer) -> Errors:
    wanted = mount.mount_propagation
    if wanted is None:
        return
    if wanted not in PROPAGATIONS:
        yield unsupported(path, wanted, PROPAGATIONS)
    privileged = container.security_context is not None and container.security_context.privileged
    if wanted == "Bidirectional" and not privileged:
        yield forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _recursive_read_only(path: str, mount: VolumeMount) -> Errors:
    wanted = mount.recursive_read_only
    if wanted is None:
        return
    if wanted not in RECURSIVE:
        yield unsupported(path, wanted, RECURSIVE)
    elif wanted != "Disabled":
        if not mount.read_only:
            yield forbidden(path, "may only be specified when readOnly is true")
        if mount.mount_propagation not in (None, "None"):
            yield forbidden(path, "may only be specified when mountPropagation is None or not specified")


def device_errors(path: str, container: Container | EphemeralContainer, volumes: Volumes) -> Errors:
    """`volumeDevices`."""
    mounts = {mount.name: mount.mount_path for mount in container.volume_mounts or ()}
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(container.volume_devices or ()):
        here, name, target = f"{path}[{index}]", device.name or "", device.device_path or ""
        yield from _device_name(f"{here}.name", device, volumes, names)
        if not target:
            yield required(f"{here}.devicePath")
        if target in paths:
            yield invalid(f"{here}.devicePath", target, "must be unique")
        if no_backsteps(target):
            yield invalid(f"{here}.devicePath", target, "can not contain backsteps ('..')")
        if name in mounts:
            yield invalid(f"{here}.name", name, "must not already exist in volumeMounts")
        if target in mounts.values():
            yield invalid(f"{here}.devicePath", target, "must not already exist as a path in volumeMounts")
        names.add(name)
        paths.add(target)


def _device_name(path: str, device: VolumeDevice, volumes: Volumes, names: set[str]) -> Errors:
    name = device.name or ""
    if not name:
        yield required(path)
    elif name in names:
        yield invalid(path, name, "must be unique")
    volume = volumes.get(name)
    if volume is None:
        yield not_found(path, name)
    elif volume.persistent_volume_claim is None and volume.ephemeral is None:
        detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        yield invalid(path, name, detail)
