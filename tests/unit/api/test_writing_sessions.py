"""Whose a field is, and other writes of stock kubectls, from `writing.md`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import transcript
from tests.stock_kubectl import KUBECTLS, NEWEST
from tests.unit.api import playing_node

pytestmark = pytest.mark.kubectl

SECTIONS = transcript.read(Path(__file__).with_name("writing.md"))
# The first that speaks of the present API, and the newest: its bodies are protobuf.
CHOSEN = [stock for stock in KUBECTLS if stock.minor == 27] + [NEWEST]


@pytest.mark.parametrize("section", SECTIONS, ids=str)
@pytest.mark.parametrize("stock", dict.fromkeys(CHOSEN), ids=str)
def test_a_session_reads_as_on_a_cluster(https, section, stock):
    if section.since > stock.minor:
        return
    playing_node.start(https)
    kubeconfig = str(https.paths.kubeconfig)
    shell = transcript.Shell(https.root / "work", {"kubectl": stock.path}, KUBECONFIG=kubeconfig)
    transcript.play(section, shell, stock.minor)
