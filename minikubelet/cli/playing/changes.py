"""From one look at a pod to the next: what changed, as lines for a reader. Pure.

A pod tells: its phase, its address, each container's state, restarts, started (the startup probe), ready (the
readiness probe). Kubernetes Events tell the rest: failed probes, kills, back-offs, mounts that fail. Times
are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
TROUBLE = (
    "CrashLoopBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "ImageInspectError",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)

Object = dict[str, Any]


class Change(NamedTuple):
    """`who` is `web` or `web/main`; `grave` lines are coloured on a terminal."""

    who: str
    text: str
    grave: bool = False


def pod_changes(before: Object | None, after: Object) -> Iterator[Change]:
    """What a watcher of the pod would say."""
    name = after["metadata"]["name"]
    old, new = (before or {}).get("status") or {}, after.get("status") or {}
    if new.get("phase") != old.get("phase"):
        yield Change(name, _phase(new), new.get("phase") == "Failed")
    if new.get("podIP") and new.get("podIP") != old.get("podIP"):
        yield Change(name, f"has address {new['podIP']}")
    if after["metadata"].get("deletionTimestamp") and not (before or after)["metadata"].get(
        "deletionTimestamp"
    ):
        yield Change(name, "is being deleted")
    known = {status["name"]: status for status in _statuses(old)}
    for status in _statuses(new):
        yield from _container_changes(name, known.get(status["name"], {}), status)
    if _ready(new) != _ready(old) and new.get("phase") == "Running":
        yield Change(name, "is ready" if _ready(new) else "is not ready")


def event_change(event: Object) -> Change | None:
    """An Event as a line; None for those that the pod itself tells better."""
    about = event.get("involvedObject") or {}
    if about.get("kind") != "Pod":
        return None
    path = about.get("fieldPath") or ""
    container = path.partition("{")[2].rstrip("}")
    who = "/".join(filter(None, [about.get("name"), container]))
    count = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
    message = " ".join((event.get("message") or "").split())
    return Change(who, f"{event.get('reason')}: {message}{count}", event.get("type") == "Warning")


def finished(pods: dict[str, Object]) -> bool:
    """Whether every pod has come to its end."""
    return all((pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") for pod in pods.values())


def healthy(pods: dict[str, Object]) -> bool:
    """No pod has failed, and no container is held back by an error."""
    for pod in pods.values():
        status = pod.get("status") or {}
        if status.get("phase") == "Failed":
            return False
        for container in _statuses(status):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in TROUBLE:
                return False
    return True


def _phase(status: Object) -> str:
    why = ": ".join(filter(None, [status.get("reason"), status.get("message")]))
    return f"{status.get('phase')}{f' ({why})' if why else ''}"


def _container_changes(pod: str, old: Object, new: Object) -> Iterator[Change]:
    who = f"{pod}/{new['name']}"
    if new.get("restartCount", 0) > old.get("restartCount", 0):
        yield Change(who, f"restarted, {new['restartCount']} times by now")
        last = (new.get("lastState") or {}).get("terminated")
        if last and last != (old.get("state") or {}).get("terminated"):
            yield Change(who, f"had {_ended(last)}", last.get("exitCode") != 0)
    state = _state(new.get("state") or {})
    if state and state != _state(old.get("state") or {}):
        yield Change(who, state, _in_trouble(new))
    if new.get("started") and not old.get("started") and "running" in (new.get("state") or {}):
        yield Change(who, "has started")
    if bool(new.get("ready")) != bool(old.get("ready")):
        yield Change(who, "is ready" if new.get("ready") else "is not ready")


def _state(state: Object) -> str:
    if state.get("running") is not None:
        return "runs"
    if ended := state.get("terminated"):
        return _ended(ended)
    reason = (state.get("waiting") or {}).get("reason")
    return f"waits: {reason}" if reason else ""


def _ended(ended: Object) -> str:
    reason = ended.get("reason") or ""
    why = f" ({reason})" if reason not in ("", "Completed", "Error") else ""
    return f"ended with exit code {ended.get('exitCode')}{why}"


def _in_trouble(status: Object) -> bool:
    state = status.get("state") or {}
    ended = state.get("terminated") or {}
    return bool(ended.get("exitCode")) or (state.get("waiting") or {}).get("reason") in TROUBLE


def _ready(status: Object) -> bool:
    return any(
        item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or ()
    )


def _statuses(status: Object) -> list[Object]:
    return [item for field in STATUSES for item in status.get(field) or ()]
