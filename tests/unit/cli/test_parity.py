"""Everything that only reads, by stock kubectl and by `minikubelet` on one server: the same, byte for byte.

The agent behind the server writes what a real one writes (`playing_node`); times and ages differ by the
second that may pass between the two, so a comparison is tried again before it counts.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stock_kubectl import KUBECTL
from tests.stock_words import StockWords
from tests.unit.api import playing_node
from tests.unit.api.conftest import Api
from tests.unit.cli.conftest import Cli

pytestmark = pytest.mark.kubectl

HERE = Path(__file__).parent
WORDS = StockWords(HERE / "words_of_reading.json")
COMMANDS = (HERE / "reading_commands.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("p")
    running = Api(root, "127.0.0.1:0")
    playing_node.start(running)
    command = [*MINIKUBELET, "--root", str(root), "apply", "-f", str(HERE / "reading_objects.yaml")]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    yield running
    running.close()


MINIKUBELET = [sys.executable, "-m", "minikubelet"]


@pytest.mark.parametrize("line", COMMANDS)
def test_both_print_the_same(server, capsys, line):
    args = shlex.split(line)
    home = server.root / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(server.paths.kubeconfig)}
    cli = Cli(server, capsys)

    def theirs():
        done = subprocess.run(
            [KUBECTL, *args], capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout, done.stderr

    for _ in range(3):
        done = cli(*args)
        ours = done.code, done.out.partition("SUPPORT:\n")[0], done.err
        ours, expected = WORDS.compare(ours, args, theirs)
        if ours == expected:
            break
    assert ours == expected
