"""Events: the object, and client-go's correlation with its numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minikubelet.agent.clock import Clock
from minikubelet.agent.events import EventCorrelator, EventKey, EventRecorder, Lru
from minikubelet.v1 import Event, ObjectMeta, ObjectReference, Pod, to_dict

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class HandClock(Clock):
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Store:
    """Events by name, as the API would show them."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.writes = 0

    def __call__(self, event: Event) -> None:
        self.writes += 1
        self.events[event.metadata.name] = event

    def lines(self) -> list[tuple[int, str]]:
        return [(event.count, event.message) for event in self.events.values()]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def recorder(clock: HandClock, store: Store) -> EventRecorder:
    return EventRecorder(store, clock, "node1")


def make_pod(name: str = "web") -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", resource_version="7"))


WEB = make_pod()


def test_the_object(recorder, store):
    recorder.event(WEB, "Warning", "Unhealthy", "Liveness probe failed: x", "spec.containers{main}")
    (event,) = store.events.values()
    stamp = int(NOON.timestamp()) * 10**9
    assert to_dict(event) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"web.{stamp:x}", "namespace": "default"},
        "involvedObject": {
            "kind": "Pod",
            "namespace": "default",
            "name": "web",
            "uid": "uid-web",
            "apiVersion": "v1",
            "resourceVersion": "7",
            "fieldPath": "spec.containers{main}",
        },
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Liveness probe failed: x",
        "source": {"component": "kubelet", "host": "node1"},
        "firstTimestamp": "2026-01-01T12:00:00Z",
        "lastTimestamp": "2026-01-01T12:00:00Z",
        "count": 1,
        "reportingComponent": "kubelet",
        "reportingInstance": "node1",
    }


def test_another_component_has_no_host(recorder, store):
    about = ObjectReference(kind="Pod", namespace="default", name="web", uid="uid-web", api_version="v1")
    recorder.event_about(about, "Normal", "Scheduled", "Successfully assigned", component="default-scheduler")
    (event,) = store.events.values()
    assert to_dict(event)["source"] == {"component": "default-scheduler"}


def test_names_are_unique_even_at_one_instant(recorder, store):
    for number in range(5):
        recorder.event(WEB, "Normal", f"Reason{number}", "m")
    assert len(store.events) == 5


def test_the_same_again_counts_up(recorder, store, clock):
    recorder.event(WEB, "Normal", "Started", "Container started", "spec.containers{a}")
    clock.advance(30)
    recorder.event(WEB, "Normal", "Started", "Container started", "spec.containers{a}")
    (event,) = store.events.values()
    assert event.count == 2
    assert event.first_timestamp == NOON
    assert event.last_timestamp == NOON + timedelta(seconds=30)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((make_pod("db"), "Normal", "R", "m", "f"), id="another object"),
        pytest.param((WEB, "Warning", "R", "m", "f"), id="another type"),
        pytest.param((WEB, "Normal", "Q", "m", "f"), id="another reason"),
        pytest.param((WEB, "Normal", "R", "n", "f"), id="another message"),
        pytest.param((WEB, "Normal", "R", "m", "g"), id="another container"),
    ],
)
def test_what_is_not_the_same_is_another_object(recorder, store, other):
    recorder.event(WEB, "Normal", "R", "m", "f")
    recorder.event(*other)
    assert [count for count, _ in store.lines()] == [1, 1]


def test_the_tenth_different_message_is_combined_and_so_are_the_next(recorder, store):
    for number in range(12):
        recorder.event(WEB, "Warning", "Unhealthy", f"failed {number}")
    assert store.lines() == [
        *((1, f"failed {number}") for number in range(9)),
        (3, "(combined from similar events): failed 11"),
    ]


def test_known_messages_keep_their_own_object_while_others_are_combined(recorder, store):
    for number in range(11):
        recorder.event(WEB, "Warning", "Unhealthy", f"failed {number}")
    recorder.event(WEB, "Warning", "Unhealthy", "failed 3")
    assert (2, "failed 3") in store.lines()
    assert (2, "(combined from similar events): failed 10") in store.lines()


