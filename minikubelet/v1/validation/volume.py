"""Volumes of a pod (V34–V46)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minikubelet.errors import FieldError
from minikubelet.v1.pod import PodSpec
from minikubelet.v1.quantity import parse
from minikubelet.v1.validation.env import field_ref_errors, resource_field_errors
from minikubelet.v1.validation.field import (
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    required,
    unsupported,
)
from minikubelet.v1.validation.metadata import label_selector_errors
from minikubelet.v1.validation.names import dns_label, no_backsteps, volume_file_path
from minikubelet.v1.volume import (
    ClusterTrustBundleProjection,
    ConfigMapVolumeSource,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    ImageVolumeSource,
    KeyToPath,
    PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource,
    SecretVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)

Volumes = dict[str, Volume]

MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"
HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
VOLUME_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
TEN_MINUTES = 600


def volume_errors(spec: PodSpec) -> tuple[Volumes, list[FieldError]]:
    """The good volumes by name, and what is wrong with the others. A mount finds only the good ones."""
    good: Volumes = {}
    errors: list[FieldError] = []
    for index, volume in enumerate(spec.volumes or ()):
        found = list(_volume(f"spec.volumes[{index}]", volume, good))
        errors += found
        if not found and volume.name:
            good[volume.name] = volume
    return good, errors


def _volume(path: str, volume: Volume, others: Volumes) -> Errors:
    yield from _source(path, volume)
    if not volume.name:
        yield required(f"{path}.name")
    else:
        yield from each_invalid(f"{path}.name", volume.name, dns_label(volume.name))
    if volume.name in others:
        yield duplicate(f"{path}.name", volume.name)


def _source(path: str, volume: Volume) -> Errors:
    """Exactly one source, in the order of the API server; only the first is looked at more closely."""
    given = {name: getattr(volume, attribute) for name, attribute in SOURCE_ORDER.items()}
    present = {name: source for name, source in given.items() if source is not None}
    for position, (name, source) in enumerate(present.items()):
        if position > 0:
            yield forbidden(f"{path}.{name}", "may not specify more than 1 volume type")
        elif name in SOURCES:
            yield from SOURCES[name](f"{path}.{name}", source)


def _empty_dir(path: str, source: EmptyDirVolumeSource) -> Errors:
    if source.size_limit and parse(source.size_limit).nanos < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(path: str, source: HostPathVolumeSource) -> Errors:
    if not source.path:
        yield required(f"{path}.path")
        return
    yield from each_invalid(f"{path}.path", source.path, no_backsteps(source.path))
    if source.type is not None and source.type not in HOST_PATH_TYPES:
        yield unsupported(f"{path}.type", source.type, HOST_PATH_TYPES)


def _secret(path: str, source: SecretVolumeSource) -> Errors:
    if not source.secret_name:
        yield required(f"{path}.secretName")
    yield from _mode(f"{path}.defaultMode", source.default_mode)
    yield from _items(f"{path}.items", source.items)


def _config_map(path: str, source: ConfigMapVolumeSource) -> Errors:
    if not source.name:
        yield required(f"{path}.name")
    yield from _mode(f"{path}.defaultMode", source.default_mode)
    yield from _items(f"{path}.items", source.items)


def _items(path: str, items: list[KeyToPath] | None) -> Errors:
    for index, item in enumerate(items or ()):
        here = f"{path}[{index}]"
        if not item.key:
            yield required(f"{here}.key")
        if not item.path:
            yield required(f"{here}.path")
        yield from each_invalid(f"{here}.path", item.path, volume_file_path(item.path or ""))
        yield from _mode(f"{here}.mode", item.mode)


def _mode(path: str, mode: int | None) -> Errors:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, MODE_TEXT)


def _downward_api(path: str, source: DownwardAPIVolumeSource) -> Errors:
    yield from _mode(f"{path}.defaultMode", source.default_mode)
    for item in source.items or ():
        yield from _downward_file(path, item)


def _downward_file(path: str, item: DownwardAPIVolumeFile) -> Errors:
    """The API server names no index here."""
    if not item.path:
        yield required(f"{path}.path")
    yield from each_invalid(f"{path}.path", item.path, volume_file_path(item.path or ""))
    if item.field_ref is not None:
        yield from field_ref_errors(f"{path}.fieldRef", item.field_ref, VOLUME_FIELDS)
        if item.resource_field_ref is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid(path, "resource", detail)
    elif item.resource_field_ref is not None:
        yield from resource_field_errors(f"{path}.resourceFieldRef", item.resource_field_ref, in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(f"{path}.mode", item.mode)


def _projected(path: str, source: ProjectedVolumeSource) -> Errors:
    yield from _mode(f"{path}.defaultMode", source.default_mode)
    taken: set[str] = set()
    for index, part in enumerate(source.sources or ()):
        here = f"{path}.sources[{index}]"
        yield from _projection(here, path, part)
        for name, file in _projected_files(part):
            if file in taken:
                yield invalid(path, name or file, "conflicting duplicate paths")
            taken.add(file)
        given = [name for name in part.__struct_fields__ if getattr(part, name) is not None]
        if len(given) > 1:
            yield forbidden(here, "may not specify more than 1 volume type per source")


def _projection(path: str, volume_path: str, part: VolumeProjection) -> Errors:
    for name, source in (("secret", part.secret), ("configMap", part.config_map)):
        if source is not None:
            if not source.name:
                yield required(f"{path}.{name}.name")
            yield from _items(f"{path}.{name}.items", source.items)
    if part.downward_api is not None:
        for item in part.downward_api.items or ():
            yield from _downward_file(f"{path}.downwardAPI", item)
    if part.service_account_token is not None:
        yield from _token(f"{path}.serviceAccountToken", volume_path, part.service_account_token)
    if part.cluster_trust_bundle is not None:
        yield from _trust_bundle(f"{path}.clusterTrustBundle", part.cluster_trust_bundle)


def _projected_files(part: VolumeProjection) -> list[tuple[str | None, str]]:
    """The files a part makes, with what the API server shows as the value of a conflict."""
    files: list[tuple[str | None, str]] = []
    for source in (part.secret, part.config_map):
        if source is not None:
            files += [(source.name, item.path) for item in source.items or () if item.path]
    if part.downward_api is not None:
        files += [(None, item.path) for item in part.downward_api.items or () if item.path]
    if part.cluster_trust_bundle is not None and part.cluster_trust_bundle.path:
        files.append((None, part.cluster_trust_bundle.path))
    return files


def _token(path: str, volume_path: str, token: ServiceAccountTokenProjection) -> Errors:
    """The path of a missing `path` is the volume's, as in the API server."""
    seconds = token.expiration_seconds or 0
    if seconds < TEN_MINUTES:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 2**32:
        detail = "may not specify a duration larger than 2^32 seconds"
        yield invalid(f"{path}.expirationSeconds", seconds, detail)
    if not token.path:
        yield required(f"{volume_path}.path")
    else:
        yield from each_invalid(f"{volume_path}.path", token.path, volume_file_path(token.path))


