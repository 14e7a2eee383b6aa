"""docs/fidelity.md names tests: each of them must exist, in exactly one file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/fidelity.md"
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", PAGE.read_text())))


def test_the_page_names_tests_for_every_section() -> None:
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert [section.partition(".")[0] for section in sections] == [str(number) for number in range(1, 17)]
    assert all("::" in section for section in sections)


def test_every_row_says_what_becomes_of_it() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line != "| | | |"]
    assert len(rows) > 100
    for row in rows:
        _, verdict, shown = map(str.strip, row.strip("|").split("|"))
        assert verdict in ("kept", "better", "later", "not offered"), row
        assert verdict != "kept" or ".py" in shown, row


@pytest.mark.parametrize(("file", "function"), [pytest.param(*one, id="::".join(one)) for one in NAMED])
def test_a_test_that_is_named_exists(file: str, function: str) -> None:
    having = [
        path
        for path in TESTS.rglob("test_*.py")
        if str(path).endswith(f"/{file}") and (not function or f"def {function}(" in path.read_text())
    ]
    assert len(having) == 1, having
