"""Which images go when their disk gets full (kubelet-behaviour 14.3)."""

from __future__ import annotations

import pytest

from minikubelet.agent.image_gc import (
    Candidate,
    ImageAge,
    ImageGCSettings,
    bytes_to_free,
    choose,
    too_old,
    with_look,
)

SETTINGS = ImageGCSettings()
IMAGES = [Candidate("a", 10), Candidate("b", 20), Candidate("c", 40)]
OLD = {"a": ImageAge(0, 300), "b": ImageAge(0, 100), "c": ImageAge(0, 200)}


@pytest.mark.parametrize(
    ("available", "wanted"), [(200, 0), (160, 0), (159, 41), (150, 50), (100, 100), (0, 200)]
)
def test_from_85_percent_it_is_brought_down_to_80(available: int, wanted: int) -> None:
    assert bytes_to_free(available, 1000, SETTINGS) == wanted


@pytest.mark.parametrize(
    ("wanted", "in_use", "chosen"),
    [
        (1, (), "b"),
        (20, (), "b"),
        (21, (), "bc"),
        (1000, (), "bca"),
        (1000, ("b",), "ca"),
        (0, (), ""),
    ],
)
def test_those_used_longest_ago_go_first_and_no_more_than_needed(
    wanted: int, in_use: tuple[str, ...], chosen: str
) -> None:
    assert "".join(image.id for image in choose(IMAGES, OLD, in_use, wanted, SETTINGS, 1000)) == chosen


def test_what_came_or_was_asked_for_within_two_minutes_stays() -> None:
    ages = with_look({"b": ImageAge(0, 0), "c": ImageAge(0, 0)}, "abc", (), {"c": 890.0}, 900)
    assert ages == {"a": ImageAge(900, 900), "b": ImageAge(0, 0), "c": ImageAge(0, 890)}
    assert [image.id for image in choose(IMAGES, ages, (), 1000, SETTINGS, 1000)] == ["b"]
    assert [image.id for image in choose(IMAGES, ages, (), 1000, SETTINGS, 1020)] == ["b", "c", "a"]


def test_use_is_noted_when_it_is_seen_and_what_is_gone_is_forgotten() -> None:
    ages = with_look(OLD, "ab", ("a",), {}, 500)
    assert ages == {"a": ImageAge(0, 500), "b": ImageAge(0, 100)}


def test_a_maximum_age_needs_no_full_disk() -> None:
    assert too_old(IMAGES, OLD, (), SETTINGS, 10_000) == []
    aged = ImageGCSettings(maximum_age=750)
    assert [image.id for image in too_old(IMAGES, OLD, ("c",), aged, 1000)] == ["b"]
