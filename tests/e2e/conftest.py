"""A real agent on a root of its own, driven as people drive it: by the command line."""

from __future__ import annotations

import atexit
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

FACTOR = float(os.environ.get("MK_TEST_FACTOR", "1"))  # a slow kernel's factor for every limit
AGENTS_AT_ONCE = 8  # of one test run
RUNS_AT_ONCE = 18

Check = Callable[[], Any]


def until(check: Check, limit: float = 30, what: str | Callable[[], str] = "") -> Any:
    """What `check` returns as soon as it is true; fails after `limit` × FACTOR seconds, and says what was
    waited for, as it is then.
    """
    deadline = time.monotonic() + limit * FACTOR
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            pytest.fail(f"still not so after {limit * FACTOR:.0f} s: {words or check}: {answer!r}")
        time.sleep(0.1)


class Agent:
    """One `minikubelet agent` process and the commands against it."""

    def __init__(self, root: Path, number: int) -> None:
        self.root = root
        self.bridge = f"mke{number}"
        self.cidr = f"10.244.{100 + number}.0/24"
        self.process: subprocess.Popen[str] | None = None
        self.ready_line = ""
        self.program = ["-m", "minikubelet"]  # for Python

    def start(self, *options: str) -> None:
        """Until it is ready."""
        self.spawn(*options)
        assert self.process is not None
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        if not self.ready_line.startswith("ready: "):
            code = self.process.wait()
            self.process.stdout.close()
            said = f"exit {code}, {self.ready_line!r}\n{self.log()}"
            pytest.fail(f"the agent did not become ready: {said}")

    def spawn(self, *options: str, stdout: int = subprocess.PIPE) -> None:
        """The process, which is on its way."""
        arguments = [
            sys.executable, *self.program, "--root", str(self.root), "agent", "--bridge", self.bridge,
            "--pod-cidr", self.cidr, "--node-name", "node1", *options,
        ]  # fmt: skip
        with (self.root / "agent.log").open("a") as log:
            self.process = subprocess.Popen(arguments, stdout=stdout, stderr=log, text=True)

    def log(self) -> str:
        return (self.root / "agent.log").read_text()

    def stop(self, sign: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        code = self.process.wait(30 * FACTOR)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True, limit: float = 60) -> str:
        """stdout of one command."""
        done = self.call(*arguments, stdin=stdin, limit=limit)
        if check and done.returncode:
            said = f"exit {done.returncode}\n{done.stderr}\n{self.log()}"
            pytest.fail(f"minikubelet {' '.join(arguments)}: {said}")
        return done.stdout

    def call(
        self, *arguments: str, stdin: str | None = None, limit: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "minikubelet", "--root", str(self.root), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=limit * FACTOR,
        )

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on beside the test; its stdout is piped."""
        return subprocess.Popen(
            [sys.executable, "-m", "minikubelet", "--root", str(self.root), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def apply(self, manifest: dict[str, Any] | str) -> str:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.run("apply", "-f", "-", stdin=text)

    def pod(self, name: str) -> dict[str, Any]:
        """The object, or {} when it is not there."""
        done = self.call("get", "pod", name, "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def phase(self, name: str) -> str:
        return str(self.pod(name).get("status", {}).get("phase", ""))

    def container(self, name: str, container: str = "main") -> dict[str, Any]:
        """The container's status."""
        status = self.pod(name).get("status", {})
        every = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
        return next((c for c in every if c["name"] == container), {})

    def wait_running(self, name: str) -> dict[str, Any]:
        until(lambda: self.phase(name) == "Running", what=lambda: f"{name} Running\n{self.report()}")
        return self.pod(name)

    def report(self) -> str:
        """All one can know, for somebody who was not there: pods, Events, the agent's log."""
        objects = ("get", "pods,events,nodes", "--all-namespaces", "-o", "yaml")
        return f"{self.call(*objects).stdout}\n{self.log()}"

    def events(self, name: str) -> list[dict[str, Any]]:
        listed = json.loads(self.run("get", "events", "-o", "json"))["items"]
        return [event for event in listed if event["involvedObject"]["name"] == name]

    def delete_everything(self) -> None:
        """Static pods go with their files, and not by the API."""
        files = list((self.root / "manifests").glob("*"))
        for file in files:
            file.unlink()
        self.run("delete", "pods", "--all", "--grace-period=1")
        if files:
            until(lambda: not self.run("get", "pods", "-A", "-o", "name"), what="static pods end")
        # The object of a pod that has ended goes before its cgroup, and that before its volumes.
        until(lambda: not list((self.root / "run/pods").iterdir()), what="nothing is left of them")
        until(lambda: not self.mounts(), what=lambda: f"nothing stays mounted: {self.mounts()}")

    def mounts(self) -> list[str]:
        """What is mounted for pods. Of an agent that ends before they are unmounted they would stay."""
        places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [place for place in places if place.startswith(f"{self.root}/lib/pods/")]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """A running agent for the tests of one file; whatever pods they leave are deleted at the end."""
    started = make_agent(tmp_path_factory.mktemp("mk"))
    started.start()
    yield started
    if started.process is None:
        started.start()
    started.delete_everything()
    assert started.stop() == 0
    remove_network(started)


@pytest.fixture
def fresh_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent that a test starts, kills and starts again by itself."""
    made = make_agent(tmp_path_factory.mktemp("mk"))
    yield made
    if made.process is None:
        made.start()
    made.delete_everything()
    assert made.stop() == 0
    remove_network(made)


def claim_share() -> tuple[TextIO, int]:
    """Bridges and addresses are the machine's: of several test runs on one each has numbers of its own, as
    long as it lives. The file must stay open for that.
    """
    for share in range(RUNS_AT_ONCE):
        file = (Path(tempfile.gettempdir()) / f"minikubelet-e2e-{share}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file, share
    raise RuntimeError(f"{RUNS_AT_ONCE} test runs at once are too many for this machine's addresses")


_lock, _share = claim_share()
atexit.register(_lock.close)
_turns = itertools.cycle(range(AGENTS_AT_ONCE))


def make_agent(root: Path) -> Agent:
    """Its network begins clean, whatever a test that failed has left of an earlier agent of this number."""
    agent = Agent(root, _share * AGENTS_AT_ONCE + next(_turns))
    remove_network(agent)
    return agent


def remove_network(agent: Agent) -> None:
    """An agent leaves its bridge for the next one; a test does not."""
    for command in (
        ["ip", "link", "delete", agent.bridge],
        ["nft", "delete", "table", "ip", f"minikubelet-{agent.bridge}"],
        ["nft", "delete", "table", "ip", f"minikubelet-{agent.bridge}-services"],
        ["nft", "delete", "table", "bridge", f"minikubelet-{agent.bridge}"],
        ["nft", "delete", "table", "bridge", f"minikubelet-{agent.bridge}-services"],
    ):
        subprocess.run(command, check=False, capture_output=True)


def simple_pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A manifest of one container `main` on the node's own root file system."""
    container = {"name": "main", "image": "localhost/host", "command": list(command)}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }
