"""Every kernel test leaves the node as it found it; most of them run real containers on a `node`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.shims import Node
from tests.leaks import no_leaks


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    with no_leaks():
        yield


@pytest.fixture
def node(leaves_nothing_behind: None, tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    try:
        yield made
    finally:
        made.close()
