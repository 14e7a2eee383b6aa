"""The controllers at work: on a real store, with the verbs of the API, and nobody who runs the pods."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from minikubelet.api.initial import make_initial
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.controllers import Controllers, pod_control
from minikubelet.controllers.recorder import Recorder
from minikubelet.controllers.replica_sets import ReplicaSets
from minikubelet.errors import Forbidden
from minikubelet.store import Store
from minikubelet.v1.resources import BY_KEY
from tests.unit.controllers.objects import NOW, at

DEPLOYMENTS, REPLICA_SETS, JOBS = (
    BY_KEY[key] for key in ("deployments.apps", "replicasets.apps", "jobs.batch")
)
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "localhost/host"}]},
}
SELECTOR = {"matchLabels": {"app": "web"}}


@pytest.fixture
def objects(tmp_path):
    store = Store(tmp_path / "store.db")
    made = Objects(store)
    make_initial(made)
    yield made
    store.close()


def create(objects, info, name, **spec):
    return objects.create(info, "default", {"metadata": {"name": name}, "spec": spec}, WriteOptions())


def pods(objects):
    return objects.store.list("pods", "default")[0]


@contextlib.asynccontextmanager
async def at_work(objects):
    controllers = Controllers(objects)
    controllers.start()
    yield
    await controllers.stop()


async def until(check):
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_deployment_gets_its_pods_though_the_controllers_begin_after_it(objects):
    create(objects, DEPLOYMENTS, "web", replicas=3, selector=SELECTOR, template=TEMPLATE)

    async def story():
        async with at_work(objects):
            await until(lambda: len(pods(objects)) == 3)
        # Killed, begun again: nothing more is made.
        async with at_work(objects):
            objects.store.delete("pods", "default", pods(objects)[0]["metadata"]["name"])
            await until(lambda: len(pods(objects)) == 3)
            await asyncio.sleep(0.1)
            assert len(pods(objects)) == 3

    asyncio.run(story())


def test_pods_are_not_watched_where_nothing_makes_any(objects):
    async def story():
        async with at_work(objects):
            await asyncio.sleep(0.1)
            watched = {watch._resource for watch in objects.store._watches}
            assert {"deployments.apps", "replicasets.apps", "jobs.batch"} <= watched
            makers = sum(watch._resource == "pods" for watch in objects.store._watches)
            create(objects, REPLICA_SETS, "web", replicas=1, selector=SELECTOR, template=TEMPLATE)
            await until(lambda: pods(objects))
            assert sum(watch._resource == "pods" for watch in objects.store._watches) == makers + 1

    asyncio.run(story())


def test_a_number_in_a_manifest_does_not_fill_the_node(objects, monkeypatch):
    monkeypatch.setattr(pod_control, "MOST_PODS", 5)
    create(objects, REPLICA_SETS, "web", replicas=2**31 - 1, selector=SELECTOR, template=TEMPLATE)
    with pytest.raises(Forbidden, match="keeps at most 5 of one owner"):
        ReplicaSets(objects).sync("default", "web")
    assert len(pods(objects)) == 5
    status = objects.get(REPLICA_SETS, "default", "web")["status"]
    assert status["conditions"][0]["reason"] == "FailedCreate"


def test_what_a_client_wrote_into_a_status_ends_nobody(objects):
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    create(objects, JOBS, "odd", completions=3, completionMode="Indexed", template=template)
    create(objects, DEPLOYMENTS, "odd", selector=SELECTOR, template=TEMPLATE)

    def spoil(job):
        job["status"] = {"completedIndexes": "x,0-9999999999,1-0,-", "startTime": "2026-01-01T00:00:00Z"}

    def spoil_more(deployment):
        deployment["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "9" * 99}
        deployment["status"] = {"conditions": [{"type": "Progressing"}], "collisionCount": -1}

    objects.store.modify("jobs.batch", "default", "odd", spoil)
    objects.store.modify("deployments.apps", "default", "odd", spoil_more)

    async def story():
        async with at_work(objects):
            create(objects, REPLICA_SETS, "web", replicas=1, selector=SELECTOR, template=TEMPLATE)
            await until(lambda: pods(objects))
            await until(lambda: objects.get(JOBS, "default", "odd")["status"].get("succeeded") == 3)

    asyncio.run(story())


def test_nobody_is_made_in_a_namespace_that_goes(objects):
    create(objects, REPLICA_SETS, "web", replicas=3, selector=SELECTOR, template=TEMPLATE)
    objects.store.modify("namespaces", "", "default", lambda it: it["metadata"].update(deletionTimestamp="x"))
    assert ReplicaSets(objects).sync("default", "web") is None
    assert pods(objects) == []
    assert objects.store.list("events")[0] == []


def test_a_template_that_is_refused_is_tried_again_and_told(objects):
    made = create(objects, REPLICA_SETS, "web", replicas=3, selector=SELECTOR, template=TEMPLATE)
    objects.store.modify(
        "replicasets.apps", "default", "web",
        lambda it: it["spec"]["template"]["spec"].update(priorityClassName="nope"),
    )  # fmt: skip
    with pytest.raises(Forbidden, match="no PriorityClass with name nope was found"):
        ReplicaSets(objects).sync("default", "web")
    (event,) = objects.store.list("events")[0]
    assert (event["reason"], event["source"]) == ("FailedCreate", {"component": "replicaset-controller"})
    assert event["involvedObject"]["uid"] == made["metadata"]["uid"]
    assert event["message"].startswith("Error creating: pods ")


def test_the_same_again_counts_up(objects):
    made = create(objects, REPLICA_SETS, "web", replicas=0, selector=SELECTOR, template=TEMPLATE)
    recorder = Recorder(objects.store, "replicaset-controller")
    for seconds in (0, 5):
        recorder.event(made, "Warning", "FailedCreate", "no", at(seconds))
    recorder.event(made, "Warning", "FailedCreate", "no more", NOW)
    first, second = objects.store.list("events")[0]
    assert (first["count"], first["message"]) == (2, "no")
    assert (first["firstTimestamp"], first["lastTimestamp"]) == (
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:05Z",
    )
    assert (second["count"], second["message"]) == (1, "no more")
    objects.store.delete("events", "default", first["metadata"]["name"])
    recorder.event(made, "Warning", "FailedCreate", "no", NOW)
    assert len(objects.store.list("events")[0]) == 2
