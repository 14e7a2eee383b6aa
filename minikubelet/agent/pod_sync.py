"""The acting part of a pod's sync (kubelet-behaviour 2.3, step 6): PodActions, carried out in their order.

Also kept here is what one round must know of those before it: how often each container was made, what is in
back-off, why the last start of each container failed (1.8.1), and when each instance ended, on the clock
that nobody steps. None of it is needed to go on after a restart of the agent; it makes back-offs grow and
reasons visible.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from minikubelet.errors import CreatePodCgroupError, FailedMount, RuntimeServiceError
from minikubelet.runtime.cri import ContainerStatus, PodRuntimeStatus
from minikubelet.v1 import Container, Pod

from .attempts import Attempts
from .backoff import Backoff
from .container_start import BackoffState, Start, StartFailed, start_container
from .facts import WaitingReason
from .names import uid_of
from .pod_actions import PodActions
from .ports import Collaborators
from .resize_steps import apply_resize
from .restart_policy import init_containers, is_sidecar, latest_exited
from .termination import Kill, container_grace, kill_container, kill_containers, pod_ip

logger = logging.getLogger(__name__)

Show = Callable[[Pod, PodRuntimeStatus], object]

RESET_MESSAGE = "killing"
# A container that fails at once may reset its pod again and again, and no back-off holds it up. The kubelet
# hears of exits once a second, by its relist; without a relist the second must be made.
BETWEEN_RESETS = 1.0


class PodSync:
    """For one pod. `show` is called when something new should be seen before all is done."""

    def __init__(self, pod: Pod, use: Collaborators, show: Show) -> None:
        self.reasons: dict[str, WaitingReason] = {}  # container name → why its last start failed
        self.resize_failed = False  # in the last round
        self._use = use
        self._show = show
        self._uid = uid_of(pod)
        self._attempts = Attempts(pod.status)
        self._backoff = BackoffState(crashes=Backoff(cap=use.max_restart_delay))
        self._ended_at: dict[str, float] = {}  # container id → monotonic
        self._no_reset_before = -math.inf  # monotonic

    async def observe(self) -> PodRuntimeStatus:
        """What exists; when each instance ended is noted on the monotonic clock, where nobody steps it."""
        observed = await self._use.runtime.pod_status(self._uid)
        self._attempts.observe(observed)
        now, wall = self._use.clock.monotonic(), self._use.clock.now().timestamp()
        for one in observed.containers:
            if one.state == "exited" and one.id not in self._ended_at:
                self._ended_at[one.id] = now - max(0.0, wall - one.finished_at)
        return observed

    async def carry_out(self, pod: Pod, observed: PodRuntimeStatus, actions: PodActions) -> list[StartFailed]:
        """What was decided on `observed`, in its order; the starts that failed."""
        self._forget_ends(observed)
        if actions.to_reset:
            await self._reset(pod, observed, actions.to_reset)
            return []
        await self._kill(pod, observed, actions)
        await self._prune_init_containers(pod, observed)
        sandbox = observed
        if actions.create_sandbox:
            sandbox = await self._create_sandbox(pod, observed, actions)
        elif not actions.kill_pod:
            await self._refresh_volumes(pod)
        failures = []
        for debugger in actions.ephemeral_to_start:
            failure = await self._start(pod, debugger, observed, sandbox)
            if failure is not None:
                failures.append(failure)
        for container in actions.init_to_start:
            failure = await self._start(pod, container, observed, sandbox)
            if failure is not None:
                failures.append(failure)
                if not is_sidecar(container):
                    return failures
        await self._resize(pod, actions)
        for container in actions.to_start:
            failure = await self._start(pod, container, observed, sandbox)
            if failure is not None:
                failures.append(failure)
        return failures

    async def _resize(self, pod: Pod, actions: PodActions) -> None:
        """A failure is shown (6.12) and stops nobody else; it is tried again in the next round."""
        allocations = self._use.allocations
        self.resize_failed = False
        gone = actions.kill_pod and not actions.create_sandbox
        if gone or not (actions.to_resize or allocations.is_stale(self._uid)):
            return
        try:
            await apply_resize(pod, actions.to_resize, self._use.runtime)
        except RuntimeServiceError as error:
            self.resize_failed = True
            allocations.failed(pod, str(error))
        else:
            allocations.applied(pod)

    def _forget_ends(self, observed: PodRuntimeStatus) -> None:
        known = {one.id for one in observed.containers}
        self._ended_at = {id: at for id, at in self._ended_at.items() if id in known}

    async def _kill(self, pod: Pod, observed: PodRuntimeStatus, actions: PodActions) -> None:
        with self._kill_failures(pod):
            if actions.kill_pod:
                if actions.create_sandbox and observed.sandboxes:
                    text = "Pod sandbox changed, it will be killed and re-created."
                    self._use.recorder.event(pod, "Normal", "SandboxChanged", text)
                await kill_containers(pod, observed, None, self._use)
                await self._use.runtime.stop_pod_sandbox(self._uid)
                return
            for kill in actions.to_kill:
                grace = container_grace(pod, kill.container, kill.probe)
                address = pod_ip(observed, self._use)
                ending = Kill(pod, kill.container, kill.container_id, grace, kill.message, address)
                await kill_container(ending, self._use)

    @contextmanager
    def _kill_failures(self, pod: Pod) -> Iterator[None]:
        try:
            yield
        except RuntimeServiceError as error:
            self._use.recorder.event(pod, "Warning", "FailedKillPod", f"error killing pod: {error}")
            raise

    async def _reset(self, pod: Pod, observed: PodRuntimeStatus, containers: Sequence[Container]) -> None:
        """2.7: every instance of these goes, without preStop and without grace; only the logs stay."""
        now = self._use.clock.monotonic()
        await asyncio.sleep(max(0.0, self._no_reset_before - now))
        for container in containers:
            name = container.name or ""
            instances = observed.instances(name)
            for one in instances:
                if one.state in ("running", "unknown"):
                    with self._kill_failures(pod):
                        await kill_container(Kill(pod, container, one.id, 0, RESET_MESSAGE), self._use)
            await self._remove(instances, keep_log=True)
            self.reasons.pop(name, None)
        self._no_reset_before = self._use.clock.monotonic() + BETWEEN_RESETS

    async def _prune_init_containers(self, pod: Pod, observed: PodRuntimeStatus) -> None:
        """2.4: of each one only its newest dead instance is kept, so one that is done has no lastState."""
        for container in init_containers(pod):
            await self._remove(_dead(observed.instances(container.name or ""))[1:])

    async def _refresh_volumes(self, pod: Pod) -> None:
        """A volume that cannot follow its object any more is told of and holds up nothing (10.5)."""
        for failure in await self._use.runtime.refresh_volumes(pod):
            self._use.recorder.event(pod, "Warning", failure.reason, str(failure))

    async def _create_sandbox(
        self, pod: Pod, observed: PodRuntimeStatus, actions: PodActions
    ) -> PodRuntimeStatus:
        """What exists with it. Its being there is shown before images are pulled (1.7)."""
        for container in init_containers(pod):
            # They run again from the first; what they did in the sandbox before no longer counts.
            await self._remove(_dead(observed.instances(container.name or "")))
        try:
            await self._use.runtime.run_pod_sandbox(pod, actions.attempt)
        except FailedMount as error:
            for text in error.messages:
                self._use.recorder.event(pod, "Warning", error.reason, text)
            raise
        except CreatePodCgroupError as error:
            text = f"unable to ensure pod container exists: {error}"
            self._use.recorder.event(pod, "Warning", "FailedCreatePodContainer", text)
            raise
        except RuntimeServiceError as error:
            text = f"Failed to create pod sandbox: {error}"
            self._use.recorder.event(pod, "Warning", "FailedCreatePodSandBox", text)
            raise
        created = await self.observe()
        self._show(pod, created)
        return created

    async def _start(
        self, pod: Pod, container: Container, observed: PodRuntimeStatus, sandbox: PodRuntimeStatus
    ) -> StartFailed | None:
        """One container; its failure becomes the reason it is waiting (1.8.1) and stops nobody else.

        `observed` is from before this round's kills: the back-off of a container that was just killed counts
        from the end of the instance before it (2.2).
        """
        name = container.name or ""
        exited = latest_exited(observed, name)
        start = Start(
            pod=pod,
            container=container,
            attempt=self._attempts.next(name),
            pod_ip=pod_ip(sandbox, self._use),
            ended_at=self._ended_at[exited.id] if exited else None,
        )
        try:
            await start_container(start, self._backoff, self._use)
        except StartFailed as failure:
            self.reasons[name] = failure.waiting
            return failure
        self.reasons.pop(name, None)
        await self._remove(_dead(observed.instances(name)[1:]))  # what stays is shown as lastState
        return None

    async def _remove(self, instances: Sequence[ContainerStatus], *, keep_log: bool = False) -> None:
        """Dead instances that nobody looks at any more; what resists is removed with the pod."""
        for instance in instances:
            try:
                await self._use.runtime.remove_container(self._uid, instance.id, keep_log=keep_log)
            except RuntimeServiceError as error:
                logger.warning("cannot remove an old instance of container %s: %s", instance.name, error)


def _dead(instances: Sequence[ContainerStatus]) -> list[ContainerStatus]:
    return [one for one in instances if one.state != "running"]
