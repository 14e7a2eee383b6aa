"""Pods and runtime records for the tables of this folder, as short as a table needs them."""

from __future__ import annotations

from typing import Any

from minikubelet.runtime.cri import ContainerStatus, PodRuntimeStatus, SandboxStatus
from minikubelet.v1 import Container, Pod, PodStatus, from_dict

UID = "7d1f"
SANDBOX = SandboxStatus("s0", 0, True, 1000.0, "10.244.0.2")


def make_pod(
    *containers: dict[str, Any] | str,
    init: list[dict[str, Any] | str] | None = None,
    policy: str = "Always",
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Pod:
    """`make_pod("web", {"name": "log", …}, init=["prepare"], policy="Never", hostNetwork=True)`."""
    named = {"name": "web", "namespace": "default", "uid": UID, "generation": 1}
    body: dict[str, Any] = {
        "restartPolicy": policy,
        "terminationGracePeriodSeconds": 30,
        "containers": [_container(one) for one in containers or ("web",)],
        **spec,
    }
    if init:
        body["initContainers"] = [_container(one) for one in init]
    data = {"metadata": {**named, **(metadata or {})}, "spec": body}
    if status:
        data["status"] = status
    return from_dict(Pod, data)


def _container(one: dict[str, Any] | str) -> dict[str, Any]:
    given = {"name": one} if isinstance(one, str) else one
    return {"image": "localhost/host", **given}


def sidecar(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "restartPolicy": "Always", **fields}


def container(name: str = "web", **fields: Any) -> Container:
    return from_dict(Container, _container({"name": name, **fields}))


def running(name: str = "web", attempt: int = 0, **fields: Any) -> ContainerStatus:
    return _instance(name, attempt, "running", started_at=1001.0, **fields)


def exited(name: str = "web", exit_code: int = 0, attempt: int = 0, **fields: Any) -> ContainerStatus:
    times = {"started_at": 1001.0, "finished_at": 1002.0}
    reason = fields.pop("reason", "Error" if exit_code else "Completed")
    return _instance(name, attempt, "exited", exit_code=exit_code, reason=reason, **(times | fields))


def created(name: str = "web", attempt: int = 0) -> ContainerStatus:
    return _instance(name, attempt, "created")


def unknown(name: str = "web", attempt: int = 0) -> ContainerStatus:
    return _instance(name, attempt, "unknown")


def _instance(name: str, attempt: int, state: str, **fields: Any) -> ContainerStatus:
    return ContainerStatus(
        id=fields.pop("id", f"{name}-{attempt}"),
        name=name,
        attempt=attempt,
        state=state,
        image="localhost/host",
        image_id="sha256:0",
        created_at=1000.0 + attempt,
        sandbox_id=fields.pop("sandbox_id", SANDBOX.id),
        **fields,
    )


def observed(
    *containers: ContainerStatus, sandboxes: tuple[SandboxStatus, ...] = (SANDBOX,)
) -> PodRuntimeStatus:
    """Newest first, as the runtime reports them."""
    return PodRuntimeStatus(UID, sandboxes, containers)


NOTHING = PodRuntimeStatus(UID)


def status(**fields: Any) -> PodStatus:
    return from_dict(PodStatus, fields)