def _trust_bundle(path: str, bundle: ClusterTrustBundleProjection) -> Errors:
    if bundle.name is not None and bundle.signer_name is not None:
        yield invalid(path, bundle, "only one of name and signerName may be used")
    elif bundle.name is None and bundle.signer_name is None:
        yield required(path, "either name or signerName must be specified")
    yield from label_selector_errors(f"{path}.labelSelector", bundle.label_selector)
    if not bundle.path:
        yield required(f"{path}.path")
    yield from each_invalid(f"{path}.path", bundle.path, volume_file_path(bundle.path or ""))


def _claim(path: str, source: PersistentVolumeClaimVolumeSource) -> Errors:
    if not source.claim_name:
        yield required(f"{path}.claimName")


def _image(path: str, source: ImageVolumeSource) -> Errors:
    if not source.reference:
        yield required(f"{path}.reference")


SOURCES: dict[str, Callable[[str, Any], Errors]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward_api,
    "configMap": _config_map,
    "projected": _projected,
    "image": _image,
}

# JSON name → attribute, in the order in which the API server counts sources.
SOURCE_ORDER = {
    "emptyDir": "empty_dir",
    "hostPath": "host_path",
    "gitRepo": "git_repo",
    "gcePersistentDisk": "gce_persistent_disk",
    "awsElasticBlockStore": "aws_elastic_block_store",
    "secret": "secret",
    "nfs": "nfs",
    "iscsi": "iscsi",
    "glusterfs": "glusterfs",
    "flocker": "flocker",
    "persistentVolumeClaim": "persistent_volume_claim",
    "rbd": "rbd",
    "cinder": "cinder",
    "cephfs": "cephfs",
    "quobyte": "quobyte",
    "downwardAPI": "downward_api",
    "fc": "fc",
    "flexVolume": "flex_volume",
    "configMap": "config_map",
    "azureFile": "azure_file",
    "vsphereVolume": "vsphere_volume",
    "photonPersistentDisk": "photon_persistent_disk",
    "portworxVolume": "portworx_volume",
    "azureDisk": "azure_disk",
    "storageos": "storageos",
    "projected": "projected",
    "scaleIO": "scale_io",
    "csi": "csi",
    "ephemeral": "ephemeral",
    "image": "image",
}
