"""What one probe worker remembers and how it decides: the pure half of the prober.

A probe worker looks at one container of one pod with one kind of probe. At every tick it asks
`ProbeState.check` whether to probe at all (kubelet-behaviour 3.3, rows 2–9, in that order), and after a
probe tells `ProbeState.account` how it went (3.4). Both leave the result that is now stored for the container
instance; `agent.prober` keeps those results for the pod worker and does all the waiting.

              new container id
    ┌────────────────────────────────────────────┐
    ▼                                            │
  initial ──── success × successThreshold ───▶ success ◀─┐
    │                                            │       │ readiness goes both ways for ever
    └───────── failure × failureThreshold ───▶ failure ──┘ liveness, startup: on hold until a new id

No asyncio, no clock: `now` and `monotonic` are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from minikubelet.v1 import ContainerStatus, PodStatus, Probe

from .facts import ProbeOutcome

FINAL_PHASES = ("Succeeded", "Failed")


class ProbeKind(StrEnum):
    """The three kinds; the values are as Events spell them."""

    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


INITIAL: dict[ProbeKind, ProbeOutcome] = {
    ProbeKind.STARTUP: "unknown",
    ProbeKind.READINESS: "failure",
    ProbeKind.LIVENESS: "success",
}


class Decision(Enum):
    """What a worker does at a tick."""

    WAIT = "wait for the next tick"
    PROBE = "probe now"
    END = "end the worker"


@dataclass(frozen=True, slots=True)
class ProbeTiming:
    """The numbers of a probe, with the API's defaults filled in (3.1)."""

    period: float
    timeout: float
    initial_delay: int
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Probe, period: float | None = None, timeout: float | None = None) -> ProbeTiming:
        """`period` and `timeout`: what annotations put in the place of the manifest's whole seconds."""
        return cls(
            period=period or probe.period_seconds or 10,
            timeout=timeout or probe.timeout_seconds or 1,
            initial_delay=probe.initial_delay_seconds or 0,
            success_threshold=probe.success_threshold or 1,
            failure_threshold=probe.failure_threshold or 3,
        )


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container as the published status shows it: all that a check may look at."""

    phase: str = ""
    pod_ip: str = ""
    container_id: str = ""  # without scheme; empty: not created yet
    started_at: datetime | None = None  # None: not running
    started: bool = False
    exit_code: int | None = None  # None: not terminated


@dataclass(frozen=True, slots=True)
class StatusView:
    """A published pod status, for checks; taken when it is published, since statuses are mutable."""

    phase: str
    pod_ip: str
    containers: Mapping[str, ContainerView]

    @classmethod
    def of(cls, status: PodStatus) -> StatusView:
        phase, pod_ip = status.phase or "", status.pod_ip or ""
        found = {}
        # Regular containers last: their names win.
        for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
            found[container.name or ""] = _container_view(phase, pod_ip, container)
        return cls(phase, pod_ip, found)

    def container(self, name: str) -> ContainerView:
        return self.containers.get(name) or ContainerView(self.phase, self.pod_ip)


def _container_view(phase: str, pod_ip: str, container: ContainerStatus) -> ContainerView:
    state = container.state
    running = state.running if state else None
    terminated = state.terminated if state else None
    started_at = running.started_at if running else None
    return ContainerView(
        phase=phase,
        pod_ip=pod_ip,
        container_id=(container.container_id or "").rpartition("://")[2],
        # Statuses have whole seconds; initialDelaySeconds counts from those.
        started_at=started_at.replace(microsecond=0) if started_at else None,
        started=bool(container.started),
        exit_code=(terminated.exit_code or 0) if terminated else None,
    )


@dataclass(slots=True)
class ProbeState:
    """The memory of one worker. `result` belongs to `container_id`; the run outlives a restart (3.4)."""

    kind: ProbeKind
    timing: ProbeTiming
    restarts_after: Callable[[int], bool]  # an exit code: will the container be started again?
    agent_started: datetime
    pod_is_deleted: bool = False  # as of the worker's creation (3.2)
    container_id: str = ""
    result: ProbeOutcome | None = None  # None: nothing is stored for this instance
    on_hold: bool = False
    last_outcome: ProbeOutcome | None = None
    run: int = 0
    _seen: tuple[float, float] | None = None  # monotonic, and the age the running instance had then

    def check(self, view: ContainerView, now: datetime, monotonic: float) -> Decision:
        """Rows 2 to 9 of 3.3."""
        if view.phase in FINAL_PHASES:
            return Decision.END
        if not view.container_id:
            return Decision.WAIT
        if view.container_id != self.container_id:
            self._meet(view)
        if self.on_hold:
            return Decision.WAIT
        if view.started_at is None:
            self.result = "failure"
            ended = view.exit_code is not None and not self.restarts_after(view.exit_code)
            return Decision.END if ended else Decision.WAIT
        if self.pod_is_deleted and self.kind is not ProbeKind.READINESS:
            self.result = "success"
            return Decision.END
        if int(self._age(view.started_at, now, monotonic)) < self.timing.initial_delay:
            return Decision.WAIT
        if view.started == (self.kind is ProbeKind.STARTUP):
            return Decision.WAIT
        return Decision.PROBE

    def account(self, outcome: ProbeOutcome) -> None:
        """3.4, for an outcome that is not an error of the prober."""
        self.run = self.run + 1 if outcome == self.last_outcome else 1
        self.last_outcome = outcome
        success = outcome == "success"
        if self.run < (self.timing.success_threshold if success else self.timing.failure_threshold):
            return
        self.result = outcome
        if self.kind is ProbeKind.STARTUP or (self.kind is ProbeKind.LIVENESS and not success):
            # It has started for good or is about to be killed: leave it alone until there is a new one.
            self.on_hold = True
            self.run = 0

    def _meet(self, view: ContainerView) -> None:
        """A new instance (row 4). One that ran before the agent did keeps what its status says: the kubelet
        wants it to be ten seconds older, and so shows a Ready pod as NotReady for a while (14.1).
        """
        self.container_id = view.container_id
        self.on_hold = False
        self._seen = None
        adopted = view.started_at is not None and view.started_at < self.agent_started
        self.result = None if adopted else INITIAL[self.kind]

    def _age(self, started_at: datetime, now: datetime, monotonic: float) -> float:
        """Seconds since `started_at`; the wall clock is read once, so that stepping it delays nothing."""
        if self._seen is None:
            self._seen = (monotonic, (now - started_at).total_seconds())
        seen_at, age = self._seen
        return age + (monotonic - seen_at) + 1e-6  # whole seconds are compared: forgive float rounding
