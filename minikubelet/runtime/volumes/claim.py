"""persistentVolumeClaim: a directory of the node that outlives the pod (10.2).

    <lib>/claims/<namespace>/<uid of the claim>    the data; `agent.claims` makes and removes it
    <pod directory>/volumes/kubernetes.io~local-volume/<volume>  → it

The pod's directory holds a link and no mount: whatever goes wrong when the pod is removed, its removal ends
at the link.
"""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.runtime.environment import CLAIMS
from minikubelet.runtime.volumes import ownership
from minikubelet.runtime.volumes.plugin import Context, make_parent
from minikubelet.v1 import PersistentVolumeClaimVolumeSource, PodSpec, Volume

NAME = "local-volume"


class Claim:
    """The plugin."""

    refreshes = False
    read_only = False

    def set_up(self, context: Context, volume: Volume) -> None:
        data = _data(context, volume)
        link = context.volume_directory(NAME, volume)
        make_parent(link)
        if not link.is_symlink():
            link.symlink_to(data)
        if not _source(volume).read_only:  # whoever may only read does not change whose it is either
            ownership.apply(context.pod, data)

    def source(self, context: Context, volume: Volume) -> Path:
        return Path(os.readlink(context.volume_directory(NAME, volume)))


def claims_of(spec: PodSpec | None) -> set[tuple[str, str]]:
    """(resource, name) of all claims that a pod's volumes refer to."""
    return {(CLAIMS, name(volume)) for volume in (spec and spec.volumes) or () if name(volume)}


def name(volume: Volume) -> str:
    """Of the claim, "" if the volume is none."""
    return _source(volume).claim_name or ""


def _source(volume: Volume) -> PersistentVolumeClaimVolumeSource:
    return volume.persistent_volume_claim or PersistentVolumeClaimVolumeSource()


def _data(context: Context, volume: Volume) -> Path:
    """The claim's directory. OSError in the kubelet's words while there is none to be used."""
    namespace = (context.pod.metadata and context.pod.metadata.namespace) or ""
    claim = context.find(CLAIMS, name(volume))
    if claim is None:
        raise OSError(f'persistentvolumeclaim "{name(volume)}" not found')
    if "deletionTimestamp" in claim["metadata"]:
        raise OSError(f"error processing PVC {namespace}/{name(volume)}: PVC is being deleted")
    if claim.get("status", {}).get("phase") != "Bound":
        raise OSError(f"error processing PVC {namespace}/{name(volume)}: PVC is not bound")
    return context.claims / namespace / str(claim["metadata"]["uid"])
