"""Losing the agent, the zygote or a shim: nothing is disturbed that need not be, no exit code is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .conftest import FACTOR, Agent, simple_pod, until


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def shim_pid(agent: Agent, name: str) -> int:
    """The shim holds a lock and a state file in the pod's directory; ask its state."""
    import json

    uid = agent.pod(name)["metadata"]["uid"]
    states = sorted((agent.root / "run/pods" / uid).glob("*/state.json"))
    return int(json.loads(states[-1].read_text())["pid"])


def test_a_killed_agent_finds_its_pods_running(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(simple_pod("lasting", "sleep", "infinity"))
    before = agent.wait_running("lasting")
    agent.stop(signal.SIGKILL)
    agent.start()
    after = agent.wait_running("lasting")
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert (
        after["status"]["containerStatuses"][0]["containerID"]
        == before["status"]["containerStatuses"][0]["containerID"]
    )
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert agent.run("exec", "lasting", "--", "echo", "still here") == "still here\n"


def test_a_container_that_ended_meanwhile_keeps_its_exit_code(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    wait = "while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 9"
    agent.apply(simple_pod("ending", "sh", "-c", wait, restartPolicy="Never"))
    agent.wait_running("ending")
    shim = shim_pid(agent, "ending")
    agent.run("exec", "ending", "--", "sh", "-c", "(sleep 1; touch /tmp/go) >/dev/null 2>&1 </dev/null &")
    agent.stop(signal.SIGKILL)
    until(lambda: not children(shim), what="the container to end")
    agent.start()
    until(lambda: agent.phase("ending") == "Failed", what="Failed")
    assert agent.container("ending")["state"]["terminated"]["exitCode"] == 9


def test_an_agent_that_nobody_can_hear_says_why_it_ended(fresh_agent: Agent) -> None:
    """EPIPE is `| head` to a command line, which ends without a word then; an agent must not."""
    agent = fresh_agent
    read, write = os.pipe()
    os.close(read)  # nobody hears it from its first moment: it may be ready before we could hang up
    try:
        agent.spawn(stdout=write)
    finally:
        os.close(write)
    assert agent.process is not None
    assert agent.process.wait(30 * FACTOR) == 1
    agent.process = None
    assert "BrokenPipeError" in agent.log()


BUG = """
from minikubelet.agent.service_proxy import ServiceProxy
from minikubelet.cli.main import main

async def follow(self, resource):
    raise RuntimeError("a bug")

ServiceProxy._follow = follow
main()
"""


def test_an_agent_with_a_bug_ends_with_its_reason_and_a_code_for_whoever_restarts_it(
    fresh_agent: Agent,
) -> None:
    agent = fresh_agent
    usual, agent.program = agent.program, ["-c", BUG]
    agent.spawn()
    assert agent.process is not None
    assert agent.process.stdout is not None
    assert agent.process.wait(30 * FACTOR) == 1
    agent.process.stdout.close()
    assert "the task service proxy failed" in agent.log()
    assert "RuntimeError: a bug" in agent.log()
    agent.program = usual
    agent.start()


def test_sigterm_stops_the_agent_and_leaves_the_pods(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(simple_pod("staying", "sleep", "infinity"))
    agent.wait_running("staying")
    shim = shim_pid(agent, "staying")
    assert agent.stop(signal.SIGTERM) == 0
    os.kill(shim, 0)
    assert children(shim)
    agent.start()
    assert agent.wait_running("staying")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_second_agent_on_the_same_root_is_refused(fresh_agent: Agent) -> None:
    fresh_agent.start()
    done = fresh_agent.call("agent", "--bridge", fresh_agent.bridge, "--pod-cidr", fresh_agent.cidr)
    assert done.returncode != 0
    assert "already runs" in done.stderr


def test_a_lost_shim_is_a_lost_sandbox_and_the_pod_comes_back(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    agent.apply(simple_pod("phoenix", "sleep", "infinity"))
    agent.wait_running("phoenix")
    first = agent.container("phoenix")["containerID"]
    os.kill(shim_pid(agent, "phoenix"), signal.SIGKILL)
    until(lambda: agent.container("phoenix").get("restartCount") == 1, what="a new container")
    until(lambda: "running" in agent.container("phoenix").get("state", {}), what="running again")
    assert agent.container("phoenix")["containerID"] != first
    reasons = [event["reason"] for event in agent.events("phoenix")]
    assert "SandboxChanged" in reasons


def is_zygote(pid: int) -> bool:
    """The agent has other children for a moment, such as nft."""
    try:
        return b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_lost_zygote_is_replaced(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    assert agent.process is not None
    agent.apply(simple_pod("before", "sleep", "infinity"))
    agent.wait_running("before")
    (zygote,) = [pid for pid in children(agent.process.pid) if is_zygote(pid)]
    os.kill(zygote, signal.SIGKILL)
    agent.apply(simple_pod("after", "sleep", "infinity"))
    agent.wait_running("after")
    assert agent.container("before")["restartCount"] == 0
