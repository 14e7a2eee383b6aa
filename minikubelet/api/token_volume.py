"""The volume kube-api-access-xxxxx: what the processes of a pod need to speak to the API.

A token of the pod's ServiceAccount, the CA to know the API by, and the pod's namespace, in every container at
MOUNT_PATH. Pure: these functions change the spec they are given.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
TOKEN_SECONDS = 3607  # an hour, and recognisable
ROOT_CA = "kube-root-ca.crt"  # a ConfigMap in every namespace


def add(spec: Object, new_name: str) -> None:
    """A mount in each container that has nothing there yet, and the volume if anybody needs it."""
    volumes = spec.get("volumes") or []
    there = [volume["name"] for volume in volumes if _is_token_volume(volume)]
    name = there[0] if there else new_name
    needed = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            needed = True
    if needed and not there:
        spec["volumes"] = [*volumes, _token_volume(name)]


def _token_volume(name: str) -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def carry_over(spec: Object, old: Object) -> None:
    """Keep the token of a pod that is replaced by the file it was made from."""
    kept = [volume for volume in old.get("volumes") or () if _is_token_volume(volume)]
    names = {volume["name"] for volume in kept}
    missing = names - {volume.get("name") for volume in spec.get("volumes") or ()}
    if not missing:
        return
    spec["volumes"] = [*(spec.get("volumes") or ()), *(one for one in kept if one["name"] in missing)]
    for field in ("initContainers", "containers"):
        mounts = {one["name"]: one.get("volumeMounts") or () for one in old.get(field) or ()}
        for container in spec.get(field) or ():
            had = [mount for mount in mounts.get(container.get("name"), ()) if mount["name"] in missing]
            if had:
                container["volumeMounts"] = [*(container.get("volumeMounts") or ()), *had]


def _is_token_volume(volume: Object) -> bool:
    return bool(volume.get("name", "").startswith(PREFIX))
