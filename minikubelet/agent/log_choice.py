"""Whose log a request means, or why there is none (kubelet-behaviour 11.3, 11.4).

Two pure questions about a pod: which of its containers, and which instance of that container. The answers
are the API server's and the kubelet's, errors included.
"""

from __future__ import annotations

from minikubelet.errors import BadRequest
from minikubelet.v1 import ContainerState, ContainerStatus, Pod

_PULLING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def log_container(pod: Pod, name: str | None) -> str:
    """The container a request is about (11.3, API level)."""
    spec = pod.spec
    pod_name = (pod.metadata.name if pod.metadata else None) or ""
    groups = (spec.init_containers, spec.containers, spec.ephemeral_containers) if spec else ()
    names = [container.name or "" for group in groups for container in group or ()]
    regular = [container.name or "" for container in (spec.containers if spec else None) or ()]
    if name:
        if name not in names:
            raise BadRequest(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(regular) == 1:
        return regular[0]
    raise BadRequest(
        f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(names)}]"
    )


def log_instance(pod: Pod, container: str, previous: bool = False) -> str:
    """The id of the instance whose log is meant, without scheme; BadRequest says why there is none (11.4)."""
    name = (pod.metadata.name if pod.metadata else None) or ""
    where = f'container "{container}" in pod "{name}"'
    status = _container_status(pod, container)
    if status is None:
        raise BadRequest(f"{where} is not available")
    last = _terminated_id(status.last_state)
    if previous:
        if not last:
            raise BadRequest(f"previous terminated {where} not found")
        return last
    state = status.state
    if state and state.running:
        if not status.container_id:
            raise BadRequest(f"{where} is waiting to start - no logs yet")
        return _bare(status.container_id)
    if (state and state.terminated) or (status.last_state and status.last_state.terminated):
        found = _terminated_id(state) or last
        if not found:
            raise BadRequest(f"{where} is terminated")
        return found
    if state and state.waiting:
        reason = state.waiting.reason or ""
        raise BadRequest(f"{where} is waiting to start: {_PULLING.get(reason, reason)}")
    raise BadRequest(f"{where} is waiting to start - no logs yet")


def _container_status(pod: Pod, name: str) -> ContainerStatus | None:
    status = pod.status
    if status is None:
        return None
    groups = (
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    )
    return next((found for group in groups for found in group or () if found.name == name), None)


def _terminated_id(state: ContainerState | None) -> str:
    terminated = state.terminated if state else None
    return _bare(terminated.container_id or "") if terminated else ""


def _bare(container_id: str) -> str:
    return container_id.rpartition("://")[2]
