"""How containers are ended (kubelet-behaviour 4.1 to 4.5): the Event, preStop, one's turn, the stop signal,
KILL.

Seconds are accounted as the kubelet does: the grace period is an integer, whole elapsed seconds of the hook
and of the waiting are subtracted, and what remains before the stop signal is never less than 2. So preStop of
5.9 s out of 30 leaves 25 s, and a hook that never ends still leaves 2.

With sidecars there is an order. Everything starts at the same moment, the sidecars' preStop too; but a
sidecar gets its signal only when all regular containers and all sidecars after it are down, or when its own
grace period is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from minikubelet.errors import KillContainerError, RuntimeServiceError
from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import Container, Pod, Probe

from .names import field_path, uid_of
from .ports import Collaborators, HookError, HookTarget
from .restart_policy import all_containers, has_sidecars, init_containers, is_sidecar, regular_containers

MINIMUM_BEFORE_KILL = 2  # seconds between the stop signal and KILL, always
MINIMUM_OF_POD = 1
_ALMOST = 1e-6  # a timer may fire a hair early; 29.9999999 s are 30


@dataclass(frozen=True, slots=True)
class Kill:
    """One running instance that is to end."""

    pod: Pod
    container: Container
    container_id: str
    grace: int
    message: str = ""  # of the Event; empty: "Stopping container C"
    pod_ip: str = ""


def container_grace(pod: Pod, container: Container, probe: str = "") -> int:
    """4.1, outside the termination of a pod: a failed probe may bring its own period, longer or shorter
    (3.8).
    """
    assert pod.metadata is not None
    assert pod.spec is not None
    if pod.metadata.deletion_grace_period_seconds is not None:
        return pod.metadata.deletion_grace_period_seconds
    if pod.spec.termination_grace_period_seconds is None:
        return MINIMUM_BEFORE_KILL
    own = _probe_of(container, probe)
    if own is not None and own.termination_grace_period_seconds is not None:
        return own.termination_grace_period_seconds
    return pod.spec.termination_grace_period_seconds


def pod_grace(pod: Pod, least: int | None) -> int:
    """4.3: `least` is the smallest it was ever given; it may only shrink, and is never below 1."""
    assert pod.metadata is not None
    assert pod.spec is not None
    given = [g for g in (least, pod.metadata.deletion_grace_period_seconds) if g is not None]
    wanted = min(given) if given else pod.spec.termination_grace_period_seconds or 0
    return max(wanted, MINIMUM_OF_POD)


def _probe_of(container: Container, kind: str) -> Probe | None:
    return {"liveness": container.liveness_probe, "startup": container.startup_probe}.get(kind)


class TerminationOrder:
    """4.4: who waits for whom. Only sidecars wait."""

    def __init__(self, pod: Pod, running: Sequence[str]) -> None:
        self._down = {name: asyncio.Event() for name in running}
        self._before: dict[str, list[str]] = {}
        waited_for = [container.name or "" for container in regular_containers(pod)]
        for container in reversed(init_containers(pod)):
            if is_sidecar(container):
                self._before[container.name or ""] = list(waited_for)
                waited_for.append(container.name or "")

    async def wait_for_turn(self, name: str, limit: int) -> None:
        try:
            async with asyncio.timeout(limit):
                for other in self._before.get(name, ()):
                    if other in self._down:
                        await self._down[other].wait()
        except TimeoutError:
            return  # its own grace period is over: it goes now

    def is_down(self, name: str) -> None:
        self._down[name].set()


async def kill_containers(
    pod: Pod, observed: PodRuntimeStatus, grace: int | None, use: Collaborators
) -> None:
    """Every running container of the pod, in parallel; `grace` None: each by its own reckoning (4.1).

    Tries all before it raises KillContainerError.
    """
    definitions = {c.name: c for c in all_containers(pod)}
    running = [c for c in observed.containers if c.state == "running" and c.name in definitions]
    order = TerminationOrder(pod, [c.name for c in running]) if has_sidecars(pod) else None
    kills = [
        Kill(
            pod,
            definitions[one.name],
            one.id,
            container_grace(pod, definitions[one.name]) if grace is None else grace,
            pod_ip=pod_ip(observed, use),
        )
        for one in running
    ]
    endings = await asyncio.gather(
        *(kill_container(kill, use, order) for kill in kills), return_exceptions=True
    )
    for ending in endings:
        if isinstance(ending, BaseException) and not isinstance(ending, RuntimeServiceError):
            raise ending
    failures = [str(ending) for ending in endings if ending is not None]
    if failures:
        raise KillContainerError("; ".join(failures))


async def kill_container(kill: Kill, use: Collaborators, order: TerminationOrder | None = None) -> None:
    """4.2, step by step. Returns when everything in the container is dead."""
    name, path = kill.container.name or "", field_path(kill.pod, kill.container)
    use.recorder.event(kill.pod, "Normal", "Killing", kill.message or f"Stopping container {name}", path)
    grace = kill.grace
    try:
        if grace > 0:
            grace -= await _run_pre_stop(kill, use)
        if order is not None and grace > 0:
            began = use.clock.monotonic()
            await order.wait_for_turn(name, grace)
            grace -= _whole_seconds(use.clock.monotonic() - began)
        await use.runtime.stop_container(uid_of(kill.pod), kill.container_id, max(grace, MINIMUM_BEFORE_KILL))
    finally:
        if order is not None:
            order.is_down(name)


async def _run_pre_stop(kill: Kill, use: Collaborators) -> int:
    """Whole seconds it took. Its failure is an Event, its overrun is not; killing goes on in both cases
    (5.3).
    """
    lifecycle = kill.container.lifecycle
    if lifecycle is None or lifecycle.pre_stop is None:
        return 0
    began = use.clock.monotonic()
    target = HookTarget(kill.pod, kill.container, kill.container_id, kill.pod_ip)
    try:
        async with asyncio.timeout(kill.grace):
            await use.hooks.run(target, lifecycle.pre_stop)
    except HookError:
        # What the hook said stays out of the Event: it may hold secrets.
        path = field_path(kill.pod, kill.container)
        use.recorder.event(kill.pod, "Warning", "FailedPreStopHook", "PreStopHook failed", path)
    except TimeoutError:
        return kill.grace
    return _whole_seconds(use.clock.monotonic() - began)


def _whole_seconds(elapsed: float) -> int:
    return int(elapsed + _ALMOST)


def pod_ip(observed: PodRuntimeStatus, use: Collaborators) -> str:
    """Where hooks reach the pod: its own address, or the node's for host network."""
    for sandbox in observed.sandboxes[:1]:
        if sandbox.host_network and use.node.host_ips:
            return use.node.host_ips[0]
        return sandbox.ip
    return ""
