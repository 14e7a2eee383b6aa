"""How pods and containers are called in messages and Events (kubelet-behaviour 0.2, 12.1). Pure."""

from __future__ import annotations

from minikubelet.v1 import Container, Pod

from .restart_policy import ephemeral_containers, init_containers


def uid_of(pod: Pod) -> str:
    assert pod.metadata is not None
    return pod.metadata.uid or ""


def log_name(pod: Pod) -> str:
    """`web_default(1b3c…)`."""
    assert pod.metadata is not None
    return f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"


def field_path(pod: Pod, container: Container) -> str:
    """`spec.containers{web}`: which part of the pod an Event is about."""
    field = "containers"
    if any(one.name == container.name for one in init_containers(pod)):
        field = "initContainers"
    elif any(one.name == container.name for one in ephemeral_containers(pod)):
        field = "ephemeralContainers"
    return f"spec.{field}{{{container.name}}}"
