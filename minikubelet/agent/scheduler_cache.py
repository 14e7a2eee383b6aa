"""What the node knows of itself when it decides about a pod: the Node object, namespaces, pods and their
requests.

The scheduler asks for all of it (`info`); the kubelet's admission only counts pods that have a worker
(`beside`). A pod that was bound a moment ago has none yet: until the watch brings it, it is *assumed*, so
that the next one in the queue is not promised the same room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from minikubelet.v1 import Pod, Taint

from .names import uid_of
from .scheduler.claims import ClaimInfo
from .scheduler.node_info import Labels, NodeInfo, PlacedPod, is_resizing, labels_of
from .scheduler.resources import asked_for


class SchedulerCache:
    """Fed by `PodManager`; a pod that is over is removed. `granted` finds a pod as the kubelet granted it:
    that may be less, or more, than it asks for while it is resized.
    """

    def __init__(self, name: str, granted: Callable[[Pod], Pod] = lambda pod: pod) -> None:
        self._node = NodeInfo(name)
        self._granted = granted
        self._namespaces: dict[str, Labels] = {}
        self._claims: dict[tuple[str, str], ClaimInfo] = {}
        self._placed: dict[str, PlacedPod] = {}
        self._assumed: dict[str, PlacedPod] = {}

    def node_changed(self, node: dict[str, Any]) -> None:
        self._node = NodeInfo.of(node)

    def namespace_changed(self, kind: str, namespace: dict[str, Any]) -> None:
        metadata = namespace["metadata"]
        if kind == "DELETED":
            self._namespaces.pop(metadata["name"], None)
        else:
            self._namespaces[metadata["name"]] = metadata.get("labels") or {}

    def claim_changed(self, kind: str, claim: dict[str, Any]) -> None:
        metadata = claim["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._claims.pop(key, None)
        else:
            self._claims[key] = ClaimInfo.of(claim)

    def assume(self, pod: Pod) -> None:
        self._assumed[uid_of(pod)] = PlacedPod.of(pod)

    def place(self, pod: Pod) -> bool:
        """It has a worker. True: it changed in a way that others feel (labels, requests, its ending)."""
        uid = uid_of(pod)
        before = self._placed.get(uid)
        known = before or self._assumed.pop(uid, None)
        resizing = is_resizing(pod) or (known is not None and is_resizing(known.pod))
        if known is not None and known.pod.spec == pod.spec and not resizing:
            placed = PlacedPod(pod, known.requests)
        else:
            placed = PlacedPod.of(pod)
        self._placed[uid] = placed
        return before is not None and _felt(before) != _felt(placed)

    def remove(self, uid: str) -> bool:
        """It is over, or gone. True: it was there."""
        assumed = self._assumed.pop(uid, None)
        return self._placed.pop(uid, assumed) is not None

    @property
    def taints(self) -> tuple[Taint, ...]:
        return self._node.taints

    @property
    def pods(self) -> list[Pod]:
        """With a worker, and not over."""
        return [one.pod for one in self._placed.values()]

    def info(self) -> NodeInfo:
        """As the scheduler sees it."""
        return self._with((*self._placed.values(), *self._assumed.values()))

    def beside(self, uid: str) -> NodeInfo:
        """As the kubelet sees it when this pod begins or is resized."""
        return self._with([self._as_granted(one) for other, one in self._placed.items() if other != uid])

    def _as_granted(self, placed: PlacedPod) -> PlacedPod:
        granted = self._granted(placed.pod)
        return placed if granted is placed.pod else PlacedPod(granted, asked_for(granted))

    def _with(self, pods: Collection[PlacedPod]) -> NodeInfo:
        return replace(self._node, pods=tuple(pods), namespaces=self._namespaces, claims=self._claims)


def _felt(placed: PlacedPod) -> tuple[object, ...]:
    metadata = placed.pod.metadata
    return placed.requests, labels_of(placed.pod), metadata and metadata.deletion_timestamp
