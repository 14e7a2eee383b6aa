"""Streams under load: much data, clients that vanish, hard closes; nothing grows, nothing is left (A31)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from minikubelet.cli.client import Client
from minikubelet.cli.websocket import WebSocket
from tests.e2e.conftest import Agent, until
from tests.e2e.stream_pods import (
    forwarded_port,
    memory,
    no_growth,
    processes,
    say,
    settled,
    state,
    stream_agent,
)
from tests.stock_kubectl import KUBECTLS, NEWEST, Kubectl
from tests.unit.api.spdy_peer import SpdyPeer

SLOW = "MK_GUEST" in os.environ  # the throw-away kernel: less of it shows the same
SIZE = (64 if SLOW else 200) << 20  # bytes
GROWTH = 12 << 20  # what the agent may take for that, buffers and all
OPENS = 200 if SLOW else 1000
AT_ONCE = 16
PODS = "/api/v1/namespaces/default/pods"
V4 = "v4.channel.k8s.io"


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with stream_agent(tmp_path_factory.mktemp("mk")) as agent:
        yield agent


def ends() -> list[Any]:
    """The oldest and the newest kubectl: SPDY and WebSocket."""
    return [KUBECTLS[0], KUBECTLS[-1]] if len(KUBECTLS) > 1 else KUBECTLS or [NEWEST]


@pytest.fixture(params=ends(), ids=str)
def kubectl(request: pytest.FixtureRequest, streaming: Agent, tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "home", streaming.root / "etc/kubeconfig", request.param)


def size_of(command: list[str], env: dict[str, str] | None = None) -> int:
    """How much a command prints."""
    size = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:
        while piece := process.stdout.read(1 << 20):
            size += len(piece)
    return size


@pytest.mark.kubectl
def test_much_data_passes_without_growth(kubectl: Kubectl, streaming: Agent, tmp_path: Path) -> None:
    shell = ["web", "-c", "shell", "--"]
    kubectl("exec", *shell, "true")  # what is loaded once is loaded
    with (
        forwarded_port(kubectl.start("port-forward", "web", ":8080")) as port,
        no_growth(streaming.process.pid, GROWTH),
    ):
        assert (
            size_of([kubectl.path, "exec", *shell, "head", "-c", str(SIZE), "/dev/zero"], kubectl.env) == SIZE
        )
        counted = subprocess.run(
            f"head -c {SIZE} /dev/zero | {kubectl.path} exec -i {' '.join(shell)} wc -c",
            shell=True, env=kubectl.env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert int(counted.stdout) == SIZE
        assert len(say(port, f"{SIZE}\n".encode())) == SIZE
        with (tmp_path / "big").open("wb") as file:
            file.truncate(SIZE)
        kubectl("cp", "-c", "shell", str(tmp_path / "big"), "web:/tmp/big")
        kubectl("cp", "-c", "shell", "web:/tmp/big", str(tmp_path / "back"))
        assert (tmp_path / "back").stat().st_size == SIZE
    kubectl("exec", *shell, "rm", "/tmp/big")


def test_much_data_passes_without_growth_by_our_own_commands(streaming: Agent, tmp_path: Path) -> None:
    shell = ("web", "-c", "shell", "--")
    base = ["minikubelet", "--root", str(streaming.root)]
    streaming.run("exec", *shell, "true")
    process = streaming.start_command("port-forward", "web", ":8080")
    with forwarded_port(process) as port, no_growth(streaming.process.pid, GROWTH):
        own = [process.args[0], "-m", *base, "exec"]
        assert size_of([*own, *shell, "head", "-c", str(SIZE), "/dev/zero"]) == SIZE
        assert len(say(port, f"{SIZE}\n".encode())) == SIZE
        with (tmp_path / "big").open("wb") as file:
            file.truncate(SIZE)
        streaming.run("cp", "-c", "shell", str(tmp_path / "big"), "web:/tmp/big")
        streaming.run("cp", "-c", "shell", "web:/tmp/big", str(tmp_path / "back"))
        assert (tmp_path / "back").stat().st_size == SIZE
    streaming.run("exec", *shell, "rm", "/tmp/big")


def test_a_log_is_followed_without_growth(streaming: Agent) -> None:
    """The container writes much more than its log may hold, so it is rotated meanwhile, too."""
    line = "x" * 1000
    script = f"echo begun; read go; yes {line} | head -c {SIZE}; echo; echo end; sleep 1000000"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": "main", "image": "localhost/host", "command": ["sh", "-c", script], "stdin": True}
            ],
        },
    }
    streaming.apply(pod)
    streaming.wait_running("writer")
    follower = streaming.start_command("logs", "-f", "writer")
    # A file that is rotated before it is opened is not followed.
    assert follower.stdout.readline() == "begun\n"
    with no_growth(streaming.process.pid, GROWTH):
        client = WebSocket.connect(Client(socket_of(streaming)), f"{PODS}/writer/attach", {"stdin": True})
        client.send(0, b"go\n")
        size = sum(len(said) for said in iter(follower.stdout.readline, "end\n"))
        client.close()
    follower.kill()
    follower.wait()
    follower.stdout.close()
    assert size >= SIZE
    streaming.run("delete", "pod", "writer")


# Clients that vanish.


def socket_of(agent: Agent) -> Path:
    return agent.root / "run/minikubelet.sock"


@pytest.mark.kubectl
@pytest.mark.parametrize("how", ["idle", "typing", "flooded"])
def test_a_killed_client_takes_everything_with_it_within_a_second(
    kubectl: Kubectl, streaming: Agent, how: str
) -> None:
    """`typing`: the process takes no input, so nobody reads from the client; `flooded`: it does not read."""
    before = state(streaming)
    command = {"idle": "sleep 54321", "typing": "sleep 54321", "flooded": "yes 54321"}[how]
    with subprocess.Popen(
        [kubectl.path, "exec", "-i", "web", "-c", "shell", "--", *command.split()],
        env=kubectl.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        until(lambda: any("54321" in line for line in processes(streaming, "web")), what="it runs")
        if how == "typing":
            fill(client.stdin)
        client.send_signal(signal.SIGKILL)
        client.wait()
        began = time.monotonic()
        settled(streaming, before)
        took = time.monotonic() - began
    print(f"{how}: gone after {took:.2f} s")


def fill(pipe: Any) -> None:
    """Until nothing more goes in: all buffers on the way to the process are full."""
    os.set_blocking(pipe.fileno(), False)
    stuck = 0
    while stuck < 20:
        try:
            os.write(pipe.fileno(), bytes(1 << 16))
            stuck = 0
        except BlockingIOError:
            stuck += 1
            time.sleep(0.02)


def websocket(agent: Agent, path: str, query: dict[str, Any]) -> Callable[[], None]:
    """Open, and how to close hard."""
    client = WebSocket.connect(Client(socket_of(agent)), path, query)
    return client.close


def spdy(agent: Agent, path: str, version: str, *streams: dict[str, str]) -> Callable[[], None]:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(socket_of(agent)))
    peer = SpdyPeer(sock, path, version)
    for headers in streams:
        peer.open(**headers)
    return peer.close


EXEC = {"command": ["sleep", "54321"], "container": "shell", "stdin": True, "stdout": True}
OUTPUT = ({"streamtype": "error"}, {"streamtype": "stdin"}, {"streamtype": "stdout"})
PAIR = tuple({"streamtype": kind, "port": "8080", "requestid": "0"} for kind in ("error", "data"))
OPENINGS: dict[str, list[Callable[[Agent], Callable[[], None]]]] = {
    "exec": [
        lambda agent: websocket(agent, f"{PODS}/web/exec", EXEC),
        lambda agent: spdy(
            agent,
            f"{PODS}/web/exec?command=sleep&command=54321&container=shell&stdin=1&stdout=1",
            V4,
            *OUTPUT,
        ),
    ],
    "attach": [
        lambda agent: websocket(agent, f"{PODS}/cat/attach", {"stdin": True, "stdout": True}),
        lambda agent: spdy(agent, f"{PODS}/cat/attach?stdin=1&stdout=1", V4, *OUTPUT),
    ],
    "port-forward": [
        lambda agent: websocket(agent, f"{PODS}/web/portforward", {"ports": 8080}),
        lambda agent: spdy(agent, f"{PODS}/web/portforward", "portforward.k8s.io", *PAIR),
    ],
}


@pytest.mark.parametrize("kind", OPENINGS)
def test_a_thousand_hard_closes_leave_nothing(streaming: Agent, kind: str) -> None:
    """A31. Half over WebSocket, half over SPDY, some at once, closed at whatever point they have reached."""

    def open_and_close(number: int) -> None:
        close = OPENINGS[kind][number % 2](streaming)
        if number % 4 > 1:
            with contextlib.suppress(OSError):
                streaming_is_alive(streaming)
        close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(open_and_close, range(100)))  # what is made once is made
    before = state_when_quiet(streaming)
    resident = memory(streaming.process.pid)["VmRSS"]
    shims = shim_state(streaming)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(open_and_close, range(OPENS)))
    settled(streaming, before, 60)
    until(lambda: shim_state(streaming)[0] <= shims[0], what=f"descriptors of shims: {shims[0]}")
    assert memory(streaming.process.pid)["VmRSS"] - resident < 8 << 20
    assert shim_state(streaming)[1] - shims[1] < 2 << 20


def streaming_is_alive(agent: Agent) -> None:
    with Client(socket_of(agent)).request("GET", "/healthz") as response:
        assert response.read() == b"ok"


def state_when_quiet(agent: Agent) -> dict[str, Any]:
    until(lambda: not any("54321" in line for line in processes(agent, "web")), what="no exec")
    seen = state(agent)

    def same() -> bool:
        nonlocal seen
        seen, last = state(agent), seen
        return seen == last

    until(same, what="the agent is quiet")
    return seen


def shim_state(agent: Agent) -> tuple[int, int]:
    """(descriptors, bytes of memory of their own) of all the shims together."""
    found = [0, 0]
    for path in (agent.root / "run/pods").glob("*/*/state.json"):
        pid = json.loads(path.read_text())["pid"]
        found[0] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found[1] += next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))
    return found[0], found[1]
