"""Logs are rotated by the agent while they are written and read (kubelet-behaviour 11.1)."""

from __future__ import annotations

from pathlib import Path

from .conftest import Agent, simple_pod, until

CONFIGURATION = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerLogMaxSize: 4Ki
containerLogMaxFiles: 2
"""
COUNT = (
    "i=0; while [ $i -lt 1500 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; touch /tmp/said; sleep inf"
)


def test_a_log_is_rotated_and_a_follower_misses_no_line(fresh_agent: Agent) -> None:
    agent = fresh_agent
    configuration = agent.root / "kubelet.yaml"
    configuration.write_text(CONFIGURATION)
    agent.start("--config", str(configuration))
    agent.apply(simple_pod("talking", "sh", "-c", COUNT))
    agent.wait_running("talking")
    folder = next(Path(agent.root / "log/pods").glob("*_talking_*")) / "main"
    followed = agent.start_command("logs", "-f", "talking")
    until(lambda: len(list(folder.iterdir())) == 2, what="a rotated file beside the current one")
    # Not by its log: that may be rotated right after the last line, and is empty then.
    said = ("exec", "talking", "--", "test", "-e", "/tmp/said")
    until(lambda: agent.call(*said).returncode == 0, limit=90, what="the last line")
    agent.run("delete", "pod", "talking")
    lines = followed.communicate()[0].splitlines()
    assert lines == [f"line {number}" for number in range(1, 1501)]
    assert len(list(Path(agent.root / "log/pods").iterdir())) == 0
