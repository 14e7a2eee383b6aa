"""PersistentVolumeClaims: what a bound one looks like, what is not bound, and what the scheduler says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.claims import Claims, bound, why_not
from minikubelet.agent.clock import Clock
from minikubelet.agent.events import EventRecorder
from minikubelet.agent.scheduler.claims import ClaimInfo
from minikubelet.agent.scheduler.cycle import schedule
from minikubelet.agent.scheduler.node_info import PlacedPod
from minikubelet.runtime.environment import CLAIMS
from minikubelet.store import Store
from minikubelet.v1 import Pod, from_dict

from .nodes import make_node

NOT_HELPFUL = (
    "no new claims to deallocate, preemption: 0/1 nodes are available: "
    "1 Preemption is not helpful for scheduling."
)


def claim(**spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"metadata": {"name": "data", "namespace": "shop", "uid": "c-1"}, "spec": wanted}


def pod(name: str = "web") -> Pod:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
    return from_dict(Pod, {"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": spec})


def test_a_claim_is_bound_to_what_it_asked_for_and_protected() -> None:
    made = bound(claim())
    assert made["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
    }
    assert made["spec"]["volumeName"] == "pvc-c-1"
    assert made["spec"]["storageClassName"] == "standard"
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert bound(claim(storageClassName="fast"))["spec"]["storageClassName"] == "fast"


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"storageClassName": ""}, "no storage class is set"),
        ({"volumeMode": "Block"}, "block devices"),
        ({"volumeName": "pv-1"}, "volumeName"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "selector"),
    ],
)
def test_what_no_directory_can_give_stays_pending_and_says_why(spec: dict[str, Any], word: str) -> None:
    assert word in why_not(claim(**spec))
    assert why_not(claim()) == ""


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (None, 'persistentvolumeclaim "data" not found'),
        (ClaimInfo(), "pod has unbound immediate PersistentVolumeClaims"),
        (ClaimInfo(bound=True, ending=True), 'persistentvolumeclaim "data" is being deleted'),
    ],
)
def test_a_pod_waits_for_its_claims(known: ClaimInfo | None, text: str) -> None:
    claims = {("shop", "data"): known} if known else {}
    outcome = schedule(pod(), replace(make_node(), claims=claims))
    assert outcome.message == f"0/1 nodes are available: {text}. {NOT_HELPFUL}"


def test_read_write_once_pod_is_for_one_pod() -> None:
    claims = {("shop", "data"): ClaimInfo.of(bound(claim(accessModes=["ReadWriteOncePod"])))}
    around = replace(make_node(), claims=claims)
    assert schedule(pod(), around).fits
    outcome = schedule(pod("second"), replace(around, pods=(PlacedPod.of(pod()),)))
    assert outcome.message.startswith(
        "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and "
        "ReadWriteOncePod access mode."
    )
    shared = {("shop", "data"): ClaimInfo.of(bound(claim()))}
    assert schedule(pod("second"), replace(around, claims=shared, pods=(PlacedPod.of(pod()),))).fits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.db")
    yield opened
    opened.close()


def test_a_claim_with_ten_million_files_holds_up_no_other(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the watch, which would end with 410 Expired, and the agent with it: `Claims._begin_removal`."""
    go_on = threading.Event()
    monkeypatch.setattr("minikubelet.agent.claims.remove_tree", lambda path: go_on.wait(60))
    claims = Claims(store, tmp_path / "claims", EventRecorder(lambda event: None, Clock(), "node1"))

    async def story() -> None:
        task = asyncio.create_task(claims.follow())
        store.create(CLAIMS, claim())
        await until_seen(store, "data", "MODIFIED")
        store.delete(CLAIMS, "shop", "data")
        store.create(CLAIMS, claim() | {"metadata": {"name": "other", "namespace": "shop"}})
        await until_seen(store, "other", "MODIFIED")
        assert store.get(CLAIMS, "shop", "data")["metadata"]["finalizers"]
        go_on.set()
        await until_seen(store, "data", "DELETED")
        task.cancel()

    asyncio.run(story())


async def until_seen(store: Store, name: str, kind: str) -> None:
    async with asyncio.timeout(60):
        async for event, found, _ in store.watch(CLAIMS, since=1):
            if (event, found["metadata"]["name"]) == (kind, name):
                return
