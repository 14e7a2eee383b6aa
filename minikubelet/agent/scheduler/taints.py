"""Taints of the node and tolerations of a pod (kubelet-behaviour 7.3). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from minikubelet.v1 import Pod, Taint, Toleration

NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "PreferNoSchedule", "NoExecute"
KEEPS_OUT = (NO_SCHEDULE, NO_EXECUTE)
UNSCHEDULABLE = Taint(key="node.kubernetes.io/unschedulable", effect=NO_SCHEDULE)


def tolerations_of(pod: Pod) -> Sequence[Toleration]:
    return (pod.spec.tolerations if pod.spec else None) or ()


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Key and effect are equal (empty: any), and the operator is Exists or the values are equal."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in (None, "", "Equal") and (toleration.value or "") == (taint.value or "")


def tolerated(pod: Pod, taint: Taint) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations_of(pod))


def untolerated(pod: Pod, taints: Collection[Taint], effects: Collection[str]) -> list[Taint]:
    """The taints with one of these effects that the pod does not bear."""
    return [taint for taint in taints if taint.effect in effects and not tolerated(pod, taint)]


def seconds_to_stay(pod: Pod, taints: Collection[Taint]) -> float | None:
    """How long the pod may stay beside the NoExecute taints among these: 0 not at all, None for ever.

    Of several tolerations for one taint the first counts, of several periods the shortest.
    """
    periods = []
    for taint in taints:
        if taint.effect != NO_EXECUTE:
            continue
        toleration = next((one for one in tolerations_of(pod) if tolerates(one, taint)), None)
        if toleration is None:
            return 0.0
        if toleration.toleration_seconds is not None:
            periods.append(max(0.0, float(toleration.toleration_seconds)))
    return min(periods, default=None)
