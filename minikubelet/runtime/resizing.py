"""Resources of what already runs: the cgroups of a pod and its containers, read and written again.

The order of the writes is decided elsewhere (`agent.resize`). What was written is put down in the shim's
record of the container (label `resources`) after it was written: an agent that dies in between does it again.
"""

from __future__ import annotations

import errno
from collections.abc import Collection

from minikubelet.linux import cgroup
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.cri import PodCgroup
from minikubelet.runtime.resources import CgroupSettings
from minikubelet.runtime.sandbox import Sandbox
from minikubelet.v1 import ResourceRequirements

MEMORY_USAGE = "memory.current"


def read_pod(cgroups: Cgroups, wanted: CgroupSettings, sandbox: Sandbox) -> PodCgroup:
    """Files that this kernel has; a container that ends meanwhile uses nothing any more. Raises OSError."""
    directory = cgroups.path(wanted.path)
    kept = {name: text for name, text in wanted.files.items() if name.split(".")[0] in cgroups.controllers}
    running = [record.id for record in sandbox.record.containers if record.state == "running"]
    with_memory = "memory" in cgroups.controllers
    return PodCgroup(
        files={name: cgroup.read(directory, name) for name in kept},
        wanted=kept,
        usage=int(cgroup.read(directory, MEMORY_USAGE)) if with_memory else 0,
        container_usage={id: _usage(f"{directory}/{id}") for id in running} if with_memory else {},
    )


def _usage(directory: str) -> int:
    try:
        return int(cgroup.read(directory, MEMORY_USAGE))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return 0
        raise


def chosen(settings: CgroupSettings, names: Collection[str]) -> CgroupSettings:
    """Only these files, or only those of these controllers, in their order."""
    files = {
        name: text for name, text in settings.files.items() if name in names or name.split(".")[0] in names
    }
    return CgroupSettings(settings.path, files)


def merged(
    before: ResourceRequirements | None, applied: ResourceRequirements, resource: str
) -> ResourceRequirements:
    """What is applied to a container now that `resource`, cpu or memory, was applied anew."""
    former = before or ResourceRequirements()
    return ResourceRequirements(
        requests=_one_of(former.requests, applied.requests, resource),
        limits=_one_of(former.limits, applied.limits, resource),
    )


def _one_of(old: dict[str, str] | None, new: dict[str, str] | None, resource: str) -> dict[str, str]:
    kept = {name: text for name, text in (old or {}).items() if name != resource}
    return kept | {name: text for name, text in (new or {}).items() if name == resource}
