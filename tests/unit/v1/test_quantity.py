"""kubelet-behaviour 6.1, line by line."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.v1.quantity import (
    FORMAT_WRONG,
    NUMBER_WRONG,
    SUFFIX_WRONG,
    QuantityError,
    canonical,
    compare,
    is_zero,
    milli_value,
    parse,
    value,
)

CANONICAL = [
    ("1.5", "1500m"), ("0.1", "100m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000m", "1"),
    ("0.5Gi", "512Mi"),
    ("1e3", "1e3"), ("1000", "1k"), ("0.5Ki", "512"), ("0", "0"), ("0Ki", "0"), ("0m", "0"), ("1.", "1"),
    (".5", "500m"), ("1e1", "10"), ("12E-2", "120e-3"), ("1E", "1E"), ("1E3", "1e3"), ("100m", "100m"),
    ("128974848", "128974848"), ("129e6", "129e6"), ("123Mi", "123Mi"), ("1025", "1025"),
    ("1025Ki", "1025Ki"),
    ("+1", "1"), ("-1.5", "-1500m"), ("-1Gi", "-1Gi"), ("1u", "1u"), ("1n", "1n"), ("1.5Ki", "1536"),
    ("1000E", "1000E"), ("010", "10"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_form_is_the_largest_suffix_without_a_fraction(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0.1n", "1n"), ("-0.1n", "-1n"), ("1.0000000001", "1000000001n")]
)
def test_what_is_finer_than_nano_is_rounded_away_from_zero(text: str, expected: str) -> None:
    assert canonical(text) == expected


def test_binary_values_are_capped_at_the_largest_int64() -> None:
    assert canonical("100Ei") == canonical("16Ei") == "9223372036854775807"


@pytest.mark.parametrize(
    ("text", "whole", "milli"),
    [
        ("100.5m", 1, 101),
        ("1500m", 2, 1500),
        ("1", 1, 1000),
        ("1Ki", 1024, 1024000),
        ("-1500m", -2, -1500),
        ("1n", 1, 1),
    ],
)
def test_whole_and_milli_values_are_rounded_up(text: str, whole: int, milli: int) -> None:
    assert (value(text), milli_value(text)) == (whole, milli)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", FORMAT_WRONG), ("abc", FORMAT_WRONG), ("1 Gi", FORMAT_WRONG), ("1Gb", FORMAT_WRONG),
        ("１", FORMAT_WRONG),
        ("--1", FORMAT_WRONG), ("1" * 200, FORMAT_WRONG), ("1\n", FORMAT_WRONG),
        (".", NUMBER_WRONG), ("1.2.3", NUMBER_WRONG),
        ("1mm", SUFFIX_WRONG), ("1KiKi", SUFFIX_WRONG), ("1ki", SUFFIX_WRONG), ("1e", SUFFIX_WRONG),
        ("1e999999999999", SUFFIX_WRONG),
    ],
)  # fmt: skip
def test_bad_texts_are_refused_in_the_words_of_the_api_server(text: str, expected: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert str(caught.value) == expected


def test_the_words_are_exactly_these() -> None:
    assert FORMAT_WRONG == (
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )
    assert NUMBER_WRONG == "unable to parse numeric part of quantity"
    assert SUFFIX_WRONG == "unable to parse quantity's suffix"


def test_comparing_looks_at_the_amount_and_not_at_the_text() -> None:
    assert compare("1Gi", "1024Mi") == 0
    assert compare("1G", "1Gi") < 0
    assert compare("0.2", "100m") > 0
    assert is_zero("0Gi")
    assert is_zero(None)
    assert not is_zero("1n")


def test_resource_lists_are_rounded_up_to_thousandths() -> None:
    assert str(parse("100.5m").rounded_to_milli()) == "101m"
    assert str(parse("1u").rounded_to_milli()) == "1m"


SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
}  # fmt: skip
quantities = st.builds(
    lambda sign, whole, fraction, suffix: f"{sign}{whole}{fraction and '.'}{fraction}{suffix}",
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**6),
    st.text("0123456789", max_size=6),
    st.sampled_from([*SUFFIXES, "e3", "E-2", "e0"]),
)


@given(quantities)
def test_the_canonical_form_is_a_fixed_point_and_loses_nothing(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert parse(once).nanos == parse(text).nanos


@given(st.integers(0, 10**6), st.integers(0, 999999), st.sampled_from(list(SUFFIXES)))
def test_parsing_is_exact_arithmetic_rounded_up_to_nano(whole: int, micro: int, suffix: str) -> None:
    exact = (whole + Fraction(micro, 10**6)) * SUFFIXES[suffix]
    nanos = parse(f"{whole}.{micro:06}{suffix}").nanos
    assert 0 <= nanos - exact * 10**9 < 1


@given(st.text(max_size=12))
def test_any_text_either_parses_or_is_refused_by_name(text: str) -> None:
    try:
        amount = parse(text)
    except QuantityError:
        return
    assert parse(str(amount)).nanos == amount.nanos
