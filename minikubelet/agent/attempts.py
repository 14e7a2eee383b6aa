"""How often each container was made: the attempt of its next instance, which becomes its restartCount (1.8).

The newest instance says it, but instances can vanish (removed by hand, a reboot empties /run), and a count
shown to users must never fall. So the highest number seen is remembered: from the runtime at every
observation, and from the API object when the worker begins, which is all that a restarted agent needs.
"""

from __future__ import annotations

from minikubelet.runtime.cri import PodRuntimeStatus
from minikubelet.v1 import PodStatus


class Attempts:
    """For one pod."""

    def __init__(self, status: PodStatus | None) -> None:
        self._next: dict[str, int] = {}
        status = status or PodStatus()
        for one in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
            # A container id in the status means: the instance with this very number existed.
            self._next[one.name or ""] = (one.restart_count or 0) + (1 if one.container_id else 0)

    def observe(self, observed: PodRuntimeStatus) -> None:
        for instance in observed.containers:
            self._next[instance.name] = max(self.next(instance.name), instance.attempt + 1)

    def next(self, name: str) -> int:
        return self._next.get(name, 0)
