"""Which container runs again, and which never does (kubelet-behaviour 2.1).

Three questions that sound alike. `restarts_after_exit`: does the policy bring a container back that ended
with this code? (The pod's phase asks this: a policy does not change when a pod is being deleted.)
`restarts_after_kill`: and one that the kubelet itself kills, for a failed probe? `should_be_started`: must
this container be started now, given what exists of it? Pure.
"""

from __future__ import annotations

from minikubelet.runtime.cri import ContainerStatus, PodRuntimeStatus
from minikubelet.v1 import Container, ContainerRestartRule, EphemeralContainer, Pod

ALWAYS, ON_FAILURE, NEVER = "Always", "OnFailure", "Never"
RESTART, RESTART_ALL = "Restart", "RestartAllContainers"


def is_sidecar(container: Container) -> bool:
    """An init container that starts in its turn and stays (2.5); asked of init containers only."""
    return container.restart_policy == ALWAYS


def has_sidecars(pod: Pod) -> bool:
    return any(is_sidecar(container) for container in init_containers(pod))


def init_containers(pod: Pod) -> list[Container]:
    assert pod.spec is not None
    return pod.spec.init_containers or []


def regular_containers(pod: Pod) -> list[Container]:
    assert pod.spec is not None
    return pod.spec.containers or []


def ephemeral_containers(pod: Pod) -> list[EphemeralContainer]:
    """Added to look into the running pod; each is started once and never again."""
    assert pod.spec is not None
    return pod.spec.ephemeral_containers or []


def all_containers(pod: Pod) -> list[Container]:
    return [*init_containers(pod), *regular_containers(pod), *ephemeral_containers(pod)]


def pod_policy(pod: Pod) -> str:
    assert pod.spec is not None
    return pod.spec.restart_policy or ALWAYS


def restarts_after_exit(pod: Pod, container: Container, exit_code: int) -> bool:
    """2.1 rows 4 and 5: the container's own rules, its own policy, else the pod's policy."""
    if container.restart_policy is None:
        return _restarts(pod_policy(pod), exit_code)
    if matching_rule(container, exit_code) is not None:
        return True
    return _restarts(container.restart_policy, exit_code)


def matching_rule(container: Container, exit_code: int) -> ContainerRestartRule | None:
    """The first of the container's rules that speaks of this exit code; both actions mean a restart."""
    rules = container.restart_policy_rules or ()
    return next((rule for rule in rules if _matches(rule, exit_code)), None)


def restarts_after_kill(pod: Pod, container: Container) -> bool:
    """A kill by the kubelet counts as a failure; rules on exit codes have nothing to look at yet."""
    return (container.restart_policy or pod_policy(pod)) != NEVER


def init_restarts_after_exit(pod: Pod, container: Container, exit_code: int) -> bool:
    """2.4, 2.5: a regular init container never runs again after exit 0, a sidecar always does."""
    if is_sidecar(container):
        return True
    return exit_code != 0 and restarts_after_exit(pod, container, exit_code)


def should_be_started(pod: Pod, container: Container, observed: PodRuntimeStatus) -> bool:
    """2.1 in full, first match wins."""
    assert pod.metadata is not None
    if pod.metadata.deletion_timestamp is not None:
        return False
    newest = latest(observed, container.name)
    if newest is None:
        return True
    if newest.state == "running":
        return False
    if newest.state != "exited":
        return True
    return restarts_after_exit(pod, container, newest.exit_code)


def latest(observed: PodRuntimeStatus, name: str | None) -> ContainerStatus | None:
    """The newest instance of a container."""
    return next((container for container in observed.containers if container.name == name), None)


def latest_exited(observed: PodRuntimeStatus, name: str | None) -> ContainerStatus | None:
    """The newest instance that has ended: where a back-off counts from (2.8)."""
    for container in observed.containers:
        if container.name == name and container.state == "exited":
            return container
    return None


def failed(instance: ContainerStatus) -> bool:
    """Of an exited init container: an OOM kill is a failure whatever the exit code says (1.10)."""
    return instance.exit_code != 0 or instance.reason == "OOMKilled"


def _restarts(policy: str, exit_code: int) -> bool:
    return policy == ALWAYS or (policy == ON_FAILURE and exit_code != 0)


def _matches(rule: ContainerRestartRule, exit_code: int) -> bool:
    if rule.action not in (RESTART, RESTART_ALL) or rule.exit_codes is None:
        return False
    listed = exit_code in (rule.exit_codes.values or ())
    return listed if rule.exit_codes.operator == "In" else not listed
