"""The probe workers: one asyncio task per (pod, container, kind), and the results they store.

The pod worker makes them (`add_pod`, just before it starts containers), reads their results, and is told by
`changed(uid)` when one changed; it alone kills. A worker sees a container only as the *published status*
shows it (`status_published`), so that what it probes is what everybody else was told runs. Decisions are
`agent.probe_state`'s; the actions are in `agent.probes`; here is the waiting:

- ticks are `periodSeconds` apart counted from the worker's creation; a slow check leaves at most one tick
  pending, the others are dropped, and the grid stays where it was;
- `probe_readiness_now` checks at once and starts a new grid from that moment;
- while the agent is younger than a period, a worker first waits a random part of it, so that the workers of
  an agent that came back do not all probe at once.

A check runs in its worker's own task: any number of hung servers delay nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from minikubelet.runtime.cri import RuntimeService
from minikubelet.v1 import Container, Pod, PodStatus, Probe

from .clock import Clock
from .facts import NO_RESULTS, ContainerProbeResults, ProbeOutcome, ProbeResults
from .ports import Random, Recorder
from .probe_state import (
    ContainerView,
    Decision,
    ProbeKind,
    ProbeState,
    ProbeTiming,
    StatusView,
)
from .probes import exec as exec_probe
from .probes import http as http_probe
from .probes import tcp as tcp_probe
from .probes.outcome import Outcome, error
from .restart_policy import init_containers, is_sidecar, regular_containers, restarts_after_exit

MAX_TRIES = 3  # of one check, while it errors

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeObservation:
    """One check, for whoever watches: live view, trace, metrics."""

    pod: Pod
    container: str
    kind: ProbeKind
    outcome: Outcome
    seconds: float
    result: ProbeOutcome | None  # stored now
    late: float  # seconds between the tick and the check


Observer = Callable[[ProbeObservation], None]


def ignore(observation: ProbeObservation) -> None:
    """The observer of those who do not watch."""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What probe workers work with. `observe` and `changed` are called in the event loop and must not wait.

    `spread_start`: wait a random part of the first period while the agent is young. `play` switches it off:
    its agent is always young, and nothing waits to be adopted.
    """

    runtime: RuntimeService
    recorder: Recorder
    clock: Clock
    random: Random
    changed: Callable[[str], None]
    observe: Observer = ignore
    spread_start: bool = True


@dataclass(frozen=True, slots=True)
class _Target:
    """The container and the probe of one worker, as they were when it was made (3.2)."""

    pod: Pod
    container: Container
    kind: ProbeKind
    probe: Probe
    init: bool

    @property
    def uid(self) -> str:
        return (self.pod.metadata.uid if self.pod.metadata else None) or ""

    @property
    def name(self) -> str:
        return self.container.name or ""

    @property
    def field_path(self) -> str:
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.name}}}"


def _targets(pod: Pod) -> list[_Target]:
    """Every probe of regular containers and sidecars; startup, readiness, liveness of each."""
    regular = [(container, False) for container in regular_containers(pod)]
    sidecars = [(container, True) for container in init_containers(pod) if is_sidecar(container)]
    return [
        _Target(pod, container, kind, probe, init)
        for container, init in regular + sidecars
        for kind, probe in (
            (ProbeKind.STARTUP, container.startup_probe),
            (ProbeKind.READINESS, container.readiness_probe),
            (ProbeKind.LIVENESS, container.liveness_probe),
        )
        if probe is not None
    ]


