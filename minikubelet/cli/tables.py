"""Columns of text, laid out as kubectl lays them out.

kubectl uses Go's tabwriter with a minimum width of 6, a padding of 3 and no padding after the last column; it
remembers widths between the lines of a watch. Cells may come from inside a container (messages, reasons), so
control characters are shown in caret notation: no pod can drive the user's terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

MINIMUM, PADDING = 6, 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


class Columns:
    """A growing table; widths only ever widen."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        rows = list(rows)
        for row in rows:
            for at, cell in enumerate(row[:-1]):
                width = max(MINIMUM, display_width(cell) + PADDING)
                if at >= len(self.widths):
                    self.widths.append(width)
                self.widths[at] = max(self.widths[at], width)
        return [self._line(row) for row in rows]

    def _line(self, row: Sequence[str]) -> str:
        padded = [
            cell + " " * (width - display_width(cell))
            for cell, width in zip(row[:-1], self.widths, strict=False)
        ]
        return "".join([*padded, *row[-1:]])


def layout(rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of one finished table."""
    return Columns().lines(rows)


def elastic(lines: Sequence[str], padding: int = 2) -> list[str]:
    """Lines with tabs, aligned as Go's tabwriter does for `describe`.

    A tab ends a cell; a column is a run of consecutive lines that all have a cell there, and is as wide as
    its widest cell. The text behind a line's last tab belongs to no column.
    """
    cells = [line.split("\t") for line in lines]
    widths: list[dict[int, int]] = [{} for _ in cells]
    _align(cells, widths, 0, len(cells), 0, padding)
    return [
        "".join(text + " " * (width.get(at, 0) - display_width(text)) for at, text in enumerate(row))
        for row, width in zip(cells, widths, strict=True)
    ]


def _align(
    cells: list[list[str]], widths: list[dict[int, int]], start: int, end: int, column: int, padding: int
) -> None:
    """Set the widths of `column` and all to its right for the lines from start to end."""
    at = start
    while at < end:
        block = at
        while at < end and column < len(cells[at]) - 1:
            at += 1
        if at > block:
            width = max(display_width(cells[line][column]) for line in range(block, at)) + padding
            for line in range(block, at):
                widths[line][column] = width
            _align(cells, widths, block, at, column + 1, padding)
        at += 1


def cell(value: Any) -> str:
    """A table cell as one line of safe text."""
    if value is None:
        return "<nil>"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    first = re.split(r"[\f\n\r]", text, maxsplit=1)[0]
    return safe(first if first == text else f"{first}...")


def safe(text: str) -> str:
    """The text with control and direction characters made visible."""
    return _CONTROL.sub(_visible, text)


def display_width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"^{chr(code ^ 64)}" if code < 128 else f"\\u{code:04x}"
