"""The objects by which a node shows itself: its Node with a status, its lease, its Events (kubelet-behaviour
13).

`Node` owns one; nothing here knows of workers. A reboot is noticed by the boot id the Node object remembers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from minikubelet.agent.clock import Clock
from minikubelet.agent.events import EventRecorder
from minikubelet.agent.eviction.pressure import PRESSURES
from minikubelet.agent.node_pressure import pressure_event, set_cordon_taint, set_pressure_taints
from minikubelet.agent.node_status import MachineFacts, node_object, node_status, own_labels
from minikubelet.agent.reboot import after_reboot
from minikubelet.errors import InternalError, NotFound
from minikubelet.store import Store
from minikubelet.v1 import Event, ObjectReference, to_dict

logger = logging.getLogger(__name__)

LEASES = "leases.coordination.k8s.io"  # in the store
LEASE_SECONDS, LEASE_RENEWAL = 40, 10.0
STATUS_REPORT = 300.0

Images = list[dict[str, Any]]  # as in a Node's status


class NodeObjects:
    """`recorder` is made here, as Events are objects of the node as well."""

    def __init__(
        self, store: Store, facts: MachineFacts, pod_cidr: str, clock: Clock, images: Callable[[], Images]
    ) -> None:
        self.recorder = EventRecorder(self._store_event, clock, facts.name)
        self._store = store
        self._facts = facts
        self._name = facts.name
        self._pod_cidr = pod_cidr
        self._clock = clock
        self._images = images
        self._shown_images: Images = []
        self._is_shown = False  # the status as it is now
        self._pressures: tuple[str, ...] = ()  # conditions that are True

    def register(self) -> None:
        """The Node with its status; what is there already stays."""
        self.node_event("Normal", "Starting", "Starting kubelet.")
        self._note_reboot()
        is_new = self._ensure()
        self._report_status()
        reasons = [pressure_event(condition, condition in self._pressures) for condition in PRESSURES]
        for reason in [*reasons, "NodeReady"] if is_new else reasons:
            self._tell_state(reason)

    def tell_enforced(self) -> None:
        """The cgroup of all pods has its limits."""
        self.node_event("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")

    def node_changed(self) -> None:
        """Somebody wrote the Node: what it must have it gets back at once."""
        if self._ensure():
            self._report_status()

    def _ensure(self) -> bool:
        """The Node is there, with the kubelet's own labels, and is tainted while it is cordoned. True: it was
        not there. (A kubelet looks after this only when it starts.)
        """

        def repair(node: dict[str, Any]) -> None:
            metadata = node["metadata"]
            metadata["labels"] = {**(metadata.get("labels") or {}), **own_labels(self._facts)}
            set_cordon_taint(node, self._clock.now())

        try:
            self._store.modify("nodes", "", self._name, repair)
        except NotFound:
            self._store.create("nodes", node_object(self._facts, self._pod_cidr))
            return True
        return False

    async def heartbeat(self) -> None:
        """The lease every 10 s, the status every 5 min or when there are other images (13.5), and the store's
        house-keeping.
        """
        reported = self._clock.monotonic()
        while True:
            is_due = self._clock.monotonic() - reported >= STATUS_REPORT
            try:
                self._renew_lease()
                if is_due or not self._is_shown or self._images() != self._shown_images:
                    self._report_status()
                    reported = self._clock.monotonic()
                self._store.maintain()
            except InternalError as error:
                logger.error("cannot report the state of the node: %s", error)
            await asyncio.sleep(LEASE_RENEWAL)

    def _report_status(self) -> None:
        def change(node: dict[str, Any]) -> None:
            now = self._clock.now()
            status = node_status(self._facts, now, node.get("status"), self._pressures)
            node["status"] = status | {"images": self._shown_images}
            set_pressure_taints(node, self._pressures, now)

        self._is_shown = False
        self._ensure()
        self._shown_images = self._images()
        self._store.modify("nodes", "", self._name, change)
        self._is_shown = True

    # Pressure (`eviction.manager.NodeReporter`)

    def report_pressure(self, conditions: Sequence[str]) -> None:
        """Conditions and taints in one write, then an Event for each condition that changed."""
        changed = {*self._pressures} ^ {*conditions}
        self._pressures = tuple(conditions)
        try:
            self._report_status()
        except InternalError as error:  # the disk that is short is the store's; the heartbeat tries again
            logger.error("cannot report the state of the node: %s", error)
        for condition in (one for one in PRESSURES if one in changed):
            self._tell_state(pressure_event(condition, condition in conditions))

    def _tell_state(self, reason: str) -> None:
        self.node_event("Normal", reason, f"Node {self._name} status is now: {reason}")

    def node_event(self, type: str, reason: str, message: str) -> None:
        about = ObjectReference(kind="Node", name=self._name, uid=self._name)
        self.recorder.event_about(about, type, reason, message)

    def _renew_lease(self) -> None:
        stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": self._name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": stamp,
            },
        }
        try:
            self._store.update(LEASES, lease)
        except NotFound:
            self._store.create(LEASES, lease)

    def _note_reboot(self) -> None:
        """Nothing runs any more of what ran before: write that down before anybody looks (14.1)."""
        try:
            node = self._store.get("nodes", "", self._name)
        except NotFound:
            return
        before = node.get("status", {}).get("nodeInfo", {}).get("bootID")
        if before in (None, self._facts.boot_id):
            return
        text = f"Node {self._name} has been rebooted, boot id: {self._facts.boot_id}"
        self.node_event("Warning", "Rebooted", text)
        for pod in self._store.list("pods")[0]:
            if pod["spec"].get("nodeName") == self._name and "status" in pod:
                self._store.update("pods", pod | {"status": after_reboot(pod["status"], self._clock.now())})

    def _store_event(self, event: Event) -> None:
        """New, or a known one that happened again. Nobody who tells of something fails because the disk is
        full.
        """
        obj = to_dict(event)
        try:
            try:
                self._store.update("events", obj)
            except NotFound:
                self._store.create("events", obj)
        except InternalError as error:
            logger.warning("the Event %s is lost: %s: %s", event.reason, event.message, error)
