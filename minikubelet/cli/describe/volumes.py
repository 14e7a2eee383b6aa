"""The volumes in `describe pod`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minikubelet.cli.describe.writer import Writer

Source = dict[str, Any]
Lines = list[str]


def describe_volumes(writer: Writer, volumes: list[dict[str, Any]], indent: str = "") -> None:
    """`indent`: of the headings, in a template."""
    if not volumes:
        writer.line(0, f"{indent}Volumes:\t<none>")
        return
    writer.line(0, f"{indent}Volumes:")
    for volume in volumes:
        writer.line(1, f"{indent[:1]}{volume['name']}:")
        kind = next((field for field in SOURCES if volume.get(field) is not None), "")
        if not kind:
            writer.line(2, "<unknown>")
            continue
        title, describe = SOURCES[kind]
        writer.line(2, f"Type:\t{title}")
        for line in describe(volume[kind]):
            writer.line(2, line)


def _host_path(source: Source) -> Lines:
    return [f"Path:\t{source.get('path')}", f"HostPathType:\t{source.get('type') or ''}"]


def _empty_dir(source: Source) -> Lines:
    return [f"Medium:\t{source.get('medium') or ''}", f"SizeLimit:\t{source.get('sizeLimit') or '<unset>'}"]


def _config_map(source: Source) -> Lines:
    return [f"Name:\t{source.get('name')}", f"Optional:\t{_optional(source)}"]


def _secret(source: Source) -> Lines:
    return [f"SecretName:\t{source.get('secretName')}", f"Optional:\t{_optional(source)}"]


def _downward(source: Source) -> Lines:
    lines = ["Items:"]
    for item in source.get("items") or ():
        reference = item.get("fieldRef") or item.get("resourceFieldRef") or {}
        what = reference.get("fieldPath") or reference.get("resource")
        lines.append(f"  {what} -> {item.get('path')}")
    return lines


def _projected(source: Source) -> Lines:
    lines: Lines = []
    for part in source.get("sources") or ():
        if secret := part.get("secret"):
            lines += [f"SecretName:\t{secret.get('name')}", f"Optional:\t{_optional(secret)}"]
        if config := part.get("configMap"):
            lines += [f"ConfigMapName:\t{config.get('name')}", f"Optional:\t{_optional(config)}"]
        if part.get("downwardAPI") is not None:
            lines.append("DownwardAPI:\ttrue")
        if token := part.get("serviceAccountToken"):
            lines.append(f"TokenExpirationSeconds:\t{token.get('expirationSeconds', 3600)}")
    return lines


def _claim(source: Source) -> Lines:
    read_only = str(bool(source.get("readOnly"))).lower()
    return [f"ClaimName:\t{source.get('claimName')}", f"ReadOnly:\t{read_only}"]


def _image(source: Source) -> Lines:
    return [f"Reference:\t{source.get('reference')}", f"PullPolicy:\t{source.get('pullPolicy') or ''}"]


def _optional(source: Source) -> str:
    return str(bool(source.get("optional"))).lower()


_CLAIM = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)"
SOURCES: dict[str, tuple[str, Callable[[Source], Lines]]] = {
    "hostPath": ("HostPath (bare host directory volume)", _host_path),
    "emptyDir": ("EmptyDir (a temporary directory that shares a pod's lifetime)", _empty_dir),
    "secret": ("Secret (a volume populated by a Secret)", _secret),
    "configMap": ("ConfigMap (a volume populated by a ConfigMap)", _config_map),
    "downwardAPI": ("DownwardAPI (a volume populated by information about the pod)", _downward),
    "projected": (
        "Projected (a volume that contains injected data from multiple sources)",
        _projected,
    ),
    "persistentVolumeClaim": (_CLAIM, _claim),
    "image": ("Image (a container image or OCI artifact)", _image),
}
