"""In-place resize: the decisions (kubelet-behaviour 6.12). Pure.

1. `verdict`: may the pod have what it asks for now? Never (Infeasible), not yet (Deferred), or yes.
2. `resize_of`: what a running container lacks of what its pod was granted, and whether it must restart.
3. `steps`: in which order cgroups are written. At no moment may a pod's limit be below the sum of what its
   containers may use if that is not where it is going: a limit that rises does so at the pod first, one that
   falls at the containers first; of several containers those that give back come first. Memory, then cpu.
4. `memory_errors`: a limit below what is used now would be an OOM kill; it is not even begun.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from mmap import PAGESIZE

from minikubelet.runtime import memory_qos
from minikubelet.runtime.cri import ContainerStatus, PodCgroup
from minikubelet.runtime.resources import Enforcement, is_critical, milli, whole
from minikubelet.v1 import Container, Pod, PodSpec, ResourceRequirements, to_dict
from minikubelet.v1.qos import compute_of, pod_requests, qos_class

from .phase import is_static

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
DEFERRED, INFEASIBLE, ERROR = "Deferred", "Infeasible", "Error"
STATIC = "In-place resize of static-pods is not supported"
SWAP = "In-place resize of containers with swap is not supported."
BELOW_USAGE = "cannot decrease memory limits: "
RESTART = "RestartContainer"
MEMORY, CPU = "memory", "cpu"  # in the order in which they are written

# Of a pod's cgroup: where its limit stands, and where what it was promised.
LIMIT_FILE = {MEMORY: "memory.max", CPU: "cpu.max"}
REQUEST_FILES = {MEMORY: ("memory.min", "memory.low"), CPU: ("cpu.weight",)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is Deferred, Infeasible, or empty: granted."""

    reason: str = ""
    message: str = ""


GRANTED = Verdict()


def verdict(
    desired: Pod,
    granted: Pod,
    allocatable: Mapping[str, int],
    *,
    rules: Enforcement,
    refused: str = "",
    rejected: str = "",
) -> Verdict:
    """`allocatable`: cpu in thousandths. `refused`: why the node cannot keep such a limit at all; `rejected`:
    why admission would not let the pod in beside the others now.
    """
    if is_static(desired):
        return Verdict(INFEASIBLE, STATIC)
    if refused:
        return Verdict(INFEASIBLE, refused)
    if _moves_swap(desired, granted, rules):
        return Verdict(INFEASIBLE, SWAP)
    requests = pod_requests(desired)
    for resource, amount in ((MEMORY, whole), (CPU, milli)):
        asked, capacity = amount(requests.get(resource)), allocatable.get(resource, 0)
        if asked > capacity:
            text = f"{resource}, requested: {asked}, capacity: {capacity}"
            return Verdict(INFEASIBLE, f"Node didn't have enough capacity: {text}")
    return Verdict(DEFERRED, rejected) if rejected else GRANTED


def _moves_swap(desired: Pod, granted: Pod, rules: Enforcement) -> bool:
    """The share of swap follows the memory request, and what is swapped out already cannot be moved."""
    before = {one.name: one for one in _containers(granted)}
    for container in _containers(desired):
        former = before.get(container.name)
        if former is None or _memory_request(container) == _memory_request(former):
            continue
        if _policy(container, MEMORY) == RESTART:
            continue
        if _swap(desired, container, rules) or _swap(granted, former, rules):
            return True
    return False


def _swap(pod: Pod, container: Container, rules: Enforcement) -> int:
    limits = (container.resources.limits if container.resources else None) or {}
    if is_critical(pod):
        return 0
    return memory_qos.swap(
        qos_class(pod), _memory_request(container), whole(limits.get(MEMORY)), rules.memory
    )


def _memory_request(container: Container) -> int:
    return whole(((container.resources.requests if container.resources else None) or {}).get(MEMORY))


def _containers(pod: Pod) -> list[Container]:
    spec = pod.spec or PodSpec()
    return [*(spec.init_containers or ()), *(spec.containers or ())]


# Who is tried first when room was made


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod with a deferred resize; `since` on the monotonic clock."""

    desired: Pod
    granted: Pod
    since: float


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Who asks for no more; higher priority; Guaranteed before others; who has waited longest."""
    return sorted(waiting, key=_rank)


def _rank(one: Waiting) -> tuple[bool, int, bool, float]:
    spec = one.desired.spec or PodSpec()
    guaranteed = qos_class(one.desired) == "Guaranteed"
    return (_asks_for_more(one.desired, one.granted), -(spec.priority or 0), not guaranteed, one.since)


def _asks_for_more(desired: Pod, granted: Pod) -> bool:
    new, old = pod_requests(desired), pod_requests(granted)
    return milli(new.get(CPU)) > milli(old.get(CPU)) or whole(new.get(MEMORY)) > whole(old.get(MEMORY))


# What a running container lacks


