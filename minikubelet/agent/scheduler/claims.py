"""Can a pod have the claims it names? The scheduler's VolumeBinding and VolumeRestrictions. Pure.

A claim is bound when it is made (its class binds immediately), to a directory of the only node, so there is
no choice of a volume to make: it is there, or the pod waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minikubelet.v1 import Pod, PodSpec

ONE_POD = "ReadWriteOncePod"

Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class ClaimInfo:
    """What matters of a claim."""

    bound: bool = False
    ending: bool = False  # being deleted
    for_one_pod: bool = False  # ReadWriteOncePod

    @classmethod
    def of(cls, claim: dict[str, Any]) -> ClaimInfo:
        return cls(
            bound=claim.get("status", {}).get("phase") == "Bound",
            ending="deletionTimestamp" in claim["metadata"],
            for_one_pod=ONE_POD in claim.get("spec", {}).get("accessModes", ()),
        )


def claim_keys(pod: Pod) -> Iterator[Key]:
    """Of the claims that the pod's volumes refer to, in their order."""
    namespace = (pod.metadata and pod.metadata.namespace) or ""
    for volume in (pod.spec or PodSpec()).volumes or ():
        if volume.persistent_volume_claim is not None:
            yield namespace, volume.persistent_volume_claim.claim_name or ""


def claim_objection(pod: Pod, claims: Mapping[Key, ClaimInfo]) -> str:
    """Why the pod cannot run anywhere, in the scheduler's words; "" when nothing is in its way."""
    unbound = False
    for key in claim_keys(pod):
        claim = claims.get(key)
        if claim is None:
            return f'persistentvolumeclaim "{key[1]}" not found'
        if claim.ending:
            return f'persistentvolumeclaim "{key[1]}" is being deleted'
        unbound = unbound or not claim.bound
    return "pod has unbound immediate PersistentVolumeClaims" if unbound else ""


def is_taken(pod: Pod, claims: Mapping[Key, ClaimInfo], others: Iterator[Pod]) -> bool:
    """Does another pod use a claim that is for one pod only?"""
    own = {key for key in claim_keys(pod) if key in claims and claims[key].for_one_pod}
    return bool(own) and any(key in own for other in others for key in claim_keys(other))
