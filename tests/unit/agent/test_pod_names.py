"""Which names lead to which pods, from the store's log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.pod_names import PAGE, PodNames
from minikubelet.store.store import Store


def pod(
    name: str, address: str, namespace: str = "shop", phase: str = "Running", **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
        "status": {"phase": phase, **({"podIP": address} if address else {})},
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store.db")
    yield made
    made.close()


@pytest.fixture
def names(store: Store) -> PodNames:
    store.create("pods", pod("web", "10.244.0.5"))
    store.create("pods", pod("db-0", "10.244.0.6", hostname="zero", subdomain="db"))
    store.create("pods", pod("db-1", "10.244.0.7", subdomain="db"))
    store.create("pods", pod("a.b", "10.244.0.8"))
    store.create("pods", pod("over", "10.244.0.9", phase="Succeeded"))
    store.create("pods", pod("waiting", "", phase="Pending"))
    return PodNames(store, "cluster.local")


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("", ()),
        ("svc", ()),
        ("pod", ()),
        ("shop.svc", ()),
        ("shop.pod", ()),
        ("elsewhere.svc", None),
        ("web.shop.pod", ("10.244.0.5",)),
        ("web.shop.svc", ("10.244.0.5",)),
        ("a.b.shop.svc", ("10.244.0.8",)),
        ("10-244-0-5.shop.pod", ("10.244.0.5",)),
        ("10-244-0-99.shop.pod", None),
        ("db.shop.svc", ("10.244.0.6", "10.244.0.7")),
        ("zero.db.shop.svc", ("10.244.0.6",)),
        ("db-1.db.shop.svc", ("10.244.0.7",)),
        ("db-0.db.shop.svc", None),
        ("web.default.svc", None),
        ("over.shop.svc", None),
        ("waiting.shop.svc", None),
        ("web.shop", None),
        ("web.shop.other", None),
    ],
)
def test_addresses(names: PodNames, name: str, addresses: tuple[str, ...] | None) -> None:
    assert names.addresses(name) == addresses


def test_names_of_addresses(names: PodNames) -> None:
    assert names.name_of("10.244.0.5") == "web.shop.pod.cluster.local"
    assert names.name_of("10.244.0.6") == "zero.db.shop.svc.cluster.local"
    assert names.name_of("10.244.0.9") is None


def test_the_index_follows_the_log(names: PodNames, store: Store) -> None:
    assert names.addresses("late.shop.svc") is None
    late = store.create("pods", pod("late", "10.244.0.20"))
    assert names.addresses("late.shop.svc") == ("10.244.0.20",)
    store.update("pods", late | {"status": {"phase": "Running", "podIP": "10.244.0.21"}})
    assert names.addresses("late.shop.svc") == ("10.244.0.21",)
    store.delete("pods", "shop", "late")
    assert names.addresses("late.shop.svc") is None


def test_who_is_far_behind_reads_everything_anew(names: PodNames, store: Store) -> None:
    assert names.addresses("web.shop.svc")
    for number in range(PAGE):
        store.create("pods", pod(f"many-{number}", "10.244.1.1", "many"))
    store.delete("pods", "shop", "web")
    assert names.addresses(f"many-{PAGE - 1}.many.pod")
    assert names.addresses("web.shop.svc") is None