class ProbeManager:
    """All probe workers of the node; `ports.Prober`."""

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._started_at = context.clock.now()
        self._started = context.clock.monotonic()
        self._workers: dict[str, dict[tuple[str, ProbeKind], _Worker]] = {}
        self._views: dict[str, StatusView] = {}
        self._results: dict[str, dict[str, ContainerProbeResults]] = {}

    def add_pod(self, pod: Pod) -> None:
        """Make the workers that are missing.

        After an agent restart nothing may have been published yet, because nothing changed: then the status
        the pod came with is the published one.
        """
        targets = _targets(pod)
        if targets and targets[0].uid not in self._views and pod.status is not None:
            self.status_published(pod, pod.status)
        for target in targets:
            workers = self._workers.setdefault(target.uid, {})
            if (target.name, target.kind) not in workers:
                workers[target.name, target.kind] = self._start(target)

    def remove_pod(self, uid: str) -> None:
        """End the pod's workers and forget what is known of it."""
        for worker in self._workers.pop(uid, {}).values():
            worker.stop()
        self._views.pop(uid, None)
        self._results.pop(uid, None)

    def stop_liveness_and_startup(self, uid: str) -> None:
        """3.7: of regular containers; those of sidecars, and readiness, go on."""
        for worker in list(self._workers.get(uid, {}).values()):
            if worker.target.kind is not ProbeKind.READINESS and not worker.target.init:
                worker.stop()

    def results(self, uid: str) -> ProbeResults:
        return self._results.get(uid, {})

    def status_published(self, pod: Pod, status: PodStatus) -> None:
        uid = pod.metadata.uid if pod.metadata else None
        if uid:
            self._views[uid] = StatusView.of(status)

    def probe_readiness_now(self, uid: str, container_name: str) -> None:
        worker = self._workers.get(uid, {}).get((container_name, ProbeKind.READINESS))
        if worker is not None:
            worker.trigger()

    async def close(self) -> None:
        """End all workers, as the agent stops."""
        tasks = [worker.task for workers in self._workers.values() for worker in workers.values()]
        for uid in list(self._workers):
            self.remove_pod(uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    def view(self, uid: str) -> StatusView | None:
        """The published status, if there is one."""
        return self._views.get(uid)

    def store(self, target: _Target, container_id: str, result: ProbeOutcome | None) -> None:
        """Keep the result of one kind for one instance; None forgets it."""
        results = self._results.setdefault(target.uid, {})
        entry = _with(results.get(container_id, NO_RESULTS), target.kind, result)
        if entry != NO_RESULTS:
            results[container_id] = entry
        else:
            results.pop(container_id, None)

    def ended(self, worker: _Worker) -> None:
        """A worker has ended by itself or was stopped; a later `add_pod` may make it again."""
        target = worker.target
        workers = self._workers.get(target.uid, {})
        if workers.get((target.name, target.kind)) is worker:
            del workers[target.name, target.kind]
            if worker.state.container_id:
                self.store(target, worker.state.container_id, None)

    def _start(self, target: _Target) -> _Worker:
        context, timing = self._context, ProbeTiming.of(target.probe)
        state = ProbeState(
            kind=target.kind,
            timing=timing,
            restarts_after=partial(restarts_after_exit, target.pod, target.container),
            agent_started=self._started_at,
            pod_is_deleted=bool(target.pod.metadata and target.pod.metadata.deletion_timestamp),
        )
        young = context.clock.monotonic() - self._started < timing.period
        delay = context.random.uniform(0, timing.period) if young and context.spread_start else 0.0
        return _Worker(self, context, target, state, delay)


def _with(
    entry: ContainerProbeResults, kind: ProbeKind, result: ProbeOutcome | None
) -> ContainerProbeResults:
    match kind:
        case ProbeKind.LIVENESS:
            return replace(entry, liveness=result)
        case ProbeKind.READINESS:
            return replace(entry, readiness=result)
        case ProbeKind.STARTUP:
            return replace(entry, startup=result)


class _Worker:
    """One task that checks one container with one probe."""

    def __init__(
        self,
        manager: ProbeManager,
        context: ProbeContext,
        target: _Target,
        state: ProbeState,
        delay: float,
    ) -> None:
        self.target = target
        self.state = state
        self._manager = manager
        self._context = context
        self._ticker = Ticker(state.timing.period)
        self._delay = delay
        name = f"probe {target.kind} {target.uid} {target.name}"
        self.task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def trigger(self) -> None:
        self._ticker.trigger()

    def stop(self) -> None:
        self.task.cancel()
        self._manager.ended(self)

    async def _run(self) -> None:
        try:
            if self._delay:
                await asyncio.sleep(self._delay)
                self._ticker.restart()
            while True:
                late = await self._ticker.wait()
                if not await self._survive(self._check(late)):
                    return
        finally:
            self._manager.ended(self)

    async def _survive(self, check: Coroutine[Any, Any, bool]) -> bool:
        """A mistake in this program is loud, but the container must not go unprobed for it."""
        try:
            return await check
        except Exception:
            _log.exception("cannot probe container %s of pod %s", self.target.name, self.target.uid)
            return True

    async def _check(self, late: float) -> bool:
        """One check (3.3): look, probe, account, tell. False: the worker ends."""
        status = self._manager.view(self.target.uid)
        if status is None:
            return True
        view = status.container(self.target.name)
        clock, state = self._context.clock, self.state
        former = (state.container_id, state.result)
        decision = state.check(view, clock.now(), clock.monotonic())
        self._publish(*former)
        if decision is not Decision.PROBE:
            return decision is Decision.WAIT
        began = clock.monotonic()
        outcome = await self._probe_with_retries(view)
        self._report(outcome)
        former = (state.container_id, state.result)
        if outcome.verdict != "error":
            state.account("failure" if outcome.verdict == "failure" else "success")
            self._publish(*former)
        self._context.observe(
            ProbeObservation(
                self.target.pod,
                self.target.name,
                self.target.kind,
                outcome,
                clock.monotonic() - began,
                state.result,
                late,
            )
        )
        return True

    def _publish(self, container_id: str, result: ProbeOutcome | None) -> None:
        """Store what changed since then, and tell the pod worker if it matters to it.

        An instance's first result says nothing that its status does not say already, and of liveness only a
        failure asks for an action.
        """
        state = self.state
        if (state.container_id, state.result) == (container_id, result):
            return
        if state.container_id != container_id:
            if container_id:
                self._manager.store(self.target, container_id, None)
            self._manager.store(self.target, state.container_id, state.result)
            return
        self._manager.store(self.target, container_id, state.result)
        if state.kind is not ProbeKind.LIVENESS or state.result == "failure":
            self._context.changed(self.target.uid)

    async def _probe_with_retries(self, view: ContainerView) -> Outcome:
        outcome = await self._probe(view)
        for _ in range(MAX_TRIES - 1):
            if outcome.verdict != "error":
                break
            outcome = await self._probe(view)
        return outcome

    async def _probe(self, view: ContainerView) -> Outcome:
        probe, container, timeout = self.target.probe, self.target.container, self.state.timing.timeout
        if probe.exec is not None:
            instance = (self.target.uid, view.container_id)
            return await exec_probe.probe(probe.exec, container, self._context.runtime, instance, timeout)
        if probe.http_get is not None:
            return await http_probe.probe(probe.http_get, container, view.pod_ip, timeout)
        if probe.tcp_socket is not None:
            return await tcp_probe.probe(probe.tcp_socket, container, view.pod_ip, timeout)
        return error(f"missing probe handler for {_full_name(self.target.pod)}:{container.name}")

    def _report(self, outcome: Outcome) -> None:
        """The Event of a check that did not succeed (3.5)."""
        kind, output = self.target.kind, outcome.output
        match outcome.verdict:
            case "failure":
                self._event("Unhealthy", f"{kind} probe failed: {output}")
            case "warning":
                self._event("ProbeWarning", f"{kind} probe warning: {output}")
            case "error":
                state = outcome.state
                self._event("Unhealthy", f"{kind} probe errored and resulted in {state} state: {output}")

    def _event(self, reason: str, message: str) -> None:
        self._context.recorder.event(self.target.pod, "Warning", reason, message, self.target.field_path)


def _full_name(pod: Pod) -> str:
    """`web_default(1b3c…)`."""
    meta = pod.metadata
    return f"{meta.name}_{meta.namespace}({meta.uid})" if meta else ""


class Ticker:
    """Ticks `period` apart, the first at once; a trigger ticks at once and starts a new grid."""

    def __init__(self, period: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._period = period
        self._next = self._loop.time()
        self._triggered = False
        self._waiter: asyncio.Future[None] | None = None

    def restart(self) -> None:
        """The first tick is now; a trigger that came before is kept."""
        self._next = self._loop.time()

    def trigger(self) -> None:
        self._triggered = True
        self._wake()

    async def wait(self) -> float:
        """Return at the next tick, or at once if one is pending; how late, in seconds."""
        while not self._triggered and self._next > self._loop.time():
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(self._next, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        now = self._loop.time()
        if self._next > now:
            self._triggered = False
            self._next = now + self._period
            return 0.0
        late = now - self._next
        self._next += self._period * (math.floor(late / self._period) + 1)
        return late

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
