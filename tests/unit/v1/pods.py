"""Pods to test with, as a user would write them: only what matters is said."""

from __future__ import annotations

from typing import Any

from minikubelet.v1 import Pod
from minikubelet.v1.decode import decode
from minikubelet.v1.defaults import admit_pod, set_defaults
from minikubelet.v1.validation import validate_pod


def manifest(
    *,
    metadata: dict[str, Any] | None = None,
    container: dict[str, Any] | None = None,
    init: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A manifest of a good pod with one container, changed as asked."""
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", **(metadata or {})},
        "spec": {"containers": [{"name": "main", "image": "busybox:1.36", **(container or {})}], **spec},
    }
    if init is not None:
        made["spec"]["initContainers"] = [{"name": "setup", "image": "busybox:1.36", **init}]
    return made


def pod(**changes: Any) -> Pod:
    """The same, decoded and with defaults."""
    made, _ = decode(manifest(**changes), Pod)
    set_defaults(made)
    admit_pod(made)
    return made


def errors(**changes: Any) -> list[str]:
    """What validation says of it."""
    return [str(error) for error in validate_pod(pod(**changes))]
