"""Ages, columns, elastic tabs, durations: text as kubectl makes it."""

from __future__ import annotations

import pytest

from minikubelet.cli import ages
from minikubelet.cli.base import duration
from minikubelet.cli.describe.node import format_amount
from minikubelet.cli.errors import UsageError
from minikubelet.cli.printers import to_yaml
from minikubelet.cli.tables import Columns, cell, elastic, layout, safe


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (10860, "3h1m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (691200, "8d"),
        (63071999, "729d"),
        (63072000, "2y"),
        (66000000, "2y33d"),
        (252288000, "8y"),
    ],
)
def test_an_age_has_two_units_at_most(seconds, text):
    assert ages.human(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("0", 0), ("250ms", 0.25), ("-1s", -1), ("1m0s", 60)],
)
def test_a_duration_is_read_as_go_reads_it(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1s x", "1 s", "--1s"])
def test_a_wrong_duration_is_a_usage_error(text):
    with pytest.raises(UsageError, match=f'time: invalid duration "{text}"'):
        duration(text)


def test_columns_are_padded_by_three_and_the_last_not_at_all():
    assert layout([["NAME", "AGE"], ["a-long-name", "1s"], ["b", ""]]) == [
        "NAME          AGE",
        "a-long-name   1s",
        "b             ",
    ]


def test_a_watch_remembers_how_wide_columns_were():
    columns = Columns()
    columns.lines([["a-very-long-name", "x"]])
    assert columns.lines([["b", "y"]]) == ["b                  y"]


def test_elastic_tabs_align_a_run_of_lines_only():
    lines = [
        "Name:\tweb",
        "Node-Selectors:\t<none>",
        "Containers:",
        "  main:",
        "    Image:\tx",
        "    Port:\ty",
    ]
    assert elastic(lines) == [
        "Name:            web",
        "Node-Selectors:  <none>",
        "Containers:",
        "  main:",
        "    Image:  x",
        "    Port:   y",
    ]


def test_elastic_columns_inside_of_columns():
    assert elastic(["a\tb\tc", "aaaa\tbbb\tc", "x\ty"]) == ["a     b    c", "aaaa  bbb  c", "x     y"]


def test_wide_characters_take_two_columns():
    assert layout([["日本", "x"], ["abcd", "y"]]) == ["日本   x", "abcd   y"]


def test_a_container_cannot_drive_the_terminal():
    assert safe("a\x1b[31mb\x07\x9b\x00") == "a^[[31mb^G\\u009b^@"
    assert safe("left\u202eright") == "left\\u202eright"
    assert cell("first\nsecond") == "first..."
    assert cell("red\x1b[0m") == "red^[[0m"


def test_yaml_quotes_what_would_come_back_as_something_else():
    data = {"b": "true", "a": "80", "n": "y", "t": "two\nlines\n", "e": "", "list": [{"k": None}]}
    assert to_yaml(data) == ('a: "80"\nb: "true"\ne: ""\nlist:\n- k: null\n"n": "y"\nt: |\n  two\n  lines\n')


@pytest.mark.parametrize(
    ("amount", "name", "text"),
    [
        (0.1, "cpu", "100m"),
        (2, "cpu", "2"),
        (0, "cpu", "0"),
        (64 << 20, "memory", "64Mi"),
        (1000, "memory", "1000"),
    ],
)
def test_amounts_are_shown_as_quantities(amount, name, text):
    assert format_amount(amount, name) == text
