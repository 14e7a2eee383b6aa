"""What must be done for a pod now: the decision, and nothing but the decision (kubelet-behaviour 2.1–2.6).

`pod_actions` compares what is wanted (the spec) with what exists (sandboxes, container instances, probe
results) and answers with one small frozen record. It does nothing and knows no time: whether a start must
still wait in back-off is asked when the start is attempted, as the kubelet does. The pod worker carries the
record out from top to bottom.

In the order in which it decides:
0. Did a container exit by a rule that restarts them all? Then everything is removed first (2.7).
1. Is the sandbox good? If not, everything restarts from the first init container in a new one.
2. Ephemeral containers that never had an instance are started (once; they are never restarted).
3. How far did the init containers get? Until the last is done, regular containers are not looked at.
4. For each regular container: start it, kill it, kill and start it, resize it, or leave it.
5. Nothing runs and nothing will: kill the pod.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minikubelet.runtime.cri import ContainerStatus, PodRuntimeStatus, container_hash
from minikubelet.v1 import Container, EphemeralContainer, Pod, PodStatus

from .facts import NO_RESULTS, ContainerProbeResults, ProbeResults
from .resize import ContainerResize, resize_of
from .restart_all import containers_to_reset
from .restart_policy import (
    NEVER,
    ephemeral_containers,
    failed,
    init_containers,
    is_sidecar,
    latest,
    pod_policy,
    regular_containers,
    restarts_after_exit,
    restarts_after_kill,
    should_be_started,
)


@dataclass(frozen=True, slots=True)
class ContainerToKill:
    """A running instance that must go; `probe` ("liveness", "startup" or "") may bring its own grace period
    (3.8).
    """

    container: Container
    container_id: str
    message: str
    probe: str = ""


@dataclass(frozen=True, slots=True)
class PodActions:
    """Carried out in the order of the fields."""

    to_reset: tuple[Container, ...] = ()  # to be killed and removed, one after the other; then nothing else
    kill_pod: bool = False  # sandbox and all containers; then `to_kill` says nothing new
    create_sandbox: bool = False
    attempt: int = 0  # of the sandbox to be made
    to_kill: tuple[ContainerToKill, ...] = ()
    ephemeral_to_start: tuple[EphemeralContainer, ...] = ()
    init_to_start: tuple[Container, ...] = ()
    to_resize: tuple[ContainerResize, ...] = ()  # in place
    to_start: tuple[Container, ...] = ()

    @property
    def nothing(self) -> bool:
        return self == PodActions(attempt=self.attempt)


@dataclass(slots=True)
class _Draft:
    """The record while it is being decided. The init containers are walked backwards, so they come
    reversed.
    """

    to_kill: list[ContainerToKill] = field(default_factory=list)
    ephemeral_to_start: list[EphemeralContainer] = field(default_factory=list)
    init_to_start: list[Container] = field(default_factory=list)
    to_resize: list[ContainerResize] = field(default_factory=list)
    to_start: list[Container] = field(default_factory=list)
    kill_pod: bool = False

    def record(self) -> PodActions:
        return PodActions(
            kill_pod=self.kill_pod,
            to_kill=tuple(self.to_kill),
            ephemeral_to_start=() if self.kill_pod else tuple(self.ephemeral_to_start),
            init_to_start=tuple(self.init_to_start),
            to_resize=() if self.kill_pod else tuple(self.to_resize),
            to_start=tuple(self.to_start),
        )


def pod_actions(pod: Pod, observed: PodRuntimeStatus, results: ProbeResults, old: PodStatus) -> PodActions:
    """The decision. `old`, the last status, remembers containers the runtime has forgotten (a reboot)."""
    attempt = next_attempt(observed, old)
    to_reset = containers_to_reset(pod, observed)
    if to_reset:
        return PodActions(to_reset=to_reset, attempt=attempt)
    if sandbox_is_lost(pod, observed):
        return _new_sandbox(pod, observed, attempt, old)
    draft = _Draft(ephemeral_to_start=_never_started(pod, observed, old))
    initialized = _decide_init_containers(pod, observed, results, draft)
    if initialized and not draft.kill_pod:
        _decide_regular_containers(pod, observed, results, old, draft)
    return draft.record()


def next_attempt(observed: PodRuntimeStatus, old: PodStatus) -> int:
    if observed.sandboxes:
        return observed.sandboxes[0].attempt + 1
    return 1 if _ran_before(old) else 0


def sandbox_is_lost(pod: Pod, observed: PodRuntimeStatus) -> bool:
    """2.6: none, several, not ready, in the wrong network, or without an address."""
    assert pod.spec is not None
    ready = [sandbox for sandbox in observed.sandboxes if sandbox.ready]
    if len(ready) != 1 or not observed.sandboxes[0].ready:
        return True
    wants_host = bool(pod.spec.host_network)
    return ready[0].host_network != wants_host or not (wants_host or ready[0].ip)


def initialized_in_sandbox(pod: Pod, observed: PodRuntimeStatus) -> bool:
    """A regular container has an instance in the *current* sandbox, so all init containers were done."""
    current = {sandbox.id for sandbox in observed.sandboxes if sandbox.ready}
    names = {container.name for container in regular_containers(pod)}
    return any(c.name in names and c.sandbox_id in current for c in observed.containers)


def _new_sandbox(pod: Pod, observed: PodRuntimeStatus, attempt: int, old: PodStatus) -> PodActions:
    had_containers = bool(observed.containers) or _ran_before(old)
    if pod_policy(pod) == NEVER and attempt != 0 and had_containers:
        return PodActions(kill_pod=True, attempt=attempt)
    to_start = [c for c in regular_containers(pod) if not _is_done(pod, c, observed, old)]
    if not to_start:
        return PodActions(kill_pod=True, attempt=attempt)
    first_init = tuple(init_containers(pod)[:1])
    return PodActions(
        kill_pod=True,
        create_sandbox=True,
        attempt=attempt,
        init_to_start=first_init,
        to_start=() if first_init else tuple(to_start),
    )


def _is_done(pod: Pod, container: Container, observed: PodRuntimeStatus, old: PodStatus) -> bool:
    """It ran, and neither policy nor rule runs it again: a new sandbox does not either. What the runtime has
    forgotten (a reboot), the status remembers.
    """
    newest = latest(observed, container.name)
    if newest is None:
        state = next((one.state for one in old.container_statuses or () if one.name == container.name), None)
        ended = state.terminated if state else None
        return ended is not None and not restarts_after_exit(pod, container, ended.exit_code or 0)
    if newest.state == "exited":
        return not restarts_after_exit(pod, container, newest.exit_code)
    return newest.state == "running" and not restarts_after_kill(pod, container)


def _ran_before(status: PodStatus) -> bool:
    statuses = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    return any(one.container_id or (one.last_state and one.last_state.terminated) for one in statuses)


def _never_started(pod: Pod, observed: PodRuntimeStatus, old: PodStatus) -> list[EphemeralContainer]:
    """Whether one ran before a reboot only the status knows."""
    ended = {one.name for one in old.ephemeral_container_statuses or () if one.container_id}
    return [
        container
        for container in ephemeral_containers(pod)
        if latest(observed, container.name) is None and container.name not in ended
    ]


# Init containers (2.4, 2.5)


def _decide_init_containers(
    pod: Pod, observed: PodRuntimeStatus, results: ProbeResults, draft: _Draft
) -> bool:
    """Are regular containers to be looked at? Only the newest init status counts, so the walk goes
    backwards.
    """
    containers = init_containers(pod)
    if not containers:
        return True
    initialized = initialized_in_sandbox(pod, observed)
    furthest_found = initialized  # the regular init container that matters has been dealt with
    for index in reversed(range(len(containers))):
        container = containers[index]
        newest = latest(observed, container.name)
        if newest is None:
            if furthest_found and is_sidecar(container):
                draft.init_to_start.append(container)
            continue
        following = containers[index + 1] if index + 1 < len(containers) else None
        mark = len(draft.init_to_start)
        if is_sidecar(container):
            done = _decide_sidecar(pod, container, newest, results.get(newest.id, NO_RESULTS), draft)
        elif furthest_found:
            continue
        else:
            done = _decide_regular_init(pod, container, newest, draft)
        if draft.kill_pod:
            return False
        if done and not furthest_found:
            if following is None:
                initialized = True
            else:
                draft.init_to_start.insert(mark, following)  # reversed: after what restarts here
        furthest_found = True
    if not furthest_found:
        draft.init_to_start.append(containers[0])
    draft.init_to_start.reverse()
    return initialized


def _decide_regular_init(pod: Pod, container: Container, newest: ContainerStatus, draft: _Draft) -> bool:
    """Is it done?"""
    if newest.state == "running":
        resize = resize_of(pod, container, newest)
        if resize is not None:
            draft.to_resize.append(resize)
        return False
    if newest.state == "exited" and not failed(newest):
        return True
    if newest.state == "exited" and not restarts_after_exit(pod, container, newest.exit_code or 1):
        draft.kill_pod = True
        draft.init_to_start.clear()
        return False
    if newest.state == "unknown":
        draft.to_kill.append(_unknown(container, newest, "Init container"))
    draft.init_to_start.append(container)
    return False


def _decide_sidecar(
    pod: Pod, container: Container, newest: ContainerStatus, results: ContainerProbeResults, draft: _Draft
) -> bool:
    """Has it started, so that the next init container may? Readiness and liveness do not gate."""
    if newest.state != "running":
        if newest.state == "unknown":
            draft.to_kill.append(_unknown(container, newest, "Init container"))
        draft.init_to_start.append(container)
        return False
    cause, probe = _reason_to_kill(container, newest, results)
    started = container.startup_probe is None or results.startup == "success"
    if cause:
        message = f"Init container {container.name} {cause}"
        draft.to_kill.append(ContainerToKill(container, newest.id, message, probe))
        draft.init_to_start.append(container)
    elif _restarts_for_resize(pod, container, newest, draft):
        draft.init_to_start.append(container)
    return started


# Regular containers (2.1, 2.2)


def _decide_regular_containers(
    pod: Pod, observed: PodRuntimeStatus, results: ProbeResults, old: PodStatus, draft: _Draft
) -> None:
    kept = 0
    for container in regular_containers(pod):
        newest = latest(observed, container.name)
        if newest is None or newest.state != "running":
            if should_be_started(pod, container, observed) and not _is_done(pod, container, observed, old):
                draft.to_start.append(container)
                if newest is not None and newest.state == "unknown":
                    draft.to_kill.append(_unknown(container, newest, "Container"))
            continue
        cause, probe = _reason_to_kill(container, newest, results.get(newest.id, NO_RESULTS))
        if not cause:
            if _restarts_for_resize(pod, container, newest, draft):
                draft.to_start.append(container)
            else:
                kept += 1
            continue
        message = f"Container {container.name} {cause}"
        # A changed definition restarts whatever the policy says: what runs is not what is wanted.
        if not probe or restarts_after_kill(pod, container):
            message += ", will be restarted"
            draft.to_start.append(container)
        draft.to_kill.append(ContainerToKill(container, newest.id, message, probe))
    if not kept and not draft.to_start:
        # Sidecars alone do not keep a pod alive.
        draft.kill_pod = True
        draft.init_to_start.clear()


def _reason_to_kill(
    container: Container, newest: ContainerStatus, results: ContainerProbeResults
) -> tuple[str, str]:
    """(what happened, which probe), of a running instance; liveness is looked at before startup."""
    if newest.hash and newest.hash != container_hash(container):
        return "definition changed", ""
    if results.liveness == "failure":
        return "failed liveness probe", "liveness"
    if results.startup == "failure":
        return "failed startup probe", "startup"
    return "", ""


def _restarts_for_resize(pod: Pod, container: Container, newest: ContainerStatus, draft: _Draft) -> bool:
    """A running container that lacks what was granted is resized where it is, or, if its policy says so,
    killed and started anew (6.12).
    """
    resize = resize_of(pod, container, newest)
    if resize is None:
        return False
    if not resize.needs_restart:
        draft.to_resize.append(resize)
        return False
    message = f"Container {container.name} resize requires restart, will be restarted"
    draft.to_kill.append(ContainerToKill(container, newest.id, message))
    return True


def _unknown(container: Container, newest: ContainerStatus, kind: str) -> ContainerToKill:
    message = f'{kind} is in "unknown" state, try killing it before restart'
    return ContainerToKill(container, newest.id, message)
