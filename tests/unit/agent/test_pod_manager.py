"""The pod manager with real workers on a fake runtime: what no single worker can show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.agent.events import EventRecorder
from minikubelet.agent.node_status import MachineFacts, node_object, node_status
from minikubelet.agent.pod_manager import PodManager
from minikubelet.config import Paths
from minikubelet.kubelet_config import KubeletConfiguration
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.resources import CgroupSettings, Enforcement
from minikubelet.store import Store
from tests.fakes import FakeRuntimeService
from tests.virtual_time import EPOCH, VirtualClock, in_virtual_time, settle

FACTS = MachineFacts(
    name="node1",
    address="192.0.2.1",
    cpus=2,
    memory=4 << 30,
    storage=1 << 30,
    kernel="6.1",
    os_image="Linux",
    architecture="amd64",
    machine_id="",
    system_uuid="",
    boot_id="",
)


class NoCgroups(Cgroups):
    """Those of all pods need a kernel."""

    def start(self, settings: list[CgroupSettings]) -> None:
        return


class SlowRemovals(FakeRuntimeService):
    """Pods are removed when the gate opens."""

    rules = Enforcement()

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()

    def pressure(self, uid: str, container_id: str) -> str:
        return ""

    async def remove_pod(self, uid: str) -> None:
        await self.gate.wait()
        await super().remove_pod(uid)


def manager(store: Store, runtime: SlowRemovals, root: Path) -> PodManager:
    clock = VirtualClock()
    made = PodManager(
        Paths.under(root),
        KubeletConfiguration(),
        FACTS,
        store,
        runtime,  # type: ignore[arg-type]
        NoCgroups(root, frozenset()),
        ConfigObjects(store),
        EventRecorder(lambda event: None, clock, FACTS.name),
        clock,
        refuse=lambda pod: [],
        pressures=list,
        static_finished=lambda pod: None,
    )
    made.node_changed(node_object(FACTS, "10.244.0.0/24") | {"status": node_status(FACTS, EPOCH)})
    return made


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"00000000-0000-4000-8000-{name:0>12}",
            "creationTimestamp": "2026-01-01T12:00:00Z",
            **metadata,
        },
        "spec": {"nodeName": FACTS.name, "containers": [{"name": "main", "image": "localhost/host"}]},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


@in_virtual_time
async def test_a_pod_that_finishes_while_the_agent_ends_is_no_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    runtime = SlowRemovals(VirtualClock())
    pods = manager(store, runtime, tmp_path)
    for name in ("1", "2"):
        pods.api_changed("ADDED", store.create("pods", pod(name)))
    await settle()
    assert len(runtime.running("00000000-0000-4000-8000-000000000002")) == 1
    pods.api_changed("DELETED", store.get("pods", "default", "2"))
    await asyncio.sleep(60)  # all that is left is to remove what it had
    assert len(pods.uids) == 2
    runtime.gate.set()
    await pods.stop()
    store.close()
