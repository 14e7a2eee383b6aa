"""The template of a pod, in `describe` of what makes pods and in `rollout history --revision`."""

from __future__ import annotations

from typing import Any

from minikubelet.cli.describe.container import describe_container
from minikubelet.cli.describe.pod import toleration_lines
from minikubelet.cli.describe.volumes import describe_volumes
from minikubelet.cli.describe.writer import Writer

Object = dict[str, Any]


def describe_template(writer: Writer, template: Object) -> None:
    """From "Pod Template:" on."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    writer.line(0, "Pod Template:")
    _pairs(
        writer, "Labels", [f"{key}={value}" for key, value in sorted((metadata.get("labels") or {}).items())]
    )
    annotations = sorted((metadata.get("annotations") or {}).items())
    if annotations:
        _pairs(writer, "Annotations", [f"{key}: {value}" for key, value in annotations])
    if spec.get("serviceAccountName"):
        writer.line(1, f"Service Account:\t{spec['serviceAccountName']}")
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(field):
            writer.line(1, f"{title}:")
            for container in spec[field]:
                describe_container(writer, {"metadata": metadata, "spec": spec}, container, {}, indent=" ")
    describe_volumes(writer, spec.get("volumes") or [], indent="  ")
    if spec.get("priorityClassName"):
        writer.line(1, f"Priority Class Name:\t{spec['priorityClassName']}")
    selector = [f"{key}={value}" for key, value in sorted((spec.get("nodeSelector") or {}).items())]
    _pairs(writer, "Node-Selectors", selector)
    _pairs(writer, "Tolerations", toleration_lines(spec.get("tolerations")))


def _pairs(writer: Writer, title: str, values: list[str]) -> None:
    first, *rest = values or ["<none>"]
    writer.line(1, f"{title}:\t{first}")
    for value in rest:
        writer.line(0, f"\t{value}")
