"""Which pod is beyond a storage limit of its own (kubelet-behaviour 6.11, 10.2, 13.7 last row). Pure.

Nothing in the kernel holds these limits: the disk is looked at every 10 s, and a pod that has taken too much
is evicted. Only pods with such a limit are measured.
"""

from __future__ import annotations

from minikubelet.runtime.cri import PodDiskUsage
from minikubelet.v1 import Pod, PodSpec
from minikubelet.v1.qos import pod_limits
from minikubelet.v1.quantity import Quantity

from .thresholds import STORAGE


def has_storage_limits(pod: Pod) -> bool:
    return bool(_volume_limits(pod)) or STORAGE in pod_limits(pod)


def storage_violation(pod: Pod, usage: PodDiskUsage) -> str | None:
    """The message of its eviction; the kubelet's order: volumes, the whole pod, its containers."""
    for name, limit in _volume_limits(pod).items():
        if usage.volumes.get(name, 0) > limit.value():
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    whole = pod_limits(pod).get(STORAGE)
    if whole is not None and usage.total > Quantity.parse(whole).value():
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {whole}. "
    for name, limit in _container_limits(pod).items():
        if usage.container(name) > limit.value():
            return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
    return None


def _volume_limits(pod: Pod) -> dict[str, Quantity]:
    """Of emptyDirs on disk; those in memory cannot grow beyond theirs."""
    found = {}
    for volume in (pod.spec or PodSpec()).volumes or ():
        source = volume.empty_dir
        if source is not None and source.size_limit and not source.medium:
            limit = Quantity.parse(source.size_limit)
            if limit.nanos > 0:
                found[volume.name or ""] = limit
    return found


def _container_limits(pod: Pod) -> dict[str, Quantity]:
    """Of regular containers."""
    found = {}
    for container in (pod.spec or PodSpec()).containers or ():
        limits = (container.resources.limits if container.resources else None) or {}
        limit = Quantity.parse(limits.get(STORAGE, "0"))
        if limit.nanos > 0:
            found[container.name or ""] = limit
    return found
