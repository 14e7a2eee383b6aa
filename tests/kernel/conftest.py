"""Every kernel test leaves the node as it found it; most of them run real containers on a `node`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.pod_networks import traces
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


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Of a pod network, which leaves none of its links, tables and names behind.

    (A name that an agent killed earlier has left may go: whoever needs it takes it over.)
    """
    path = Path("/run/minikubelet-test-network")
    before = traces()["netns"]
    yield path
    shutil.rmtree(path, ignore_errors=True)
    left = traces()
    assert left == {"links": set(), "tables": set(), "netns": left["netns"] & before}
