"""What a pod's status says (kubelet-behaviour section 1): phase, conditions, container states, addresses.
Pure.

The worker keeps two statuses of a pod. `generate_status` makes the first, what the kubelet believes, from the
pod, the runtime's records, probe results and the belief before. `published_status` makes of it the second,
what the API may show: a *new* terminal phase is held back until no container can be running any more.
`final_status` is the last word about a pod that is gone from the node, `rejected_status` the only one about a
pod that was never let in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import Container, ContainerState, ContainerStatus, HostIP, Pod, PodIP, PodStatus
from minikubelet.v1.qos import COMPUTE, pod_requests

from .conditions import DISRUPTION_TARGET, pod_conditions
from .container_status import (
    NOT_LOCATED,
    container_statuses,
    ephemeral_statuses,
    merge_probe_results,
    terminated_unknown,
)
from .facts import Situation
from .phase import FAILED, is_static, is_terminal, pod_phase
from .pod_actions import initialized_in_sandbox
from .restart_all import has_restart_all_rule
from .restart_policy import (
    init_containers,
    is_sidecar,
    pod_policy,
    regular_containers,
    restarts_after_exit,
)


def generate_status(
    pod: Pod, observed: PodRuntimeStatus, old: PodStatus, situation: Situation, now: datetime
) -> PodStatus:
    """The status as the kubelet believes it; `old` is the belief before, or the API's copy at the
    beginning.
    """
    init, regular = container_statuses(pod, observed, old, situation.reasons)
    phase = pod_phase(
        pod,
        init,
        regular,
        initialized_in_sandbox=initialized_in_sandbox(pod, observed),
        stopped=situation.stopped,
    )
    status = PodStatus(
        observed_generation=pod.metadata.generation if pod.metadata else None,
        start_time=old.start_time or now.replace(microsecond=0),
        init_container_statuses=init or None,
        container_statuses=regular,
        ephemeral_container_statuses=ephemeral_statuses(pod, observed, old, situation.reasons) or None,
        qos_class=_api_copy(pod).qos_class or old.qos_class,
        nominated_node_name=_api_copy(pod).nominated_node_name,
    )
    _set_phase(status, phase, pod, old, situation)
    _set_resources(status, pod, old, situation)
    _set_addresses(status, pod, observed, old, situation)
    merge_probe_results(pod, status, old, situation.results)
    disruption = situation.override.disruption if situation.override else ""
    status.conditions = pod_conditions(pod, observed, status, old, now, disruption, situation.resizes)
    return status


def _api_copy(pod: Pod) -> PodStatus:
    return pod.status or PodStatus()


def _set_phase(status: PodStatus, phase: str, pod: Pod, old: PodStatus, situation: Situation) -> None:
    """1.3.1 to 1.3.4: a terminal phase is never left; reason and message belong to the phase they came
    with.
    """
    api = _api_copy(pod)
    if not is_terminal(phase):
        phase = next((known for known in (old.phase, api.phase) if known and is_terminal(known)), phase)
    status.phase = phase
    if phase == old.phase:
        status.reason = old.reason or api.reason
        status.message = old.message or api.message
    if situation.override:
        status.phase = situation.override.phase
        status.reason = situation.override.reason
        status.message = situation.override.message
    if is_terminal(api.phase):
        status.phase = api.phase


def _set_resources(status: PodStatus, pod: Pod, old: PodStatus, situation: Situation) -> None:
    """What the pod as a whole was granted, and, where the spec speaks of the pod as a whole, what is applied
    (6.9, 6.12).
    """
    assert pod.spec is not None
    granted = pod_requests(pod)
    status.allocated_resources = {name: granted[name] for name in COMPUTE if name in granted} or None
    keeps_old = situation.resize_unfinished and old.resources is not None
    status.resources = old.resources if keeps_old else pod.spec.resources


def _set_addresses(
    status: PodStatus, pod: Pod, observed: PodRuntimeStatus, old: PodStatus, situation: Situation
) -> None:
    """1.6. A finished pod keeps the last address known."""
    assert pod.spec is not None
    host_ips = situation.node.host_ips
    status.host_ip = host_ips[0] if host_ips else None
    status.host_ips = [HostIP(ip=ip) for ip in host_ips] or None
    pod_ips = [sandbox.ip for sandbox in observed.sandboxes[:1] if sandbox.ready and sandbox.ip]
    if pod.spec.host_network:
        pod_ips = list(host_ips)
    if not pod_ips:
        pod_ips = [one.ip for one in old.pod_ips or () if one.ip]
    status.pod_ip = pod_ips[0] if pod_ips else None
    status.pod_ips = [PodIP(ip=ip) for ip in pod_ips] or None


# What the API may show


def published_status(status: PodStatus, published: PodStatus, *, may_be_running: bool) -> PodStatus:
    """1.3.5: hold a new terminal phase back while a container may be running; the conditions show it
    already.
    """
    if not may_be_running or is_terminal(published.phase) or not is_terminal(status.phase):
        return status
    held = _copy(status)
    held.phase, held.reason, held.message = published.phase, published.reason, published.message
    shown = {condition.type for condition in published.conditions or ()}
    held.conditions = [
        condition
        for condition in status.conditions or ()
        if condition.type != DISRUPTION_TARGET or DISRUPTION_TARGET in shown
    ]
    return held


def illegal_transition(pod: Pod, status: PodStatus, old: PodStatus) -> str | None:
    """1.3.6: the name of a container that left `terminated` although it may not be restarted."""
    old_states = {one.name: one.state for one in _all_statuses(old)}
    definitions = {c.name: c for c in [*init_containers(pod), *regular_containers(pod)]}
    for one in _all_statuses(status):
        before = old_states.get(one.name)
        if before is None or before.terminated is None or (one.state and one.state.terminated):
            continue
        if not _may_leave_terminated(pod, definitions[one.name], before.terminated.exit_code or 0):
            return one.name
    return None


def _may_leave_terminated(pod: Pod, container: Container, exit_code: int) -> bool:
    """Init containers run again in a new sandbox, whatever they ended with. (The kubelet forgets this under
    OnFailure, and such a pod's status stands still.)
    """
    if container in init_containers(pod) and (is_sidecar(container) or pod_policy(pod) != "Never"):
        return True
    if pod_policy(pod) == "Always" or has_restart_all_rule(pod):
        return True
    return restarts_after_exit(pod, container, exit_code)


def _all_statuses(status: PodStatus) -> list[ContainerStatus]:
    return [*(status.init_container_statuses or ()), *(status.container_statuses or ())]


def _copy(status: PodStatus) -> PodStatus:
    """A new object with the same parts; parts are replaced, never changed in place."""
    return PodStatus(**{name: getattr(status, name) for name in status.__struct_fields__})


# The end


def final_status(pod: Pod, status: PodStatus) -> PodStatus:
    """1.4: the pod is gone from the node; whatever has no known end is said to have failed."""
    final = _copy(status)
    if _has_initialized(pod, status):
        final.container_statuses = [_ended(one) for one in status.container_statuses or ()]
    tried = _tried_init_containers(status.init_container_statuses or ())
    rest = (status.init_container_statuses or [])[len(tried) :]
    final.init_container_statuses = [*(_ended(one) for one in tried), *rest] or None
    if not is_static(pod) and not is_terminal(status.phase):
        final.phase = FAILED
    return final


def _ended(status: ContainerStatus) -> ContainerStatus:
    if status.state is not None and status.state.terminated is not None:
        return status
    ended = ContainerStatus(**{name: getattr(status, name) for name in status.__struct_fields__})
    ended.state = ContainerState(terminated=terminated_unknown(NOT_LOCATED))
    ended.ready = ended.started = False
    return ended


def _has_initialized(pod: Pod, status: PodStatus) -> bool:
    """Is there evidence that regular containers were, or would have been, started?"""
    containers = init_containers(pod)
    if not containers:
        return True
    if any(not _waits_for_first_start(one) for one in status.container_statuses or ()):
        return True
    by_name = {one.name: one for one in status.init_container_statuses or ()}
    last = by_name.get(containers[-1].name)
    if last is None:
        return False
    if is_sidecar(containers[-1]):
        return bool(last.state and last.state.running and last.started)
    ends = [state.terminated for state in (last.state, last.last_state) if state]
    return any(end is not None and end.exit_code == 0 for end in ends)


def _tried_init_containers(statuses: Sequence[ContainerStatus]) -> Sequence[ContainerStatus]:
    """All but the trailing run that shows no evidence of a start; but always the first."""
    for length in range(len(statuses), 0, -1):
        if not _waits_for_first_start(statuses[length - 1]):
            return statuses[:length]
    return statuses[:1]


def _waits_for_first_start(status: ContainerStatus) -> bool:
    waiting = status.state is not None and status.state.waiting is not None
    return waiting and not (status.last_state and status.last_state.terminated)


def rejected_status(pod: Pod, reason: str, message: str, now: datetime) -> PodStatus:
    """1.5: the whole status of a pod that admission on the node refused."""
    return PodStatus(
        observed_generation=pod.metadata.generation if pod.metadata else None,
        phase=FAILED,
        reason=reason,
        message=f"Pod was rejected: {message}",
        qos_class=_api_copy(pod).qos_class,
        start_time=now.replace(microsecond=0),
    )
