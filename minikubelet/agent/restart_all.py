"""RestartAllContainers: a rule that turns the exit of one container into a new beginning of all of them
(kubelet-behaviour 2.7). Pure.

A container whose newest instance exited by such a rule is a *source*. While there is a source, the pod is
being reset: every instance is removed, and then all start again from the first init container, in the same
sandbox, with the same address and volumes. Sources are removed last, so a reset that was interrupted in the
middle (the agent died) is still to be seen, and goes on. Since no dead instance is left, no crash back-off
delays these starts.
"""

from __future__ import annotations

from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import Container, Pod, PodStatus

from .restart_policy import (
    RESTART_ALL,
    init_containers,
    latest,
    matching_rule,
    regular_containers,
)

CONDITION = "AllContainersRestarting"
STARTED_REASON = "RestartAllContainersStarted"
STARTED_MESSAGE = "container exited with restart policy rule"
REASON = "RestartingAllContainers"
REMOVED_MESSAGE = "The container is removed because RestartAllContainers in place"


def has_restart_all_rule(pod: Pod) -> bool:
    """Only of such pods the condition speaks."""
    return any(
        rule.action == RESTART_ALL
        for container in [*init_containers(pod), *regular_containers(pod)]
        for rule in container.restart_policy_rules or ()
    )


def is_source(pod: Pod, container: Container, observed: PodRuntimeStatus) -> bool:
    """Did its newest instance exit in a way that resets the pod? A pod that is being deleted is not reset."""
    if pod.metadata is not None and pod.metadata.deletion_timestamp is not None:
        return False
    newest = latest(observed, container.name)
    if newest is None or newest.state != "exited":
        return False
    rule = matching_rule(container, newest.exit_code)
    return rule is not None and rule.action == RESTART_ALL


def is_being_reset(pod: Pod, observed: PodRuntimeStatus) -> bool:
    return any(is_source(pod, one, observed) for one in [*init_containers(pod), *regular_containers(pod)])


def was_being_reset(status: PodStatus) -> bool:
    """As a status said: what has vanished since then was removed on purpose."""
    return any(one.type == CONDITION and one.status == "True" for one in status.conditions or ())


def containers_to_reset(pod: Pod, observed: PodRuntimeStatus) -> tuple[Container, ...]:
    """In the order of their removal: regular ones, init containers, then the sources in the same order."""
    if not is_being_reset(pod, observed):
        return ()
    existing = [
        container
        for container in [*regular_containers(pod), *init_containers(pod)]
        if observed.instances(container.name or "")
    ]
    return tuple(sorted(existing, key=lambda one: is_source(pod, one, observed)))
