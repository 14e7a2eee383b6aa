"""The start of one container (kubelet-behaviour 2.8 to 2.10, 5.2): one story, each step with its own waiting
reason.

back-off over? → image → create → Created → start → Started → postStart

Every failure leaves as `StartFailed`, with what the container's waiting state will show; its Events have been
recorded. A failure of one container says nothing about the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from minikubelet.errors import ImageError, MinikubeletError, RuntimeServiceError
from minikubelet.runtime.cri import ImageRef
from minikubelet.v1 import Container, LifecycleHandler, Pod, to_dict

from .app_armor import refuse_profile
from .backoff import Backoff, go_duration
from .facts import WaitingReason
from .names import field_path, log_name, uid_of
from .ports import Collaborators, HookError, HookTarget
from .termination import Kill, container_grace, kill_container

logger = logging.getLogger(__name__)

_HAIR = 0.001  # seconds; a timer that fires a hair early must not find the back-off still on


class StartFailed(MinikubeletError):
    """`retry_at` (monotonic) is set when it is known when another try makes sense."""

    def __init__(self, reason: str, message: str, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.waiting = WaitingReason(reason, message)
        self.retry_at = retry_at


@dataclass(slots=True)
class BackoffState:
    """What a pod's worker remembers of failures: of its containers and of its images."""

    crashes: Backoff = field(default_factory=Backoff)
    pulls: Backoff = field(default_factory=Backoff)
    pull_errors: dict[str, str] = field(default_factory=dict)  # image → the last "ErrImagePull: …"


@dataclass(frozen=True, slots=True)
class Start:
    """One attempt to start one container."""

    pod: Pod
    container: Container
    attempt: int
    pod_ip: str
    ended_at: float | None  # monotonic: when the newest exited instance ended

    @property
    def path(self) -> str:
        return field_path(self.pod, self.container)


async def start_container(start: Start, backoff: BackoffState, use: Collaborators) -> None:
    """All steps, in order; raises StartFailed."""
    _check_back_off(start, backoff.crashes, use)
    image = await _ensure_image(start, backoff, use)
    try:
        refuse_profile(start.pod, start.container)
        container_id = await use.runtime.create_container(start.pod, start.container, start.attempt, image)
    except RuntimeServiceError as error:
        _record_failure(start, str(error), use)
        raise StartFailed(error.reason, str(error)) from error
    use.recorder.event(start.pod, "Normal", "Created", "Container created", start.path)
    try:
        await use.runtime.start_container(uid_of(start.pod), container_id)
    except RuntimeServiceError as error:
        # An instance exists now, and it is dead: from here on it is a crash loop like any other.
        _record_failure(start, str(error), use)
        raise StartFailed(error.reason, str(error), retry_at=use.clock.monotonic()) from error
    use.recorder.event(start.pod, "Normal", "Started", "Container started", start.path)
    await _run_post_start(start, container_id, use)


def _record_failure(start: Start, text: str, use: Collaborators) -> None:
    use.recorder.event(start.pod, "Warning", "Failed", f"Error: {text}", start.path)


# Crash loops (2.8)


def _check_back_off(start: Start, crashes: Backoff, use: Collaborators) -> None:
    """Counts this start when it may happen; a container without an exited instance is no crash loop."""
    if start.ended_at is None:
        return
    key, now = crash_key(start), use.clock.monotonic()
    expires = crashes.expires_at(key, start.ended_at)
    if expires - now <= _HAIR:
        crashes.next(key, start.ended_at, now)
        return
    name, pod = start.container.name, log_name(start.pod)
    text = f"Back-off restarting failed container {name} in pod {pod}"
    use.recorder.event(start.pod, "Warning", "BackOff", text, start.path)
    delay = go_duration(crashes.delay(key))
    message = f"back-off {delay} restarting failed container={name} pod={pod}"
    raise StartFailed("CrashLoopBackOff", message, retry_at=expires)


