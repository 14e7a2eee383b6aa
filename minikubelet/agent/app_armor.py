"""AppArmor: what a pod asks for, and why this node cannot give it (kubelet-behaviour 7.1).

A profile that is not there must not be left out silently, so a pod that asks for one is rejected, as a
kubelet without AppArmor rejects it. An ephemeral container comes later: it is not started. Unconfined asks
for nothing.
"""

from __future__ import annotations

from pathlib import Path

from minikubelet.errors import CreateContainerError
from minikubelet.v1 import AppArmorProfile, Container, Pod, PodSpec

from .facts import Rejection

REASON = "AppArmor"
ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"  # + a container's name; before the fields
ENABLED = Path("/sys/module/apparmor/parameters/enabled")


def why_not_enforced(enabled: Path = ENABLED) -> str:
    """What the node says to whoever wants a profile. Never empty: none is applied here."""
    if enabled.exists() and enabled.read_text().startswith("Y"):
        return "AppArmor profiles are not applied by minikubelet"
    return "AppArmor is not enabled on the host"


def app_armor_rejection(pod: Pod, reason: str) -> Rejection | None:
    """Of a pod that is new; one that runs is not asked again. Pure."""
    spec = pod.spec or PodSpec()
    if pod.status is not None and pod.status.phase not in (None, "Pending"):
        return None
    if any(_asks(pod, container) for container in (*(spec.init_containers or ()), *(spec.containers or ()))):
        return Rejection(REASON, f"Cannot enforce AppArmor: {reason}")
    return None


def refuse_profile(pod: Pod, container: Container) -> None:
    """Before a container is made: it may have been added to a pod that was admitted long ago. Raises
    CreateContainerError.
    """
    if _asks(pod, container):
        raise CreateContainerError(f"Cannot enforce AppArmor: {why_not_enforced()}")


def _asks(pod: Pod, container: Container) -> bool:
    """The container's field, the pod's, the old annotation."""
    spec = pod.spec or PodSpec()
    for context in (container.security_context, spec.security_context):
        profile: AppArmorProfile | None = context.app_armor_profile if context else None
        if profile is not None:
            return profile.type != "Unconfined"
    annotations = (pod.metadata.annotations if pod.metadata else None) or {}
    return annotations.get(f"{ANNOTATION}{container.name}", "unconfined") not in ("unconfined", "")
