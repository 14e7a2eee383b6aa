"""From a pod's priorityClassName to its priority: the API server's Priority admission.

A pod cannot give itself a number: it names a class, or gets the one that is the default of all, or 0.
"""

from __future__ import annotations

from typing import Any

from minikubelet.errors import Forbidden, NotFound
from minikubelet.store import Store
from minikubelet.v1.priority_class import PREEMPT

Object = dict[str, Any]
CLASSES = "priorityclasses.scheduling.k8s.io"


def prioritize(pod: Object, store: Store) -> None:
    """Set priority and preemption policy of a new pod. Raises Forbidden."""
    spec = pod.get("spec")
    if spec is None:
        return  # validation has the words
    chosen = _class_of(pod, store)
    name, value = chosen["metadata"]["name"], chosen.get("value", 0)
    if name:
        spec["priorityClassName"] = name
    if spec.get("priority", value) != value:
        raise _forbidden(
            pod,
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name",
        )
    policy = chosen.get("preemptionPolicy", PREEMPT)
    if spec.get("preemptionPolicy", policy) != policy:
        raise _forbidden(
            pod,
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod "
            f"spec; priority admission controller computed {policy} from the given PriorityClass name",
        )
    spec["priority"], spec["preemptionPolicy"] = value, policy


def _class_of(pod: Object, store: Store) -> Object:
    """The class it names; of several defaults the lowest; a class without a name where there is none."""
    name = pod["spec"].get("priorityClassName")
    if name:
        try:
            return store.get(CLASSES, "", name)
        except NotFound:
            raise _forbidden(pod, f"no PriorityClass with name {name} was found") from None
    defaults = [one for one in store.list(CLASSES)[0] if one.get("globalDefault")]
    return min(defaults, key=lambda one: int(one.get("value", 0)), default={"metadata": {"name": ""}})


def _forbidden(pod: Object, text: str) -> Forbidden:
    name = pod["metadata"].get("name", "")
    return Forbidden(f'pods "{name}" is forbidden: {text}', name=name, kind="pods")
