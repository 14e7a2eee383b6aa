"""Who refers to which ConfigMap and Secret, who hears of a change, and what stays as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.config_objects import ConfigObjects, references
from minikubelet.store import Store
from minikubelet.v1 import Pod, from_dict
from tests.virtual_time import in_virtual_time


@pytest.fixture
def store(tmp_path: Path):
    made = Store(tmp_path / "store.db")
    yield made
    made.close()


def config(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name}, "data": {"k": value}, **more}


def pod(uid: str, *names: str) -> Pod:
    volumes = [{"name": f"v{n}", "configMap": {"name": name}} for n, name in enumerate(names)]
    metadata = {"namespace": "shop", "name": uid, "uid": uid}
    return from_dict(Pod, {"metadata": metadata, "spec": {"containers": [], "volumes": volumes}})


def value_of(objects: ConfigObjects, name: str) -> str | None:
    found = objects.find("configmaps", "shop", name)
    return found and found["data"]["k"]


@asynccontextmanager
async def following(objects: ConfigObjects) -> AsyncIterator[asyncio.Queue[str]]:
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(objects.follow("configmaps", told.put_nowait))
    await asyncio.sleep(0)
    yield told
    task.cancel()


def test_every_reference_of_environment_and_volumes_is_found() -> None:
    def container(number: int) -> dict[str, Any]:
        def key(kind: str) -> dict[str, Any]:
            return {"name": "X", "valueFrom": {f"{kind}KeyRef": {"name": f"{kind}-key-{number}", "key": "k"}}}

        return {
            "name": f"c{number}",
            "envFrom": [
                {"configMapRef": {"name": f"all-{number}"}},
                {"secretRef": {"name": f"all-{number}"}},
            ],
            "env": [key("configMap"), key("secret"), {"name": "Y", "value": "plain"}],
        }

    volumes = [
        {"name": "a", "secret": {"secretName": "mounted"}},
        {
            "name": "b",
            "projected": {"sources": [{"configMap": {"name": "part"}}, {"secret": {"name": "part"}}]},
        },
        {"name": "c", "emptyDir": {}},
    ]
    kinds = ("initContainers", "containers", "ephemeralContainers")
    spec = {kind: [container(number)] for number, kind in enumerate(kinds)} | {"volumes": volumes}
    found = references(from_dict(Pod, {"metadata": {"namespace": "shop"}, "spec": spec}))
    assert {f"{resource}/{name}" for resource, _, name in found} == {
        *(f"{resource}/all-{n}" for n in range(3) for resource in ("configmaps", "secrets")),
        *(f"configmaps/configMap-key-{n}" for n in range(3)),
        *(f"secrets/secret-key-{n}" for n in range(3)),
        "secrets/mounted",
        "configmaps/part",
        "secrets/part",
    }


@in_virtual_time
async def test_only_who_refers_to_an_object_hears_of_it(store: Store) -> None:
    objects = ConfigObjects(store)
    objects.pod_changed(pod("one", "a", "b"))
    objects.pod_changed(pod("two", "b"))
    async with following(objects) as told:
        store.create("configmaps", config("a", "1"))
        assert await told.get() == "one"
        store.create("configmaps", config("nobodys", "1"))
        store.create("configmaps", config("b", "1"))
        assert {await told.get(), await told.get()} == {"one", "two"}
        objects.pod_gone("one")
        store.delete("configmaps", "shop", "a")
        store.update("configmaps", config("b", "2"))
        assert await told.get() == "two"
        assert told.empty()


@in_virtual_time
async def test_an_immutable_object_is_kept_while_somebody_refers_to_it(store: Store) -> None:
    objects = ConfigObjects(store)
    store.create("configmaps", config("a", "1", immutable=True))
    store.create("configmaps", config("b", "1"))
    assert value_of(objects, "a") == "1"  # nobody refers to it yet: this is not kept
    objects.pod_changed(pod("one", "a", "b"))
    objects.pod_changed(pod("two", "a"))
    assert value_of(objects, "a") == "1"
    async with following(objects) as told:
        store.delete("configmaps", "shop", "a")
        store.create("configmaps", config("a", "2"))
        store.update("configmaps", config("b", "2"))
        assert await told.get() == "one"  # of b
        assert told.empty()
    assert (value_of(objects, "a"), value_of(objects, "b")) == ("1", "2")
    objects.pod_gone("one")
    assert value_of(objects, "a") == "1"
    objects.pod_gone("two")
    assert value_of(objects, "a") == "2"
