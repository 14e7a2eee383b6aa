"""Volumes that come from a storage system outside the node.

This node mounts none of them; they are data, so that a manifest is understood and the refusal can name its
reason.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Object
from minikubelet.v1.meta import LocalObjectReference


class AWSElasticBlockStoreVolumeSource(Object, kw_only=True):
    """A disk of AWS."""

    fs_type: str | None = None
    partition: Int32 | None = None
    read_only: bool | None = None
    volume_id: str | None = None


class AzureDiskVolumeSource(Object, kw_only=True):
    """A data disk of Azure."""

    caching_mode: str | None = None
    disk_name: str | None = None
    disk_uri: str | None = None
    fs_type: str | None = None
    kind: str | None = None
    read_only: bool | None = None


class AzureFileVolumeSource(Object, kw_only=True):
    """A file share of Azure."""

    read_only: bool | None = None
    secret_name: str | None = None
    share_name: str | None = None


class CephFSVolumeSource(Object, kw_only=True):
    """A CephFS mount."""

    path: str | None = None
    monitors: list[str] | None = None
    read_only: bool | None = None
    secret_file: str | None = None
    secret_ref: LocalObjectReference | None = None
    user: str | None = None


class CinderVolumeSource(Object, kw_only=True):
    """A disk of OpenStack Cinder."""

    fs_type: str | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None
    volume_id: str | None = None


class CSIVolumeSource(Object, kw_only=True):
    """Storage handled by a CSI driver, inline in the pod."""

    driver: str | None = None
    fs_type: str | None = None
    node_publish_secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None
    volume_attributes: dict[str, str] | None = None


class FCVolumeSource(Object, kw_only=True):
    """A Fibre Channel disk."""

    fs_type: str | None = None
    lun: Int32 | None = None
    read_only: bool | None = None
    target_wwns: list[str] | None = None
    wwids: list[str] | None = None


class FlexVolumeSource(Object, kw_only=True):
    """A volume handled by an executable driver on the node."""

    driver: str | None = None
    fs_type: str | None = None
    options: dict[str, str] | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None


class FlockerVolumeSource(Object, kw_only=True):
    """A dataset of Flocker."""

    dataset_name: str | None = None
    dataset_uuid: str | None = None


class GCEPersistentDiskVolumeSource(Object, kw_only=True):
    """A disk of Google Compute Engine."""

    fs_type: str | None = None
    partition: Int32 | None = None
    pd_name: str | None = None
    read_only: bool | None = None


class GitRepoVolumeSource(Object, kw_only=True):
    """A clone of a git repository (deprecated, and off in current clusters)."""

    directory: str | None = None
    repository: str | None = None
    revision: str | None = None


class GlusterfsVolumeSource(Object, kw_only=True):
    """A GlusterFS mount."""

    path: str | None = None
    endpoints: str | None = None
    read_only: bool | None = None


class ISCSIVolumeSource(Object, kw_only=True):
    """An iSCSI disk."""

    chap_auth_discovery: bool | None = None
    chap_auth_session: bool | None = None
    fs_type: str | None = None
    initiator_name: str | None = None
    iqn: str | None = None
    iscsi_interface: str | None = None
    lun: Int32 | None = None
    portals: list[str] | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None
    target_portal: str | None = None


class NFSVolumeSource(Object, kw_only=True):
    """An NFS mount."""

    path: str | None = None
    read_only: bool | None = None
    server: str | None = None


class PhotonPersistentDiskVolumeSource(Object, kw_only=True):
    """A disk of Photon Controller."""

    fs_type: str | None = None
    pd_id: str | None = None


class PortworxVolumeSource(Object, kw_only=True):
    """A Portworx volume."""

    fs_type: str | None = None
    read_only: bool | None = None
    volume_id: str | None = None


class QuobyteVolumeSource(Object, kw_only=True):
    """A Quobyte mount."""

    group: str | None = None
    read_only: bool | None = None
    registry: str | None = None
    tenant: str | None = None
    user: str | None = None
    volume: str | None = None


class RBDVolumeSource(Object, kw_only=True):
    """A Rados Block Device."""

    fs_type: str | None = None
    image: str | None = None
    keyring: str | None = None
    monitors: list[str] | None = None
    pool: str | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None
    user: str | None = None


class ScaleIOVolumeSource(Object, kw_only=True):
    """A ScaleIO volume."""

    fs_type: str | None = None
    gateway: str | None = None
    protection_domain: str | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None
    ssl_enabled: bool | None = None
    storage_mode: str | None = None
    storage_pool: str | None = None
    system: str | None = None
    volume_name: str | None = None


class StorageOSVolumeSource(Object, kw_only=True):
    """A StorageOS volume."""

    fs_type: str | None = None
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None
    volume_name: str | None = None
    volume_namespace: str | None = None


class VsphereVirtualDiskVolumeSource(Object, kw_only=True):
    """A virtual disk of vSphere."""

    fs_type: str | None = None
    storage_policy_id: str | None = None
    storage_policy_name: str | None = None
    volume_path: str | None = None
