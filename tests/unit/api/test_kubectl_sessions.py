"""Stock kubectl, command by command, from `kubectl.md`: words and exit codes are those of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import transcript
from tests.stock_kubectl import KUBECTLS, NEWEST
from tests.unit.api import playing_node

pytestmark = pytest.mark.kubectl

ALL = transcript.read(Path(__file__).with_name("kubectl.md"))
SECTIONS = [section for section in ALL if section.since <= NEWEST.minor]
# What kubectl does by itself, on its own side.
NOT_OURS = {"apply -k, kustomize", "apply --prune", "proxy, completion, config"}
(SMOKE,) = transcript.read(Path(__file__).with_name("smoke.md"))


@pytest.fixture
def play(https):
    """Plays a section with one kubectl."""
    playing_node.start(https)

    def run(section, stock):
        kubeconfig = str(https.paths.kubeconfig)
        shell = transcript.Shell(https.root / "work", {"kubectl": stock.path}, KUBECONFIG=kubeconfig)
        transcript.play(section, shell, stock.minor)

    return run


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_session_reads_as_on_a_cluster(play, section):
    play(section, NEWEST)


@pytest.mark.parametrize("stock", KUBECTLS, ids=str)
def test_every_version_tells_the_same_story(play, stock):
    play(SMOKE, stock)


TODAY = 36  # whose words are those of our own command line


@pytest.mark.parametrize("section", [each for each in ALL if str(each) not in NOT_OURS], ids=str)
def test_minikubelet_in_its_place_reads_the_same(https, section):
    """Over the socket; the port is there because pods get tokens for it, and describe shows them."""
    playing_node.start(https)
    ours = f"{sys.executable} -m minikubelet --root {https.root}"
    transcript.play(section, transcript.Shell(https.root / "work", {"kubectl": ours}), TODAY, ours=True)
