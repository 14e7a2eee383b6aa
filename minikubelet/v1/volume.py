"""Volumes the node itself can provide: emptyDir, hostPath, ConfigMap, Secret, downward API, projected, image,
claims.

Volumes of storage systems are in `volume_storage`. All of them are known as data, so that a manifest with any
of them can be read; which ones this node can mount is said by `v1.support`.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Int64, Object, Quantity
from minikubelet.v1.claim import PersistentVolumeClaimSpec
from minikubelet.v1.env import ObjectFieldSelector, ResourceFieldSelector
from minikubelet.v1.meta import LabelSelector, ObjectMeta
from minikubelet.v1.volume_storage import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    AzureFileVolumeSource,
    CephFSVolumeSource,
    CinderVolumeSource,
    CSIVolumeSource,
    FCVolumeSource,
    FlexVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource,
    GlusterfsVolumeSource,
    ISCSIVolumeSource,
    NFSVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    RBDVolumeSource,
    ScaleIOVolumeSource,
    StorageOSVolumeSource,
    VsphereVirtualDiskVolumeSource,
)


class KeyToPath(Object, kw_only=True):
    """One key of a ConfigMap or Secret and the file it becomes."""

    key: str | None = None
    path: str | None = None
    mode: Int32 | None = None


class EmptyDirVolumeSource(Object, kw_only=True):
    """A fresh directory that lives as long as the pod; medium Memory makes it a tmpfs."""

    medium: str | None = None
    size_limit: Quantity | None = None


class HostPathVolumeSource(Object, kw_only=True):
    """A file or directory of the node itself."""

    type: str | None = None
    path: str | None = None


class ConfigMapVolumeSource(Object, kw_only=True):
    """The keys of a ConfigMap as files."""

    name: str | None = None
    default_mode: Int32 | None = None
    items: list[KeyToPath] | None = None
    optional: bool | None = None


class SecretVolumeSource(Object, kw_only=True):
    """The keys of a Secret as files, on tmpfs."""

    default_mode: Int32 | None = None
    items: list[KeyToPath] | None = None
    optional: bool | None = None
    secret_name: str | None = None


class DownwardAPIVolumeFile(Object, kw_only=True):
    """A file that holds a field or a resource value of the pod."""

    path: str | None = None
    field_ref: ObjectFieldSelector | None = None
    mode: Int32 | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class DownwardAPIVolumeSource(Object, kw_only=True):
    """Facts about the pod as files."""

    default_mode: Int32 | None = None
    items: list[DownwardAPIVolumeFile] | None = None


class ConfigMapProjection(Object, kw_only=True):
    """A ConfigMap as one part of a projected volume."""

    name: str | None = None
    items: list[KeyToPath] | None = None
    optional: bool | None = None


class SecretProjection(Object, kw_only=True):
    """A Secret as one part of a projected volume."""

    name: str | None = None
    items: list[KeyToPath] | None = None
    optional: bool | None = None


class DownwardAPIProjection(Object, kw_only=True):
    """Facts about the pod as one part of a projected volume."""

    items: list[DownwardAPIVolumeFile] | None = None


class ServiceAccountTokenProjection(Object, kw_only=True):
    """A token for the pod's service account, renewed before it expires."""

    path: str | None = None
    audience: str | None = None
    expiration_seconds: Int64 | None = None


class ClusterTrustBundleProjection(Object, kw_only=True):
    """Trust anchors of the cluster as one file."""

    name: str | None = None
    path: str | None = None
    label_selector: LabelSelector | None = None
    optional: bool | None = None
    signer_name: str | None = None


class PodCertificateProjection(Object, kw_only=True):
    """A private key and a certificate made for this pod, renewed by the kubelet."""

    certificate_chain_path: str | None = None
    credential_bundle_path: str | None = None
    key_path: str | None = None
    key_type: str | None = None
    max_expiration_seconds: Int32 | None = None
    signer_name: str | None = None
    user_annotations: dict[str, str] | None = None


class VolumeProjection(Object, kw_only=True):
    """One part of a projected volume; exactly one member is set."""

    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    config_map: ConfigMapProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    pod_certificate: PodCertificateProjection | None = None


class ProjectedVolumeSource(Object, kw_only=True):
    """Several sources laid into one directory."""

    default_mode: Int32 | None = None
    sources: list[VolumeProjection] | None = None


class ImageVolumeSource(Object, kw_only=True):
    """The content of an image or artifact as a read-only directory."""

    pull_policy: str | None = None
    reference: str | None = None


class PersistentVolumeClaimVolumeSource(Object, kw_only=True):
    """The volume bound to a claim in the pod's namespace."""

    claim_name: str | None = None
    read_only: bool | None = None


class PersistentVolumeClaimTemplate(Object, kw_only=True):
    """The claim that is made for an ephemeral volume."""

    metadata: ObjectMeta | None = None
    spec: PersistentVolumeClaimSpec | None = None


class EphemeralVolumeSource(Object, kw_only=True):
    """A claim that is made and removed together with the pod."""

    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class Volume(Object, kw_only=True):
    """A named volume of the pod; exactly one source is set, none means emptyDir."""

    name: str | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    image: ImageVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    fc: FCVolumeSource | None = None
    cephfs: CephFSVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    git_repo: GitRepoVolumeSource | None = None
    flex_volume: FlexVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    azure_file: AzureFileVolumeSource | None = None
    cinder: CinderVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    scale_io: ScaleIOVolumeSource | None = None
    storageos: StorageOSVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None
