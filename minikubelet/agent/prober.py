"""The probe workers: one asyncio task per (pod, container, kind), and the results they store.

The pod worker makes them (`add_pod`, just before it starts containers), reads their results, and is told by
`changed(uid)` when one changed; it alone kills. A worker sees a container only as the *published status*
shows it (`status_published`), so that what it probes is what everybody else was told runs. Decisions are
`agent.probe_state`'s; the actions are in `agent.probes`; `agent.probe_worker` waits:

- ticks are `periodSeconds` apart counted from the worker's creation; a slow check leaves at most one tick
  pending, the others are dropped, and the grid stays where it was;
- `probe_readiness_now` checks at once and starts a new grid from that moment;
- while the agent is younger than a period, a worker first waits a random part of it, so that the workers of
  an agent that came back do not all probe at once. Those of a pod that is newer than the agent do not wait:
  there is no such crowd, and in Kubernetes, where nodes are old, they would not wait either.

A check runs in its worker's own task: any number of hung servers delay nobody else.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from random import Random

from minikubelet.v1 import Pod, PodStatus
from minikubelet.v1.probe_options import ProbeOptions

from .facts import NO_RESULTS, ContainerProbeResults, ProbeOutcome, ProbeResults
from .probe_state import ProbeKind, ProbeState, ProbeTiming, StatusView
from .probe_worker import ProbeContext, ProbeObservation, ProbeTarget, ProbeWorker
from .restart_policy import init_containers, is_sidecar, regular_containers, restarts_after_exit

__all__ = ["ProbeContext", "ProbeManager", "ProbeObservation"]


class ProbeManager:
    """All probe workers of the node; `ports.Prober`."""

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._started_at = context.clock.now()
        self._started = context.clock.monotonic()
        self._workers: dict[str, dict[tuple[str, ProbeKind], ProbeWorker]] = {}
        self._views: dict[str, StatusView] = {}
        self._results: dict[str, dict[str, ContainerProbeResults]] = {}

    def add_pod(self, pod: Pod) -> None:
        """Make the workers that are missing.

        After an agent restart nothing may have been published yet, because nothing changed: then the status
        the pod came with is the published one.
        """
        options = ProbeOptions.of(pod)
        targets = _targets(pod, options)
        if targets and targets[0].uid not in self._workers:
            self._tell_mistakes(pod, options)
        if targets and targets[0].uid not in self._views and pod.status is not None:
            self.status_published(pod, pod.status)
        for target in targets:
            workers = self._workers.setdefault(target.uid, {})
            if (target.name, target.kind) not in workers:
                workers[target.name, target.kind] = self._start(target, options)

    def remove_pod(self, uid: str) -> None:
        """End the pod's workers and forget what is known of it."""
        for worker in self._workers.pop(uid, {}).values():
            worker.stop()
            self._context.metrics.forget(worker.target.series)
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

    def store(self, target: ProbeTarget, container_id: str, result: ProbeOutcome | None) -> None:
        """Keep the result of one kind for one instance; None forgets it."""
        results = self._results.setdefault(target.uid, {})
        entry = _with(results.get(container_id, NO_RESULTS), target.kind, result)
        if entry != NO_RESULTS:
            results[container_id] = entry
        else:
            results.pop(container_id, None)

    def ended(self, worker: ProbeWorker) -> None:
        """A worker has ended by itself or was stopped; a later `add_pod` may make it again."""
        target = worker.target
        workers = self._workers.get(target.uid, {})
        if workers.get((target.name, target.kind)) is worker:
            del workers[target.name, target.kind]
            self._context.metrics.forget(target.series)
            if worker.state.container_id:
                self.store(target, worker.state.container_id, None)

    def _is_newer(self, pod: Pod) -> bool:
        """Was it made while this agent ran? Stamps of the API have whole seconds."""
        created = pod.metadata.creation_timestamp if pod.metadata else None
        return created is not None and created >= self._started_at.replace(microsecond=0)

    def _tell_mistakes(self, pod: Pod, options: ProbeOptions) -> None:
        """The API lets none in; a pod may have come another way."""
        for mistake in options.mistakes:
            text = f"annotation {mistake.key} is ignored: {mistake.detail}"
            self._context.recorder.event(pod, "Warning", "InvalidProbeOption", text)

    def _start(self, target: ProbeTarget, options: ProbeOptions) -> ProbeWorker:
        context = self._context
        kind = target.kind.lower()
        timing = ProbeTiming.of(
            target.probe,
            options.seconds.get(("period", kind, target.name)),
            options.seconds.get(("timeout", kind, target.name)),
        )
        state = ProbeState(
            kind=target.kind,
            timing=timing,
            restarts_after=partial(restarts_after_exit, target.pod, target.container),
            agent_started=self._started_at,
            pod_is_deleted=bool(target.pod.metadata and target.pod.metadata.deletion_timestamp),
        )
        return ProbeWorker(self, context, target, state, self._delay(target, timing.period, options.seed))

    def _delay(self, target: ProbeTarget, period: float, seed: int | None) -> float:
        """How long a new worker waits before its first tick."""
        young = self._context.clock.monotonic() - self._started < period
        if not young or not self._context.spread_start or self._is_newer(target.pod):
            return 0.0
        chance = self._context.random if seed is None else Random(f"{seed}/{target.name}/{target.kind}")
        return chance.uniform(0, period)


def _targets(pod: Pod, options: ProbeOptions) -> list[ProbeTarget]:
    """Every probe of regular containers and sidecars; startup, readiness, liveness of each."""
    regular = [(container, False) for container in regular_containers(pod)]
    sidecars = [(container, True) for container in init_containers(pod) if is_sidecar(container)]
    return [
        ProbeTarget(pod, container, kind, probe, init, options.pressure)
        for container, init in regular + sidecars
        for kind, probe in (
            (ProbeKind.STARTUP, container.startup_probe),
            (ProbeKind.READINESS, container.readiness_probe),
            (ProbeKind.LIVENESS, container.liveness_probe),
        )
        if probe is not None
    ]


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