@pytest.mark.parametrize(("pause", "combined"), [(600, True), (601, False)])
def test_similar_means_within_ten_minutes_of_one_another(recorder, store, clock, pause, combined):
    for number in range(9):
        recorder.event(WEB, "Warning", "Unhealthy", f"failed {number}")
    clock.advance(pause)
    recorder.event(WEB, "Warning", "Unhealthy", "failed 9")
    assert any("combined" in message for _, message in store.lines()) is combined


def test_twenty_five_at_once_and_then_one_in_five_minutes(recorder, store, clock):
    for _ in range(40):
        recorder.event(WEB, "Warning", "BackOff", "again")
    assert store.writes == 25
    assert store.lines() == [(25, "again")]
    clock.advance(299)
    recorder.event(WEB, "Warning", "BackOff", "again")
    assert store.writes == 25
    clock.advance(1)
    recorder.event(WEB, "Warning", "BackOff", "again")
    assert store.lines() == [(42, "again")]  # the count went on in memory


def test_a_bucket_is_per_object_and_type_not_per_reason_or_container(recorder, store):
    for number in range(25):
        recorder.event(WEB, "Normal", f"Reason{number}", "m", f"spec.containers{{c{number}}}")
    recorder.event(WEB, "Normal", "Killing", "m")
    assert store.writes == 25
    recorder.event(WEB, "Warning", "Unhealthy", "m")
    recorder.event(make_pod("db"), "Normal", "Killing", "m")
    assert store.writes == 27


def test_the_bucket_never_holds_more_than_its_burst(recorder, store, clock):
    recorder.event(WEB, "Normal", "R", "m")
    clock.advance(86400)
    for _ in range(40):
        recorder.event(WEB, "Normal", "R", "m")
    assert store.writes == 26


def test_a_clock_set_back_takes_no_tokens_away(recorder, store, clock):
    recorder.event(WEB, "Normal", "R", "m")
    clock.advance(-3600)
    for _ in range(24):
        recorder.event(WEB, "Normal", "R", "m")
    assert store.writes == 25


def test_memory_is_bounded_by_the_least_recently_used():
    lru: Lru[int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    lru.get("a")
    lru.put("c", 3)
    assert (lru.get("a"), lru.get("b"), lru.get("c"), len(lru)) == (1, None, 3, 2)


def test_what_was_forgotten_begins_a_new_object():
    correlator = EventCorrelator(size=2)

    def record(pod: str, name: str) -> int:
        key = EventKey(("kubelet", "n"), ("Pod", "default", pod), "", "Normal", "R", "m")
        return correlator.correlate(key, name, NOON).count

    assert [record("a", "1"), record("a", "2"), record("b", "3"), record("c", "4"), record("a", "5")] == [
        1, 2, 1, 1, 1,
    ]  # fmt: skip


ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        pytest.param(f'cannot exec in "{ID}": gone', 'cannot exec in "main": gone', id="quoted"),
        pytest.param(f"minikubelet://{ID}", "minikubelet://main", id="with a scheme"),
        pytest.param(f"{ID} {ID}", "main main", id="twice"),
        pytest.param(f"image sha256:{ID}", f"image sha256:{ID}", id="a digest is no container"),
        pytest.param(f"{ID}0", f"{ID}0", id="longer than an id"),
    ],
)
def test_container_ids_in_messages_become_the_containers_name_12_1(recorder, store, said, stored):
    recorder.event(make_pod(), "Warning", "Failed", said, "spec.containers{main}")
    assert store.lines() == [(1, stored)]


def test_what_differs_only_in_the_container_id_is_the_same_event(recorder, store):
    for number in range(3):
        text = f"failed to start {number:064x}"
        recorder.event(make_pod(), "Warning", "Failed", text, "spec.initContainers{main}")
    assert store.lines() == [(3, "failed to start main")]
