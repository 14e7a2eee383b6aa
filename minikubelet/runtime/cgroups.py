"""The pod and container cgroups below the node's cgroup2 mount.

Paths are relative to the mount (`kubepods/burstable/pod…`). A controller the node has not is not written to;
whether a *limit* can be kept is asked before anything is made (`cannot_enforce`), so that none is ever
dropped in silence (DESIGN, rule 6).
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

from minikubelet.linux import cgroup
from minikubelet.runtime import node_stats
from minikubelet.runtime.cri import PodUsage
from minikubelet.runtime.node_stats import Left
from minikubelet.runtime.resources import KUBEPODS, CgroupSettings

CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset", "hugetlb")
REMOVE_TRIES, ENDING_TRIES, REMOVE_PAUSE = (
    100,
    50,
    0.02,
)  # a killed process leaves its cgroup a moment after it was reaped


class Cgroups:
    """`controllers`: those the mount offers; empty on a hybrid machine whose controllers cgroup v1 holds."""

    def __init__(self, mount: Path, controllers: frozenset[str]) -> None:
        self.mount = mount
        self.controllers = controllers & set(CONTROLLERS)

    def path(self, relative: str) -> str:
        return str(self.mount / relative)

    def start(self, settings: list[CgroupSettings]) -> None:
        """kubepods and its QoS classes; the controllers are handed down to the pods."""
        self._hand_down(self.mount)
        for one in settings:
            self.create(one)
            self._hand_down(self.mount / one.path)

    async def stop(self, shims: str) -> None:
        """Remove the hierarchy as far as no pod is left in it. If no process of a pod is, then shims (and the
        zygote) that are just ending are waited for; those of running pods keep their cgroup.
        """
        for relative in (f"{KUBEPODS}/burstable", f"{KUBEPODS}/besteffort", KUBEPODS):
            self._remove_empty(relative)
        tries = 1 if cgroup.populated(self.path(KUBEPODS)) else ENDING_TRIES
        for _ in range(tries):
            if self._remove_empty(shims):
                return
            await asyncio.sleep(REMOVE_PAUSE)

    def _remove_empty(self, relative: str) -> bool:
        """True when it is gone; False while something lives in it or below."""
        try:
            (self.mount / relative).rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            return False
        return True

    def cannot_enforce(self, settings: CgroupSettings) -> str:
        """Why the limits in `settings` would not hold here; empty when they would."""
        missing = sorted(settings.needs - self.controllers)
        if not missing:
            return ""
        return f"this node cannot enforce it: its cgroup2 has no {' and no '.join(missing)} controller"

    def create(self, settings: CgroupSettings) -> None:
        directory = self.mount / settings.path
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.write(settings)

    def write(self, settings: CgroupSettings) -> None:
        """The values of a cgroup that is there. A file the kernel has not is left out, but for the limit of a
        page size that it does not know: nothing would keep that.
        """
        directory = self.mount / settings.path
        for name, value in settings.files.items():
            if name.split(".")[0] not in self.controllers:
                continue
            if (directory / name).exists() or (name.startswith("hugetlb.") and value != "0"):
                cgroup.write(str(directory), name, value)

    def create_pod(self, settings: CgroupSettings) -> None:
        self.create(settings)
        self._hand_down(self.mount / settings.path)

    def children(self, relative: str) -> list[str]:
        directory = self.mount / relative
        return [path.name for path in directory.iterdir() if path.is_dir()] if directory.exists() else []

    def kill(self, relative: str) -> None:
        """Everything in it and below, at once."""
        if (self.mount / relative).exists():
            cgroup.kill(self.path(relative))

    def try_remove(self, relative: str) -> None:
        """Remove it if it is empty already; who removes the pod will come back for the rest."""
        try:
            cgroup.remove(self.path(relative))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise

    async def remove(self, relative: str) -> None:
        """It and everything below; killed processes are waited for."""
        for _ in range(REMOVE_TRIES):
            try:
                return cgroup.remove(self.path(relative))
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            await asyncio.sleep(REMOVE_PAUSE)
        raise OSError(errno.EBUSY, "cannot remove cgroup: processes in it do not end", self.path(relative))

    def usage(self, relative: str) -> tuple[int, int]:
        """(CPU nanoseconds, working set bytes) as cAdvisor counts them: usage less inactive file pages.

        Where nobody keeps account of memory, it is what the processes have for themselves.
        """
        path = self.path(relative)
        cpu = cgroup.read_keyed(path, "cpu.stat").get("usage_usec", 0) * 1000
        if "memory" not in self.controllers:
            return cpu, sum(map(node_stats.read_own_memory, cgroup.processes(path)))
        inactive = cgroup.read_keyed(path, "memory.stat").get("inactive_file", 0)
        return cpu, max(0, int(cgroup.read(path, "memory.current")) - inactive)

    def pod_usage(self, relative: str) -> PodUsage | None:
        """Of a pod's cgroup and all below; None: it is gone, or nobody keeps account."""
        if not {"memory", "pids"} <= self.controllers:
            return None
        try:
            _, memory = self.usage(relative)
            return PodUsage(memory, int(cgroup.read(self.path(relative), "pids.current")))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return None

    def memory_left(self, relative: str) -> Left | None:
        """Of the limit of a cgroup; None: it has none, or nobody keeps account."""
        path = self.path(relative)
        if "memory" not in self.controllers or not Path(path).exists():
            return None
        limit = cgroup.read(path, "memory.max")
        if limit == "max":
            return None
        _, working_set = self.usage(relative)
        return Left(max(0, int(limit) - working_set), int(limit))

    def _hand_down(self, directory: Path) -> None:
        """Enable every controller we use for the children of `directory`."""
        cgroup.enable(str(directory), self.controllers)
