"""`describe` of everything that is neither pod nor node: three kinds by hand, the rest field by field."""

from __future__ import annotations

import base64
import re
from typing import Any

from minikubelet.cli.client import Client
from minikubelet.cli.describe.writer import Writer, events_of, stamp

# Shown in the header, or noise.
HIDDEN_METADATA = ("name", "namespace", "labels", "annotations", "managedFields")


def describe_other(client: Client, item: dict[str, Any], *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    writer.header(item, namespaced=bool(item["metadata"].get("namespace")))
    describe = {"ConfigMap": _config_map, "Secret": _secret, "Namespace": _namespace}.get(
        item["kind"], _generic
    )
    describe(writer, item)
    if item["kind"] not in ("Namespace", "Secret"):
        writer.events(events_of(client, item) if show_events else None)
    return writer.text()


def _config_map(writer: Writer, item: dict[str, Any]) -> None:
    writer.line(0, "")
    writer.line(0, "Data\n====")
    for key, value in sorted((item.get("data") or {}).items()):
        writer.line(0, f"{key}:\n----\n{value}\n")
    writer.line(0, "")
    writer.line(0, "BinaryData\n====")
    for key, value in sorted((item.get("binaryData") or {}).items()):
        writer.line(0, f"{key}: {len(base64.b64decode(value))} bytes")
    writer.line(0, "")


def _secret(writer: Writer, item: dict[str, Any]) -> None:
    """Sizes only: a description is read over shoulders."""
    writer.line(0, "")
    writer.line(0, f"Type:\t{item.get('type', '')}")
    writer.line(0, "")
    writer.line(0, "Data\n====")
    for key, value in sorted((item.get("data") or {}).items()):
        writer.line(0, f"{key}:\t{len(base64.b64decode(value))} bytes")


def _namespace(writer: Writer, item: dict[str, Any]) -> None:
    writer.line(0, f"Status:\t{(item.get('status') or {}).get('phase', '')}")


def _generic(writer: Writer, item: dict[str, Any]) -> None:
    writer.line(0, f"API Version:\t{item.get('apiVersion', '')}")
    writer.line(0, f"Kind:\t{item.get('kind', '')}")
    metadata = {key: value for key, value in item["metadata"].items() if key not in HIDDEN_METADATA}
    metadata["creationTimestamp"] = stamp(metadata.get("creationTimestamp"))
    rest = {key: value for key, value in item.items() if key not in ("apiVersion", "kind", "metadata")}
    _fields(writer, 0, {"metadata": metadata, **rest})


def _fields(writer: Writer, level: int, fields: dict[str, Any]) -> None:
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
            writer.line(level, f"{title}:\t{value}")


def _title(key: str) -> str:
    """`lastTransitionTime` → `Last Transition Time`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", key)
    return words[:1].upper() + words[1:]
