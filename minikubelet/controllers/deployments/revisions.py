"""The ReplicaSets of a Deployment as its history: which is the present one, and the annotations that say so.

Each state of the template has one ReplicaSet, told from the others by a hash of the template in its name, its
labels and its selector (`pod-template-hash`), and numbered by an annotation. Pure (deployment/util).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from minikubelet.controllers.controller_refs import controller_ref

Object = dict[str, Any]

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
# Of the Deployment alone; all others are copied to its ReplicaSets.
NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAXIMUM,
}
LONGEST_HISTORY = 2000  # characters
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words


def annotations_of(obj: Object) -> dict[str, str]:
    """To read."""
    found: dict[str, str] = obj["metadata"].get("annotations") or {}
    return found


def annotate(obj: Object, key: str, value: str) -> None:
    obj["metadata"].setdefault("annotations", {})[key] = value


def revision(replica_set: Object) -> int:
    text = annotations_of(replica_set).get(REVISION, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def number(replica_set: Object, key: str) -> int | None:
    """An annotation that counts replicas."""
    text = annotations_of(replica_set).get(key, "")
    return int(text) if text.isdecimal() and len(text) < 11 else None


def by_age(replica_sets: Sequence[Object]) -> list[Object]:
    return sorted(
        replica_sets, key=lambda rs: (rs["metadata"].get("creationTimestamp", ""), rs["metadata"]["name"])
    )


def find_new(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet with the present template; of several the oldest, so that the answer stays the same."""
    wanted = _comparable(deployment["spec"]["template"])
    return next((rs for rs in by_age(replica_sets) if _comparable(rs["spec"]["template"]) == wanted), None)


def _comparable(template: Object) -> Any:
    """Without the hash, and without what says nothing: clients write `resources: {}`, or leave it."""
    template = copy.deepcopy(template)
    ((template.get("metadata") or {}).get("labels") or {}).pop(HASH_LABEL, None)
    return _pruned(template)


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        pruned = {key: _pruned(part) for key, part in value.items()}
        return {key: part for key, part in pruned.items() if part not in ({}, [], None)}
    return [_pruned(part) for part in value] if isinstance(value, list) else value


def template_hash(template: Object, collisions: int) -> str:
    """Eight to ten letters and digits; another one after each collision of names."""
    text = json.dumps([_comparable(template), collisions], sort_keys=True)
    digits = str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"))
    return "".join(_LETTERS[ord(digit) % len(_LETTERS)] for digit in digits)


def new_replica_set(deployment: Object) -> Object:
    """To be created, with no replicas yet."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    hashed = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount", 0))
    template = copy.deepcopy(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH_LABEL] = hashed
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = hashed
    return {
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [controller_ref(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": selector,
            "template": template,
        },
    }


def number_new(deployment: Object, new: Object, old: Sequence[Object]) -> None:
    """The present ReplicaSet has the highest number: after a roll back an old one gets a new number, and
    remembers those it had. The Deployment's annotations are its own, too.
    """
    for key, value in annotations_of(deployment).items():
        if key not in NOT_COPIED and annotations_of(new).get(key) != value:
            annotate(new, key, value)
    before, now = revision(new), max((revision(rs) for rs in old), default=0) + 1
    if before < now:
        if before:
            history = [*filter(None, annotations_of(new).get(REVISION_HISTORY, "").split(",")), str(before)]
            while len(",".join(history)) > LONGEST_HISTORY:
                history.pop(0)
            annotate(new, REVISION_HISTORY, ",".join(history))
        annotate(new, REVISION, str(now))
    if annotations_of(deployment).get(REVISION) != annotations_of(new)[REVISION]:
        annotate(deployment, REVISION, annotations_of(new)[REVISION])
