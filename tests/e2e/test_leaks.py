"""After two hundred pods the node is as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.leaks import no_leaks

from .conftest import make_agent, remove_network, simple_pod, until

BATCH = 20
ROUNDS = 10


def test_two_hundred_pods_leave_nothing_behind(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    with no_leaks():
        agent.start()
        assert agent.process is not None
        agent.apply(simple_pod("first", "true", restartPolicy="Never"))
        until(lambda: agent.phase("first") == "Succeeded", what="first")
        agent.run("delete", "pod", "first")
        descriptors = open_files(agent.process.pid)
        for _ in range(ROUNDS):
            pods = [simple_pod(f"pod-{number}", "sleep", "infinity") for number in range(BATCH)]
            agent.apply("\n---\n".join(json.dumps(pod) for pod in pods))
            until(
                lambda: agent.run("get", "pods", "--no-headers").count(" Running ") == BATCH,
                limit=120,
                what="a batch running",
            )
            agent.run("delete", "pods", "--all", "--grace-period=1", limit=120)
        uids = agent.root / "run/pods"
        until(lambda: not list(uids.iterdir()), what="sandbox directories gone")
        assert not list((agent.root / "lib/pods").iterdir())
        assert not list((agent.root / "lib/containers").iterdir())
        assert not list((agent.root / "log/pods").iterdir())
        # A connection whose client has gone, a directory that is being measured: these pass, leaks stay.
        until(lambda: open_files(agent.process.pid) <= descriptors + 2, what="no more descriptors")
        assert agent.stop() == 0
        remove_network(agent)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_play_cleans_up_everything_it_made() -> None:
    once = Path(__file__).parents[2] / "examples/05-restart-never.yaml"
    with no_leaks():
        done = subprocess.run(
            [sys.executable, "-m", "minikubelet", "play", str(once)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr


def test_an_impatient_end_of_play_leaves_nothing_either() -> None:
    """Ctrl-C twice: pods are killed at once, and bridge, table, shims and files are gone all the same. But a
    terminal that is closed does not end it, where nohup(1) has said so.
    """
    example = Path(__file__).parents[2] / "examples/01-one-container.yaml"
    with no_leaks():
        play = subprocess.Popen(
            ["nohup", sys.executable, "-m", "minikubelet", "play", str(example)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert play.stdout is not None
        with play.stdout:
            while "is ready" not in play.stdout.readline():
                assert play.poll() is None, "play ended before its pod was ready"
            ignored = Path(f"/proc/{play.pid}/status").read_text().partition("SigIgn:")[2].split()[0]
            assert int(ignored, 16) & 1 << signal.SIGHUP - 1
            play.send_signal(signal.SIGINT)
            while "is being deleted" not in play.stdout.readline():
                assert play.poll() is None, "play ended before it deleted its pod"
            play.send_signal(signal.SIGINT)
            rest = play.stdout.read()
        assert play.wait() == 0
        assert "killing at once" in rest


def test_two_interrupts_in_one_moment_end_play_as_properly() -> None:
    """Nobody is so quick; but a play that got no processor for a moment finds both. So it is stopped."""
    example = Path(__file__).parents[2] / "examples/01-one-container.yaml"
    with no_leaks():
        play = subprocess.Popen(
            [sys.executable, "-m", "minikubelet", "play", str(example)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert play.stdout is not None
        while "is ready" not in play.stdout.readline():
            assert play.poll() is None, "play ended before its pod was ready"
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            play.send_signal(number)
        said, complaints = play.communicate(timeout=120)
        assert (play.returncode, complaints) == (0, "")
        assert "killing at once" in said
