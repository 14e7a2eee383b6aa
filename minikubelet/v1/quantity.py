"""Quantities: `100m` of CPU, `1.5Gi` of memory (kubelet-behaviour 6.1).

A quantity is a decimal number with a suffix of one of three formats: binary (Ki, Mi …), decimal (n, u, m, k,
M …) or an exponent (e3). The format is part of the value: `1024Mi` and `1Gi` are the same, and are printed as
`1Gi`, while `1073741824` stays decimal. Everything is computed in whole numbers of nano (10⁻⁹), the finest
step there is, so that nothing is ever a float; what is finer is rounded away from zero, "you asked for some,
you get some".

The functions take the text as it stands in a manifest. `parse` raises `QuantityError` with the API server's
words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from minikubelet.errors import MinikubeletError

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
FORMAT_WRONG = f"quantities must match the regular expression '{PATTERN}'"
NUMBER_WRONG = "unable to parse numeric part of quantity"
SUFFIX_WRONG = "unable to parse quantity's suffix"

SHAPE = re.compile(PATTERN, re.ASCII)
NUMBER = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))", re.ASCII)
EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)

DECIMAL_SUFFIXES = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
DECIMAL_NAMES = {power: suffix for suffix, power in DECIMAL_SUFFIXES.items()}
BINARY_NAMES = {power: suffix for suffix, power in BINARY_SUFFIXES.items()}

NANO = 10**9
MILLI = 10**6
MAX_BINARY = (2**63 - 1) * NANO
# Bounds of this implementation: no node has 10¹⁰⁰ bytes, and the text must not make us compute such numbers.
MAX_LENGTH = 128
MAX_EXPONENT = 100


class QuantityError(MinikubeletError, ValueError):
    """The text is not a quantity."""


class Format(Enum):
    """How a quantity is written."""

    DECIMAL = "DecimalSI"
    BINARY = "BinarySI"
    EXPONENT = "DecimalExponent"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parsed quantity: whole nanos, and the format it came in."""

    nanos: int
    format: Format = Format.DECIMAL

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """The same as `parse(text)`."""
        return parse(text)

    def __str__(self) -> str:
        """The canonical form: the largest suffix of the same format that leaves no fraction."""
        if self.nanos == 0:
            return "0"
        if self.format is Format.BINARY and self._fits_binary():
            return _binary_text(self.nanos // NANO)
        return _decimal_text(self.nanos, self.format)

    def _fits_binary(self) -> bool:
        """Small or broken amounts are printed as decimals, whatever they were written as."""
        return self.nanos % NANO == 0 and abs(self.nanos) >= 1024 * NANO

    def value(self) -> int:
        """In whole units, rounded away from zero: 100.5m bytes are 1 byte."""
        return _divide_up(self.nanos, NANO)

    def milli_value(self) -> int:
        """In thousandths, rounded away from zero: 1.5 CPU are 1500."""
        return _divide_up(self.nanos, MILLI)

    def rounded_to_milli(self) -> Quantity:
        """What the API does to every entry of a resource list when it reads it."""
        return Quantity(self.milli_value() * MILLI, self.format)


def parse(text: str) -> Quantity:
    """The amount a text stands for; raises QuantityError."""
    if len(text) > MAX_LENGTH or not (shape := SHAPE.fullmatch(text)):
        raise QuantityError(FORMAT_WRONG)
    number, suffix = shape.groups()
    if not (digits := NUMBER.fullmatch(number)):
        raise QuantityError(NUMBER_WRONG)
    sign, whole, fraction, bare_fraction = digits.groups()
    fraction = fraction or bare_fraction or ""
    mantissa = int((whole or "") + fraction)
    numerator, denominator, written = _scale(suffix)
    nanos = _divide_up(mantissa * numerator * NANO, denominator * 10 ** len(fraction))
    if written is Format.BINARY:
        nanos = min(nanos, MAX_BINARY)
        if nanos < NANO:
            written = Format.DECIMAL
    return Quantity(-nanos if sign == "-" else nanos, written)


def canonical(text: str) -> str:
    """The text the API server would show: `1024Mi` → `1Gi`, `0.5` → `500m`."""
    return str(parse(text))


def value(text: str) -> int:
    """Whole units (bytes, pods), rounded up."""
    return parse(text).value()


def milli_value(text: str) -> int:
    """Thousandths (millicores), rounded up."""
    return parse(text).milli_value()


def compare(left: str, right: str) -> int:
    """Negative, zero or positive, as left is less than, equal to or greater than right."""
    difference = parse(left).nanos - parse(right).nanos
    return (difference > 0) - (difference < 0)


def is_zero(text: str | None) -> bool:
    """Absent counts as zero."""
    return text is None or parse(text).nanos == 0


def _scale(suffix: str) -> tuple[int, int, Format]:
    """The factor of a suffix as numerator and denominator, and its format."""
    if suffix in BINARY_SUFFIXES:
        return 2 ** BINARY_SUFFIXES[suffix], 1, Format.BINARY
    if suffix in DECIMAL_SUFFIXES:
        return *_power_of_ten(DECIMAL_SUFFIXES[suffix]), Format.DECIMAL
    if exponent := EXPONENT.fullmatch(suffix):
        power = int(exponent[1])
        if abs(power) <= MAX_EXPONENT:
            return *_power_of_ten(power), Format.EXPONENT
    raise QuantityError(SUFFIX_WRONG)


def _power_of_ten(power: int) -> tuple[int, int]:
    return (10**power, 1) if power >= 0 else (1, 10**-power)


def _divide_up(number: int, divisor: int) -> int:
    """Rounded away from zero."""
    return -(-number // divisor) if number >= 0 else number // divisor


def _binary_text(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < 60:
        number //= 1024
        power += 10
    return f"{number}{BINARY_NAMES.get(power, '')}"


def _decimal_text(nanos: int, written: Format) -> str:
    number, power = nanos, -9
    while number % 1000 == 0:
        number //= 1000
        power += 3
    if written is Format.DECIMAL or written is Format.BINARY:
        if power in DECIMAL_NAMES:
            return f"{number}{DECIMAL_NAMES[power]}"
        # Beyond exa there is no suffix left.
        return f"{number * 10 ** (power - 18)}E"
    return f"{number}e{power}" if power else str(number)
