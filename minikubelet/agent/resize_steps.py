"""The acting part of an in-place resize: what `resize` decided, written to the cgroups in its order."""

from __future__ import annotations

from collections.abc import Sequence

from minikubelet.errors import ResizeError
from minikubelet.runtime.cri import RuntimeService
from minikubelet.v1 import Pod

from .resize import BELOW_USAGE, ContainerResize, PodStep, joined, memory_errors, steps


async def apply_resize(pod: Pod, resizes: Sequence[ContainerResize], runtime: RuntimeService) -> None:
    """Until everything of the (allocated) pod is as it was granted. Raises RuntimeServiceError; what was
    written before stays, and the next time the rest is done.
    """
    cgroup = await runtime.pod_cgroup(pod)
    errors = memory_errors(cgroup, resizes)
    if errors:
        raise ResizeError(BELOW_USAGE + joined(errors))
    for step in steps(cgroup, resizes):
        if isinstance(step, PodStep):
            await runtime.update_pod_cgroup(pod, step.files)
        else:
            resize = step.resize
            await runtime.update_container_resources(
                pod, resize.container, resize.container_id, step.resource
            )
