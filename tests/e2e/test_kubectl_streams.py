"""Stock kubectl and pods that run, from `kubectl.md`; and kubectl when the agent is not there, or goes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests import transcript
from tests.e2e.conftest import FACTOR, Agent, simple_pod, until
from tests.stock_kubectl import KUBECTLS, NEWEST, Kubectl, Stock

pytestmark = pytest.mark.kubectl

ALL = transcript.read(Path(__file__).with_name("kubectl.md"))
SECTIONS = [section for section in ALL if section.since <= NEWEST.minor]
(FORWARD,) = (section for section in ALL if str(section) == "port-forward")
DIALECTS = [stock for stock in KUBECTLS if stock.minor in (20, 27, 30)]  # the newest one is in SECTIONS


def play(agent: Agent, folder: Path, section: transcript.Section, stock: Stock) -> None:
    kubeconfig = agent.run("kubeconfig").strip()
    shell = transcript.Shell(folder / "work", {"kubectl": stock.path}, KUBECONFIG=kubeconfig)
    transcript.play(section, shell, stock.minor, limit=60 * FACTOR)


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_session_with_running_pods(agent: Agent, tmp_path: Path, section: transcript.Section) -> None:
    play(agent, tmp_path, section, NEWEST)


@pytest.mark.parametrize("stock", DIALECTS, ids=str)
def test_ports_are_forwarded_in_every_dialect(agent: Agent, tmp_path: Path, stock: Stock) -> None:
    play(agent, tmp_path, FORWARD, stock)


def test_a_dead_agent_ends_what_hangs_on_it_and_the_next_one_takes_over(
    fresh_agent: Agent, tmp_path: Path
) -> None:
    """`get -w` ends, `exec` and `logs -f` say why, and nothing of it harms the pod."""
    fresh_agent.start()
    kubectl = Kubectl(tmp_path / "home", Path(fresh_agent.run("kubeconfig").strip()))
    fresh_agent.apply(simple_pod("web", "sh", "-c", "echo begun; exec sleep 3600"))
    fresh_agent.wait_running("web")
    watching = kubectl.start("get", "pods", "-w")
    following = kubectl.start("logs", "-f", "web")
    inside = kubectl.start("exec", "web", "--", "sh", "-c", "echo here; exec sleep 3600")
    for process, line in ((watching, "NAME"), (following, "begun"), (inside, "here")):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(line)
    fresh_agent.stop(signal.SIGKILL)
    for process in (watching, following, inside):
        process.communicate(timeout=60 * FACTOR)
    if kubectl.minor >= 27:  # older ones take a lost connection for the end
        assert inside.returncode != 0
    refused = kubectl.run("get", "pods")
    assert refused.returncode == 1
    assert "was refused - did you specify the right host or port?" in refused.stderr
    fresh_agent.start()
    kubectl = Kubectl(tmp_path / "home", Path(fresh_agent.run("kubeconfig").strip()))
    until(lambda: "Running" in kubectl("get", "pod", "web"))
    assert fresh_agent.container("web")["restartCount"] == 0


def test_a_wrong_token_is_refused_in_kubectls_words(agent: Agent, tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path / "home", tmp_path / "none")
    server = ("--server", agent.ready_line.split("https=")[1].split()[0], "--insecure-skip-tls-verify")
    told = kubectl.run(*server, "--token=nonsense", "get", "pods")
    assert told.returncode == 1
    assert "You must be logged in to the server" in told.stderr
