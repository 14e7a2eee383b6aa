"""Deployments, Jobs and what belongs to them: through stock kubectls from `workloads.md`, and through kubectl
and minikubelet with the same words from `workloads-both.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import transcript
from tests.stock_kubectl import KUBECTLS, NEWEST
from tests.unit.api import playing_node

pytestmark = pytest.mark.kubectl

SECTIONS = transcript.read(Path(__file__).with_name("workloads.md"))
# The first that speaks of the present API, one in the middle, and the newest: its bodies are protobuf.
CHOSEN = [stock for stock in KUBECTLS if stock.minor in (27, 31)] + [NEWEST]


@pytest.mark.parametrize("section", SECTIONS, ids=str)
@pytest.mark.parametrize("stock", dict.fromkeys(CHOSEN), ids=str)
def test_a_session_reads_as_on_a_cluster(https, section, stock):
    playing_node.start(https)
    kubeconfig = str(https.paths.kubeconfig)
    shell = transcript.Shell(https.root / "work", {"kubectl": stock.path}, KUBECONFIG=kubeconfig)
    transcript.play(section, shell, stock.minor)


OWN_MINOR = 33  # our command line has the words of the newest kubectl
BOTH = [
    pytest.param(program, section, id=f"{program}: {section}")
    for section in transcript.read(Path(__file__).with_name("workloads-both.md"))
    for program, minor in (("kubectl", NEWEST.minor), ("minikubelet", OWN_MINOR))
    if section.since <= minor
]


@pytest.mark.parametrize(("program", "section"), BOTH)
def test_both_command_lines_say_the_same(https, program, section):
    playing_node.start(https)
    own = f"{sys.executable} -m minikubelet --root {https.root}"
    script = NEWEST.path if program == "kubectl" else own
    kubeconfig = str(https.paths.kubeconfig)
    shell = transcript.Shell(https.root / "work", {"mk": script}, KUBECONFIG=kubeconfig)
    transcript.play(section, shell, NEWEST.minor if program == "kubectl" else OWN_MINOR)
