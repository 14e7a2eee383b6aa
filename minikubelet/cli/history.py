"""The ReplicaSets of a Deployment as `rollout` and `describe` see them: its revisions."""

from __future__ import annotations

import copy
from typing import Any

from minikubelet.cli.client import Client
from minikubelet.cli.resources import REPLICA_SETS
from minikubelet.cli.workload_pods import selector_text

Object = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"


def history(client: Client, deployment: Object) -> list[Object]:
    """By revision, the oldest first."""
    metadata = deployment["metadata"]
    query = {"labelSelector": selector_text(deployment["spec"].get("selector"))}
    listed = client.get(REPLICA_SETS.path(metadata["namespace"]), query)["items"]
    own = [one for one in listed if _is_owned(one, metadata["uid"])]
    return sorted(own, key=revision)


def _is_owned(replica_set: Object, uid: str) -> bool:
    owners = replica_set["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner["uid"] == uid for owner in owners)


def revision(replica_set: Object) -> int:
    """0: none."""
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def template_of(obj: Object) -> Object:
    """Without the label that tells ReplicaSets apart."""
    template: Object = copy.deepcopy(obj["spec"]["template"])
    ((template.get("metadata") or {}).get("labels") or {}).pop(HASH_LABEL, None)
    return template


def new_of(deployment: Object, sets: list[Object]) -> Object | None:
    """The one with the present template."""
    wanted = template_of(deployment)
    return next((one for one in sets if template_of(one) == wanted), None)