@dataclass(frozen=True, slots=True)
class ContainerResize:
    """A running instance to which something else is applied than was granted."""

    container: Container
    container_id: str
    applied: ResourceRequirements
    granted: ResourceRequirements

    @property
    def resources(self) -> tuple[str, ...]:
        """Those that differ, in the order in which they are written."""
        return tuple(name for name in (MEMORY, CPU) if self._amounts(name) != self._amounts(name, new=True))

    @property
    def needs_restart(self) -> bool:
        return any(_policy(self.container, name) == RESTART for name in self.resources)

    def gives_back(self, resource: str) -> bool:
        """By its limit, or, where that stays, by its request; no limit is more than any."""
        (new_limit, new_request), (old_limit, old_request) = (
            self._amounts(resource, new=True),
            self._amounts(resource),
        )
        if new_limit != old_limit:
            return (new_limit or math.inf) < (old_limit or math.inf)
        return new_request < old_request

    def _amounts(self, resource: str, *, new: bool = False) -> tuple[int, int]:
        """(limit, request); 0: none."""
        side = self.granted if new else self.applied
        amount = milli if resource == CPU else whole
        return amount((side.limits or {}).get(resource)), amount((side.requests or {}).get(resource))

    @property
    def lower_memory_limit(self) -> int:
        """The new one in bytes, when it is lower than before; else 0."""
        (new, _), (old, _) = self._amounts(MEMORY, new=True), self._amounts(MEMORY)
        return new if new and new < (old or math.inf) else 0


def resize_of(pod: Pod, container: Container, newest: ContainerStatus) -> ContainerResize | None:
    """None: what is applied is what was granted (or nobody knows what is applied)."""
    if newest.state != "running" or newest.resources is None:
        return None
    granted = compute_of(pod.spec or PodSpec(), container)
    found = ContainerResize(container, newest.id, newest.resources, granted)
    return found if found.resources else None


def _policy(container: Container, resource: str) -> str:
    policies = {one.resource_name: one.restart_policy for one in container.resize_policy or ()}
    return policies.get(resource) or "NotRequired"


# The order of the writes


@dataclass(frozen=True, slots=True)
class PodStep:
    """Write these files of the pod's own cgroup."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContainerStep:
    """Write cpu or memory of a container's cgroup."""

    resize: ContainerResize
    resource: str


def steps(cgroup: PodCgroup, resizes: Sequence[ContainerResize]) -> list[PodStep | ContainerStep]:
    """Memory before cpu, each by the rule above. A limit that is no longer wanted stays, as in the
    kubelet.
    """
    found: list[PodStep | ContainerStep] = []
    for resource in (MEMORY, CPU):
        files = (LIMIT_FILE[resource], *REQUEST_FILES[resource])
        rising = tuple(name for name in files if _moves(cgroup, name) > 0)
        falling = tuple(name for name in files if _moves(cgroup, name) < 0)
        changed = [one for one in resizes if resource in one.resources]
        found += [PodStep((name,)) for name in rising]
        found += [
            ContainerStep(one, resource)
            for one in sorted(changed, key=lambda one: not one.gives_back(resource))
        ]
        found += [PodStep((name,)) for name in falling]
    return found


def _moves(cgroup: PodCgroup, name: str) -> int:
    if name not in cgroup.wanted:
        return 0
    old, new = _number(name, cgroup.files.get(name, "max")), _number(name, cgroup.wanted[name])
    return (new > old) - (new < old)


def _number(name: str, text: str) -> float:
    """The kernel counts memory in whole pages."""
    first = text.split()[0]
    if first == "max":
        return math.inf
    return int(first) // PAGESIZE * PAGESIZE if name.startswith("memory.") else int(first)


def memory_errors(cgroup: PodCgroup, resizes: Sequence[ContainerResize]) -> list[str]:
    """Why memory limits cannot be lowered now; empty: they can, as far as one can know."""
    found = []
    name = LIMIT_FILE[MEMORY]
    limit = int(cgroup.wanted[name]) if _moves(cgroup, name) < 0 else 0
    if limit and cgroup.usage >= limit:
        found.append(f"attempting to set pod memory limit ({limit}) below current usage ({cgroup.usage})")
    for one in resizes:
        limit, used = one.lower_memory_limit, cgroup.container_usage.get(one.container_id, 0)
        if limit and used >= limit:
            found.append(
                f'attempting to set container "{one.container.name}" memory limit ({limit}) '
                f"below current usage ({used})"
            )
    return found


def joined(errors: Sequence[str]) -> str:
    """As Go prints several errors as one."""
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


# What is said


def event_message(what: str, pod: Pod, generation: int | None, error: str = "") -> str:
    """`Pod resize started: {"containers":[…],"generation":2}`"""
    spec = pod.spec or PodSpec()
    summary: dict[str, object] = {}
    for key, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        if containers:
            summary[key] = [_summary(container) for container in containers]
    summary["generation"] = generation or 0
    if error:
        summary["error"] = error
    return f"Pod resize {what}: {json.dumps(summary, separators=(',', ':'), ensure_ascii=False)}"


def _summary(container: Container) -> dict[str, object]:
    """Keys in the order in which Go prints them."""
    resources = to_dict(container.resources) if container.resources else {}
    sides = {key: resources[key] for key in ("limits", "requests") if resources.get(key)}
    sorted_sides = {key: dict(sorted(amounts.items())) for key, amounts in sides.items()}
    return {"name": container.name or "", "resources": sorted_sides}
