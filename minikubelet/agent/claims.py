"""PersistentVolumeClaims: bound to directories of this node, kept while pods use them, removed with their
data.

This is what a cluster has four parts for: a provisioner, the volume controller, the protection of claims in
use, and the reclaim policy (Delete). One claim is one directory:

    created ──▶ directory, Bound ──▶ deleted ──▶ Terminating while a pod names it ──▶ data gone, object gone

Every step finds out by itself what is done already, so an agent that died in the middle just goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minikubelet.errors import Conflict, InternalError, NotFound
from minikubelet.runtime.environment import CLAIMS
from minikubelet.runtime.removal import remove_tree
from minikubelet.store import Store
from minikubelet.v1 import ObjectReference, Pod, from_dict

from .events import EventRecorder
from .scheduler.claims import claim_keys

logger = logging.getLogger(__name__)

PROTECTION = "kubernetes.io/pvc-protection"
CONTROLLER = "persistentvolume-controller"
STORAGE_CLASS = "standard"  # what a claim gets that names none; every name is taken for it
BOUND = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
MODE = 0o777  # any user of any image may write, as with the provisioners of single-node clusters

Claim = dict[str, Any]


class Claims:
    """One for the node; `directory` holds the data of all claims. Used in the event loop only."""

    def __init__(self, store: Store, directory: Path, recorder: EventRecorder) -> None:
        self._store = store
        self._directory = directory
        self._recorder = recorder
        self._removals: dict[str, asyncio.Task[None]] = {}  # uid of a claim whose data is being removed

    async def follow(self) -> None:
        """For ever: every claim there is or will be."""
        claims, revision = self._store.list(CLAIMS)
        for claim in claims:
            self._look(claim)
        async for kind, claim, _ in self._store.watch(CLAIMS, since=revision):
            if kind != "DELETED":
                self._look(claim)

    async def follow_pods(self) -> None:
        """For ever: the end of a pod may be the end of claims that waited for it."""
        async for kind, pod, _ in self._store.watch("pods"):
            if kind == "DELETED":
                for namespace, name in claim_keys(from_dict(Pod, pod)):
                    self._look_at(namespace, name)

    def _look_at(self, namespace: str, name: str) -> None:
        try:
            claim = self._store.get(CLAIMS, namespace, name)
        except NotFound:
            return
        self._look(claim)

    def _look(self, claim: Claim) -> None:
        metadata = claim["metadata"]
        if "deletionTimestamp" not in metadata:
            if claim.get("status", {}).get("phase") != "Bound":
                with self._failures(claim):
                    self._bind(claim)
        elif PROTECTION in metadata.get("finalizers", ()) and not self._is_used(claim):
            self._begin_removal(claim)

    @contextmanager
    def _failures(self, claim: Claim) -> Iterator[None]:
        metadata = claim["metadata"]
        try:
            yield
        except (Conflict, NotFound):
            return  # it was changed or removed meanwhile: the watch brings the newer one
        except (OSError, InternalError) as error:
            logger.warning("claim %s/%s: %s", metadata["namespace"], metadata["name"], error)
            self._tell(claim, "Warning", "ProvisioningFailed", f"failed to provision volume: {error}")

    def _bind(self, claim: Claim) -> None:
        refusal = why_not(claim)
        if refusal:
            self._tell(claim, "Warning", "ProvisioningFailed", refusal)
            return
        path = self._path(claim)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        path.chmod(MODE)
        self._store.update(CLAIMS, bound(claim))
        name = volume_name(claim)
        self._tell(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    def _is_used(self, claim: Claim) -> bool:
        """As long as there is the object of a pod that has a node and refers to it, finished or not."""
        key = (claim["metadata"]["namespace"], claim["metadata"]["name"])
        return any(
            pod["spec"].get("nodeName") and key in claim_keys(from_dict(Pod, pod))
            for pod in self._store.list("pods", key[0])[0]
        )

    def _begin_removal(self, claim: Claim) -> None:
        """Ten million files take long, and other claims must not wait for them."""
        uid = claim["metadata"]["uid"]
        if uid not in self._removals:
            self._removals[uid] = asyncio.create_task(self._remove(claim), name=f"remove claim {uid}")

    async def _remove(self, claim: Claim) -> None:
        """First the data, then the finalizer: whatever is interrupted is done again."""
        metadata = claim["metadata"]
        try:
            with self._failures(claim):
                await asyncio.to_thread(remove_tree, self._path(claim))
                self._release(metadata["namespace"], metadata["name"])
        finally:
            del self._removals[metadata["uid"]]

    def _release(self, namespace: str, name: str) -> None:

        def release(obj: Claim) -> None:
            kept = [one for one in obj["metadata"].get("finalizers", ()) if one != PROTECTION]
            obj["metadata"]["finalizers"] = kept

        self._store.modify(CLAIMS, namespace, name, release)

    def _path(self, claim: Claim) -> Path:
        return self._directory / str(claim["metadata"]["namespace"]) / str(claim["metadata"]["uid"])

    def _tell(self, claim: Claim, kind: str, reason: str, message: str) -> None:
        metadata = claim["metadata"]
        about = ObjectReference(
            kind="PersistentVolumeClaim",
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            api_version="v1",
        )
        self._recorder.event_about(about, kind, reason, message, CONTROLLER)


def why_not(claim: Claim) -> str:
    """What of a claim this node has no storage for; "" if it can be bound."""
    spec = claim["spec"]
    if spec.get("storageClassName") == "":
        return "no persistent volumes available for this claim and no storage class is set"
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        return "there are only directories here, no block devices"
    for field in ("volumeName", "selector", "dataSource", "dataSourceRef"):
        if spec.get(field):
            return f"{field} asks for a volume that exists, and there are none here"
    return ""


def bound(claim: Claim) -> Claim:
    """The claim as it looks once it has a directory. Nothing enforces its capacity."""
    metadata, spec = claim["metadata"], claim["spec"]
    finalizers = [*metadata.get("finalizers", ())]
    if PROTECTION not in finalizers:
        finalizers.append(PROTECTION)
    return claim | {
        "metadata": metadata
        | {"finalizers": finalizers, "annotations": {**metadata.get("annotations", {}), **BOUND}},
        "spec": {"storageClassName": STORAGE_CLASS} | spec | {"volumeName": volume_name(claim)},
        "status": {
            "phase": "Bound",
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
        },
    }


def volume_name(claim: Claim) -> str:
    """Of the volume that a provisioner would make."""
    return f"pvc-{claim['metadata']['uid']}"
