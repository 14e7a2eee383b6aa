"""Stock kubectl, command by command, from `kubectl.md`: words and exit codes are those of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import transcript
from tests.stock_kubectl import NEWEST
from tests.unit.api import playing_node

pytestmark = pytest.mark.kubectl

SECTIONS = [
    section for section in transcript.read(Path(__file__).with_name("kubectl.md"))
    if section.since <= NEWEST.minor
]  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_session_reads_as_on_a_cluster(https, section):
    playing_node.start(https)
    kubeconfig = str(https.paths.kubeconfig)
    shell = transcript.Shell(https.root / "work", {"kubectl": NEWEST.path}, KUBECONFIG=kubeconfig)
    transcript.play(section, shell, NEWEST.minor)
