"""`describe` of the kinds with few fields; of those that kubectl has no layout for, field by field."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from minikubelet.cli import ages
from minikubelet.cli.client import Client
from minikubelet.cli.describe.writer import Writer, events_of
from minikubelet.cli.printers import format_labels
from minikubelet.cli.resources import PODS, SECRETS

Object = dict[str, Any]

# Shown in the header, or noise.
HIDDEN_METADATA = ("name", "namespace", "labels", "annotations", "managedFields")
ACRONYMS = frozenset({"API", "URL", "UID", "OSB", "GUID"})
TOKENS_OF = "kubernetes.io/service-account.name"
SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def describe_other(client: Client, item: Object, *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    layouts: dict[str, Callable[[Writer, Client, Object], None]] = {
        "ConfigMap": _config_map,
        "Secret": _secret,
        "Namespace": _namespace,
        "ServiceAccount": _service_account,
        "PersistentVolumeClaim": _claim,
        "PriorityClass": _priority_class,
    }
    layouts.get(item["kind"], _generic)(writer, client, item)
    if item["kind"] not in ("Namespace", "Secret"):
        writer.events(events_of(client, item) if show_events else None)
    return writer.text()


def _header(writer: Writer, item: Object) -> None:
    writer.header(item, namespaced=bool(item["metadata"].get("namespace")))


def _config_map(writer: Writer, client: Client, item: Object) -> None:
    _header(writer, item)
    writer.line(0, "")
    writer.line(0, "Data\n====")
    for key, value in sorted((item.get("data") or {}).items()):
        writer.line(0, f"{key}:\n----\n{value}\n")
    writer.line(0, "")
    writer.line(0, "BinaryData\n====")
    for key, value in sorted((item.get("binaryData") or {}).items()):
        writer.line(0, f"{key}: {len(base64.b64decode(value))} bytes")
    writer.line(0, "")


def _secret(writer: Writer, client: Client, item: Object) -> None:
    """Sizes only: a description is read over shoulders."""
    _header(writer, item)
    writer.line(0, "")
    writer.line(0, f"Type:\t{item.get('type', '')}")
    writer.line(0, "")
    writer.line(0, "Data\n====")
    for key, value in sorted((item.get("data") or {}).items()):
        writer.line(0, f"{key}:\t{len(base64.b64decode(value))} bytes")


def _namespace(writer: Writer, client: Client, item: Object) -> None:
    """There are neither quotas nor limit ranges on this node."""
    _header(writer, item)
    writer.line(0, f"Status:\t{(item.get('status') or {}).get('phase', '')}")
    writer.line(0, "\nNo resource quota.\n\nNo LimitRange resource.")


def _service_account(writer: Writer, client: Client, item: Object) -> None:
    _header(writer, item)
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    secrets = client.get(SECRETS.path(namespace))["items"]
    there = {secret["metadata"]["name"] for secret in secrets}
    tokens = [
        secret["metadata"]["name"]
        for secret in secrets
        if secret.get("type") == "kubernetes.io/service-account-token"
        and (secret["metadata"].get("annotations") or {}).get(TOKENS_OF) == name
    ]
    for title, names in (
        ("Image pull secrets", [one.get("name", "") for one in item.get("imagePullSecrets") or ()]),
        ("Mountable secrets", [one.get("name", "") for one in item.get("secrets") or ()]),
        ("Tokens", tokens),
    ):
        writer.many(title, [name if name in there else f"{name} (not found)" for name in names])


def _claim(writer: Writer, client: Client, item: Object) -> None:
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    writer.line(0, f"Name:\t{metadata['name']}")
    writer.line(0, f"Namespace:\t{metadata['namespace']}")
    writer.line(0, f"StorageClass:\t{spec.get('storageClassName', '')}")
    if metadata.get("deletionTimestamp"):
        writer.line(0, f"Status:\tTerminating (lasts {ages.since(metadata['deletionTimestamp'])})")
    else:
        writer.line(0, f"Status:\t{status.get('phase', '')}")
    writer.line(0, f"Volume:\t{spec.get('volumeName', '')}")
    writer.labels("Labels", metadata.get("labels"))
    writer.annotations(metadata.get("annotations"))
    writer.line(0, f"Finalizers:\t[{' '.join(metadata.get('finalizers') or ())}]")
    bound = bool(spec.get("volumeName"))
    modes = [short for mode, short in SHORT_MODES.items() if mode in (status.get("accessModes") or ())]
    writer.line(0, f"Capacity:\t{(status.get('capacity') or {}).get('storage', '') if bound else ''}")
    writer.line(0, f"Access Modes:\t{','.join(modes) if bound else ''}")
    if spec.get("volumeMode"):
        writer.line(0, f"VolumeMode:\t{spec['volumeMode']}")
    pods = client.get(PODS.path(metadata["namespace"]))["items"]
    writer.many("Used By", [pod["metadata"]["name"] for pod in pods if _uses(pod, metadata["name"])])


def _uses(pod: Object, claim: str) -> bool:
    return any(
        (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim
        or ("ephemeral" in volume and f"{pod['metadata']['name']}-{volume['name']}" == claim)
        for volume in pod["spec"].get("volumes") or ()
    )


def _priority_class(writer: Writer, client: Client, item: Object) -> None:
    writer.line(0, f"Name:\t{item['metadata']['name']}")
    writer.line(0, f"Value:\t{item.get('value', 0)}")
    writer.line(0, f"GlobalDefault:\t{str(bool(item.get('globalDefault'))).lower()}")
    writer.line(0, f"PreemptionPolicy:\t{item.get('preemptionPolicy', '')}")
    writer.line(0, f"Description:\t{item.get('description', '')}")
    writer.line(0, f"Annotations:\t{format_labels(item['metadata'].get('annotations'))}")


def _generic(writer: Writer, client: Client, item: Object) -> None:
    _header(writer, item)
    metadata = {key: value for key, value in item["metadata"].items() if key not in HIDDEN_METADATA}
    _fields(writer, 0, {**item, "metadata": metadata})


def _fields(writer: Writer, level: int, fields: Object) -> None:
    for key, value in sorted(fields.items()):
        title = _title(key)
        if isinstance(value, dict):
            writer.line(level, f"{title}:")
            _fields(writer, level + 1, value)
        elif isinstance(value, list):
            writer.line(level, f"{title}:")
            for part in value:
                if isinstance(part, dict):
                    _fields(writer, level + 1, part)
                else:
                    writer.line(level + 1, str(part))
        else:
            shown = str(value).lower() if isinstance(value, bool) else value
            writer.line(level, f"{title}:\t{shown}")


def _title(key: str) -> str:
    """`lastTransitionTime` → `Last Transition Time`, `uid` → `UID`; what is no field name stays."""
    if not re.fullmatch(r"[A-Za-z-]+", key):
        return key
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|-", key)
    return " ".join(
        word.upper() if word.upper() in ACRONYMS else word[:1].upper() + word[1:] for word in words
    )
