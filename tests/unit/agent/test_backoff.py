"""Back-off values against kubelet-behaviour 2.8, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.agent.backoff import Backoff, go_duration


def crash_at_once(backoff: Backoff, restarts: int) -> list[float]:
    """The delays seen by a container that exits the moment it starts."""
    now, delays = 0.0, []
    for _ in range(restarts):
        wait = max(0.0, backoff.expires_at("web", since=now) - now)
        delays.append(wait)
        ended, now = now, now + wait
        backoff.next("web", since=ended, now=now)
    return delays


def test_delays_are_0_10_20_40_80_160_300_300():
    assert crash_at_once(Backoff(), 8) == [0, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(
    ("cap", "delays"),
    [
        pytest.param(60, [0, 10, 20, 40, 60, 60], id="a lower cap"),
        pytest.param(15, [0, 10, 15, 15, 15, 15], id="a cap between"),
        pytest.param(3, [0, 3, 3, 3, 3, 3], id="a cap below the initial delay lowers that too"),
    ],
)
def test_max_container_restart_period(cap, delays):
    assert crash_at_once(Backoff(cap), 6) == delays


@pytest.mark.parametrize(
    ("lived", "next_delay"),
    [
        pytest.param(600, 20, id="exactly ten minutes: still the same loop"),
        pytest.param(600.1, 0, id="more than ten minutes: starts afresh"),
    ],
)
def test_reset_counts_from_the_last_restart_decision(lived, next_delay):
    backoff = Backoff()
    backoff.next("web", since=0, now=0)
    backoff.next("web", since=0, now=10)
    ended = 10 + lived
    assert backoff.expires_at("web", since=ended) - ended == next_delay


def test_after_a_reset_the_first_delay_is_the_initial_one():
    backoff = Backoff()
    crash_at_once(backoff, 6)
    backoff.next("web", since=10_000, now=10_000)
    assert backoff.delay("web") == 10


def test_without_an_entry_there_is_no_back_off():
    assert Backoff().expires_at("web", since=5) == 5
    assert Backoff().expires_at("web") < 0
    assert Backoff().delay("web") == 0


def test_keys_are_apart():
    backoff = Backoff()
    backoff.next(("web", "image:1"), since=0, now=0)
    assert backoff.expires_at(("web", "image:1"), since=0) == 10
    assert backoff.expires_at(("web", "image:2"), since=0) == 0


def test_a_pull_counts_from_the_last_failed_attempt():
    backoff = Backoff()
    backoff.next("image", since=3, now=3)
    assert backoff.expires_at("image") == 13
    backoff.next("image", since=13, now=13)
    assert backoff.expires_at("image") == 33


@given(st.lists(st.integers(0, 2000), max_size=30), st.integers(1, 300))
def test_the_delay_never_exceeds_the_cap_nor_falls_within_a_loop(lives, cap):
    backoff, now, former = Backoff(cap), 0.0, 0.0
    for lived in lives:
        ended = now + lived
        fresh = now == 0 or lived > 600
        now = max(ended, backoff.expires_at("web", since=ended))
        assert now - ended <= cap
        backoff.next("web", since=ended, now=now)
        assert backoff.delay("web") >= (min(10, cap) if fresh else former)
        former = backoff.delay("web")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (10, "10s"),
        (80, "1m20s"),
        (160, "2m40s"),
        (300, "5m0s"),
        (1.2, "1.2s"),
        (0.35, "350ms"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_are_printed_as_go_does(seconds, text):
    assert go_duration(seconds) == text
