"""From the bytes of a file on the node to the static pod it describes (kubelet-behaviour 7.4, 7.5). Pure.

A static pod comes without an API server, so what the server would do is done here: decode, fill in defaults,
validate, refuse what this node does not honour. What is special about it:

- its uid is a hash of what the file says, of the node and of the path: another content is another pod, the
  same content is the same pod, also after a restart of the agent;
- its name ends in the name of the node, for the same file may lie on many nodes;
- it may refer to no object of the API (ConfigMap, Secret, …), for it must be able to start before those.

Unknown fields do not make a file useless, as in the kubelet; but they are told, and the agent logs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from minikubelet.errors import BadRequest, FieldError, ManifestError
from minikubelet.v1 import Pod, PodStatus, support, to_dict
from minikubelet.v1.decode import decode
from minikubelet.v1.defaults import set_defaults
from minikubelet.v1.manifest import parse
from minikubelet.v1.qos import qos_class
from minikubelet.v1.scheduling import Toleration
from minikubelet.v1.validation import validate_pod

HASH = "kubernetes.io/config.hash"
SOURCE = "kubernetes.io/config.source"
SEEN = "kubernetes.io/config.seen"
FILE = "file"

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,62}")  # it names directories and cgroups

Refuse = Callable[[Pod], list[FieldError]]


def static_pod(
    data: bytes, path: str, node: str, seen: datetime, refuse: Refuse = lambda pod: []
) -> tuple[Pod, list[str]]:
    """The pod, ready to run, and what should be logged about its file. Raises ManifestError."""
    pod, warnings = _decoded(data, path)
    metadata = pod.metadata
    if metadata is None or not metadata.name:
        raise ManifestError("invalid pod: name is needed for the pod")
    own_uid = metadata.uid
    uid = own_uid or content_hash(pod, path, node)
    set_defaults(pod)
    _place(pod, uid, node, seen)
    _refuse_if([*_uid_errors(own_uid), *validate_pod(pod)])
    resource = api_reference(pod)
    if resource:
        raise ManifestError(f"static pods may not reference {resource}")
    ignored, unsupported = support.check(pod)
    _refuse_if([*unsupported, *refuse(pod)])
    pod.status = PodStatus(phase="Pending", qos_class=qos_class(pod))
    return pod, [*warnings, *ignored]


def _refuse_if(errors: list[FieldError]) -> None:
    if errors:
        raise ManifestError(f"invalid pod: [{', '.join(str(error) for error in errors)}]")


def content_hash(pod: Pod, path: str, node: str) -> str:
    """32 hex digits; comments and the order of keys do not count."""
    content = msgspec.json.encode(to_dict(pod), order="sorted")
    source = f"host:{node}file:{path}".encode(errors="surrogateescape")
    return blake2b(content + source, digest_size=16).hexdigest()


def _decoded(data: bytes, path: str) -> tuple[Pod, list[str]]:
    try:
        documents = parse(data, path)
        if not documents:
            raise ManifestError("the file is empty")
        pod, warnings = decode(documents[0].data, Pod, "Warn")
    except (BadRequest, ManifestError) as error:
        raise ManifestError(f"{path}: couldn't parse as pod({error}), please check config file") from error
    if len(documents) > 1:
        warnings.append(f"only the first of {len(documents)} objects is used: one Pod for one file")
    return pod, warnings


def _place(pod: Pod, uid: str, node: str, seen: datetime) -> None:
    """What the kubelet itself fills in (7.5)."""
    metadata, spec = pod.metadata, pod.spec
    assert metadata is not None
    metadata.uid = uid
    metadata.name = f"{metadata.name}-{node.lower()}"
    metadata.namespace = metadata.namespace or "default"
    metadata.annotations = {
        **(metadata.annotations or {}),
        HASH: uid,
        SOURCE: FILE,
        SEEN: seen.strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
    }
    # A file cannot begin in the middle of a life.
    metadata.deletion_timestamp = metadata.deletion_grace_period_seconds = None
    if spec is not None:  # else validation has the words for it
        spec.node_name = node
        spec.tolerations = [
            *(toleration for toleration in spec.tolerations or () if not _tolerates_all(toleration)),
            Toleration(operator="Exists", effect="NoExecute"),
        ]


def _tolerates_all(toleration: Toleration) -> bool:
    return not toleration.key and toleration.operator == "Exists" and toleration.effect == "NoExecute"


def _uid_errors(uid: str | None) -> Iterator[FieldError]:
    if uid and not _UID.fullmatch(uid):
        detail = "must consist of letters, digits and '-', at most 63"
        yield FieldError("metadata.uid", "Invalid", f'Invalid value: "{uid}": {detail}')


# References to the API


def api_reference(pod: Pod) -> str:
    """The resource that the pod refers to, in the kubelet's words and order; empty: none."""
    spec = to_dict(pod).get("spec", {})
    containers = [
        container
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field, ())
    ]
    environment = {key for container in containers for key in _environment_sources(container)}
    volumes = [key for volume in spec.get("volumes", ()) for key in volume]
    projected = [
        key
        for volume in spec.get("volumes", ())
        for source in volume.get("projected", {}).get("sources", ())
        for key in source
    ]
    used: list[tuple[bool, str]] = [
        (bool(spec.get("serviceAccountName")), "serviceaccounts"),
        (bool(spec.get("imagePullSecrets")), "secrets"),
        (bool(environment & {"secretRef", "secretKeyRef"}), "secrets"),
        ("secret" in volumes or "secret" in projected or _has_secret_reference(spec), "secrets"),
        (bool(environment & {"configMapRef", "configMapKeyRef"}), "configmaps"),
        ("configMap" in volumes or "configMap" in projected, "configmaps"),
        (bool(spec.get("resourceClaims")), "resourceclaims"),
        ("persistentVolumeClaim" in volumes, "persistentvolumeclaims"),
        ("ephemeral" in volumes, "persistentvolumeclaims (via ephemeral volumes)"),
        ("azureFile" in volumes, "secrets (via azureFile volumes)"),
        ("serviceAccountToken" in projected, "serviceaccounts (via projected volumes)"),
        ("clusterTrustBundle" in projected, "clustertrustbundles"),
        ("podCertificate" in projected, "podcertificates"),
    ]
    return next((resource for found, resource in used if found), "")


def _environment_sources(container: dict[str, Any]) -> Iterator[str]:
    """secretRef, configMapKeyRef, …: where the container's variables come from."""
    for source in container.get("envFrom", ()):
        yield from source
    for variable in container.get("env", ()):
        yield from variable.get("valueFrom", ())


def _has_secret_reference(spec: dict[str, Any]) -> bool:
    """Of a volume type that keeps its credentials in a Secret (cephfs, iscsi, csi, …)."""
    sources = [
        source for volume in spec.get("volumes", ()) for source in volume.values() if isinstance(source, dict)
    ]
    return any("secretRef" in source or "nodePublishSecretRef" in source for source in sources)
