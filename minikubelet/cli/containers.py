"""Which container of a pod a command means (kubelet-behaviour 11.3), and what became of it."""

from __future__ import annotations

from typing import Any

from minikubelet.cli.base import complain
from minikubelet.cli.errors import CliError

DEFAULT_ANNOTATION = "kubectl.kubernetes.io/default-container"
KINDS = (("initContainers", "init"), ("containers", ""), ("ephemeralContainers", "ephem"))
STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def all_names(pod: dict[str, Any]) -> list[str]:
    """Init containers first, then regular, then ephemeral ones."""
    return [container["name"] for field, _ in KINDS for container in pod["spec"].get(field) or ()]


def choose(pod: dict[str, Any], wanted: str, *, quiet: bool = False) -> str:
    """The container named by -c, or the default one; says on stderr when it had to choose."""
    pod_name = pod["metadata"]["name"]
    if wanted:
        if wanted not in all_names(pod):
            raise CliError(f"container {wanted} is not valid for pod {pod_name} out of: {_listed(pod)}")
        return wanted
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT_ANNOTATION)
    if annotated in all_names(pod):
        return str(annotated)
    if annotated and not quiet:
        complain(f'Default container name "{annotated}" not found in pod {pod_name}')
    regular = pod["spec"].get("containers") or ()
    if not regular:
        raise CliError(f"pod {pod_name} has no containers")
    first = str(regular[0]["name"])
    if len(all_names(pod)) > 1 and not quiet:
        complain(f'Defaulted container "{first}" out of: {_listed(pod)}')
    return first


def spec_of(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """The container's definition."""
    for field, _ in KINDS:
        for container in pod["spec"].get(field) or ():
            if container["name"] == name:
                return dict(container)
    return {}


def status_of(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """The container's status; empty when it has none yet."""
    for field in STATUSES:
        for status in (pod.get("status") or {}).get(field) or ():
            if status["name"] == name:
                return dict(status)
    return {}


def _listed(pod: dict[str, Any]) -> str:
    """`a, b, i (init), e (ephem)`."""
    words = []
    for field, word in (KINDS[1], KINDS[0], KINDS[2]):
        for container in pod["spec"].get(field) or ():
            words.append(f"{container['name']} ({word})" if word else container["name"])
    return ", ".join(words)