def crash_key(start: Start) -> tuple[str, ...]:
    """A changed image or changed resources start afresh; the worker's own pod needs no naming."""
    container = start.container
    resources = to_dict(container.resources) if container.resources else {}
    return (container.name or "", container.image or "", repr(resources))


# Images (2.9)


async def _ensure_image(start: Start, backoff: BackoffState, use: Collaborators) -> ImageRef:
    image = start.container.image or ""
    try:
        found = await use.runtime.ensure_image(
            start.pod, start.container, _before_pull(start, image, backoff, use)
        )
    except ImageError as error:
        if error.reason != "ImagePullBackOff":
            _image_failed(start, image, error, backoff, use)
        _record_failure(start, error.reason, use)
        raise StartFailed(error.reason, str(error)) from error
    backoff.pull_errors.pop(image, None)
    use.recorder.event(start.pod, "Normal", "Pulled", _pulled_text(image, found), start.path)
    return found


def _before_pull(start: Start, image: str, backoff: BackoffState, use: Collaborators) -> Callable[[], None]:
    def check() -> None:
        now = use.clock.monotonic()
        if backoff.pulls.expires_at(image) - now > _HAIR:
            text = f'Back-off pulling image "{image}"'
            use.recorder.event(start.pod, "Normal", "BackOff", text, start.path)
            former = backoff.pull_errors.get(image)
            raise ImageError("ImagePullBackOff", f"{text}: {former}" if former else text)
        backoff.pull_errors.pop(image, None)
        use.recorder.event(start.pod, "Normal", "Pulling", f'Pulling image "{image}"', start.path)

    return check


def _image_failed(
    start: Start, image: str, error: ImageError, backoff: BackoffState, use: Collaborators
) -> None:
    """The Event that says why; a failed pull also makes the next one wait."""
    if error.reason == "ErrImageNeverPull":
        use.recorder.event(start.pod, "Warning", "ErrImageNeverPull", str(error), start.path)
    elif error.reason in ("InvalidImageName", "ImageInspectError"):
        use.recorder.event(start.pod, "Warning", "InspectFailed", str(error), start.path)
    else:
        text = f'Failed to pull image "{image}": {error}'
        use.recorder.event(start.pod, "Warning", "Failed", text, start.path)
        now = use.clock.monotonic()
        backoff.pulls.next(image, since=now, now=now)
        backoff.pull_errors[image] = f"{error.reason}: {error}"


def _pulled_text(image: str, found: ImageRef) -> str:
    if not found.pulled:
        return f'Container image "{image}" already present on machine and can be accessed by the pod'
    took = go_duration(round(found.pull_seconds, 3))
    return (
        f'Successfully pulled image "{image}" in {took} ({took} including waiting). '
        f"Image size: {found.size} bytes."
    )


# postStart (5.2)


async def _run_post_start(start: Start, container_id: str, use: Collaborators) -> None:
    """In the sync itself and without a limit: later containers wait for it, and so does the pod's status."""
    lifecycle = start.container.lifecycle
    if lifecycle is None or lifecycle.post_start is None:
        return
    try:
        await _run_hook(start, container_id, lifecycle.post_start, use)
    except HookError as error:
        use.recorder.event(start.pod, "Warning", "FailedPostStartHook", "PostStartHook failed", start.path)
        await _kill_after_failed_hook(start, container_id, use)
        raise StartFailed("PostStartHookError", str(error)) from error


async def _run_hook(start: Start, container_id: str, hook: LifecycleHandler, use: Collaborators) -> None:
    await use.hooks.run(HookTarget(start.pod, start.container, container_id, start.pod_ip), hook)


async def _kill_after_failed_hook(start: Start, container_id: str, use: Collaborators) -> None:
    grace = container_grace(start.pod, start.container)
    kill = Kill(start.pod, start.container, container_id, grace, "FailedPostStartHook", start.pod_ip)
    try:
        await kill_container(kill, use)
    except RuntimeServiceError as error:
        # The next sync sees it running and, with the hook not run again, leaves it: as the kubelet does.
        logger.warning("cannot kill container %s after its postStart hook: %s", start.container.name, error)
