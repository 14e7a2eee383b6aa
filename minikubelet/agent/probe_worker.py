"""One probe worker: a task that checks one container with one probe, tick after tick.

`agent.prober` makes it, gives it what it works with (`ProbeContext`) and keeps its results (`Keeper`).
Whether to probe and what an outcome means is decided in `agent.probe_state`; the actions are in
`agent.probes`. Here is the waiting (`Ticker`), the three tries of a check that errors, the Events of a check
that did not succeed, and the rule which changes of a result the pod worker hears of.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from minikubelet.runtime.cri import RuntimeService
from minikubelet.v1 import Container, ObjectMeta, Pod, Probe

from .clock import Clock
from .facts import ProbeOutcome
from .ports import Random, Recorder
from .probe_metrics import ProbeMetrics, Series
from .probe_state import ContainerView, Decision, ProbeKind, ProbeState, StatusView
from .probes import exec as exec_probe
from .probes import grpc as grpc_probe
from .probes import http as http_probe
from .probes import tcp as tcp_probe
from .probes.outcome import Outcome, error

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


def no_figures(uid: str, container_id: str) -> str:
    """Of a node that keeps none."""
    return ""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What probe workers work with. `observe` and `changed` are called in the event loop and must not wait.

    `spread_start`: wait a random part of the first period while the agent is young. `pressure` tells how
    starved a container is (pod uid, container id), for the Events of pods that ask for it.
    """

    runtime: RuntimeService
    recorder: Recorder
    clock: Clock
    random: Random
    changed: Callable[[str], None]
    observe: Observer = ignore
    spread_start: bool = True
    pressure: Callable[[str, str], str] = no_figures
    metrics: ProbeMetrics = field(default_factory=ProbeMetrics)


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """The container and the probe of one worker, as they were when it was made (3.2)."""

    pod: Pod
    container: Container
    kind: ProbeKind
    probe: Probe
    init: bool
    show_pressure: bool = False

    @property
    def uid(self) -> str:
        return (self.pod.metadata.uid if self.pod.metadata else None) or ""

    @property
    def name(self) -> str:
        return self.container.name or ""

    @property
    def field_path(self) -> str:
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.name}}}"

    @property
    def series(self) -> Series:
        meta = self.pod.metadata or ObjectMeta()
        return Series(meta.namespace or "", meta.name or "", self.uid, self.name, self.kind)


class Keeper(Protocol):
    """What a worker needs of the `ProbeManager`."""

    def view(self, uid: str) -> StatusView | None:
        """The published status, if there is one."""

    def store(self, target: ProbeTarget, container_id: str, result: ProbeOutcome | None) -> None:
        """Keep the result of one kind for one instance; None forgets it."""

    def ended(self, worker: ProbeWorker) -> None:
        """It has ended by itself or was stopped."""


class ProbeWorker:
    """One task that checks one container with one probe."""

    def __init__(
        self,
        keeper: Keeper,
        context: ProbeContext,
        target: ProbeTarget,
        state: ProbeState,
        delay: float,
    ) -> None:
        self.target = target
        self.state = state
        self._keeper = keeper
        self._context = context
        self._ticker = Ticker(state.timing.period)
        self._delay = delay
        self._series = target.series
        name = f"probe {target.kind} {target.uid} {target.name}"
        self.task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def trigger(self) -> None:
        self._ticker.trigger()

    def stop(self) -> None:
        self.task.cancel()
        self._keeper.ended(self)

    async def _run(self) -> None:
        try:
            if self._delay:
                await asyncio.sleep(self._delay)
                self._ticker.restart()
            while True:
                late = await self._ticker.wait()
                if not await self._check_and_survive(late):
                    return
        finally:
            self._keeper.ended(self)

    async def _check_and_survive(self, late: float) -> bool:
        """A mistake in this program is loud, but the container must not go unprobed for it."""
        try:
            return await self._check(late)
        except Exception:
            _log.exception("cannot probe container %s of pod %s", self.target.name, self.target.uid)
            return True

    async def _check(self, late: float) -> bool:
        """One check (3.3): look, probe, account, tell. False: the worker ends."""
        status = self._keeper.view(self.target.uid)
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
        seconds = clock.monotonic() - began
        self._report(outcome, view.container_id)
        self._context.metrics.count(self._series, outcome, seconds)
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
                seconds,
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
                self._keeper.store(self.target, container_id, None)
            self._keeper.store(self.target, state.container_id, state.result)
            return
        self._keeper.store(self.target, container_id, state.result)
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
        if probe.grpc is not None:
            return await grpc_probe.probe(probe.grpc, view.pod_ip, timeout)
        return error(f"missing probe handler for {_full_name(self.target.pod)}:{container.name}")

    def _report(self, outcome: Outcome, container_id: str) -> None:
        """The Event of a check that did not succeed (3.5)."""
        kind, output = self.target.kind, outcome.output
        if self.target.show_pressure and outcome.verdict != "success":
            figures = self._context.pressure(self.target.uid, container_id)
            output += f" [{figures}]" if figures else ""
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
