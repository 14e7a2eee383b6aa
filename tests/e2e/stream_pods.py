"""An agent and pods for tests of streams: a server on the pod's loopback, a shell, one that is typed to."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from subprocess import Popen
from typing import Any

from minikubelet.linux import cgroup
from tests.e2e.conftest import FACTOR, Agent, make_agent, remove_network, simple_pod, until

# Sends as many zeros as the line says, or what it got, in capitals, when its client has ended its half.
SERVER = """
import socketserver

class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        if line.strip().isdigit():
            for _ in range(int(line) >> 16):
                self.wfile.write(bytes(1 << 16))
        else:
            self.wfile.write((line + self.rfile.read()).upper())

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

Server(("127.0.0.1", 8080), Answer).serve_forever()
"""


@contextmanager
def stream_agent(root: Path) -> Iterator[Agent]:
    """With HTTPS, and the pods `web` (containers main, shell) and `cat`."""
    agent = make_agent(root)
    agent.start("--listen", "127.0.0.1:0")
    pod = simple_pod("web", "/usr/bin/python3", "-u", "-c", SERVER)
    shell = {"name": "shell", "image": "localhost/host", "command": ["sleep", "1000000"]}
    pod["spec"]["containers"].append(shell)
    pod["metadata"]["labels"] = {"app": "web"}
    agent.apply(pod)
    agent.apply(
        simple_pod("cat", "sh", "-c", "while read line; do echo got $line; done", container={"stdin": True})
    )
    agent.wait_running("web")
    agent.wait_running("cat")
    connect = ("exec", "web", "-c", "shell", "--", "bash", "-c", "</dev/tcp/127.0.0.1/8080")
    until(lambda: agent.call(*connect).returncode == 0, what="the server listens")
    try:
        yield agent
    finally:
        agent.delete_everything()
        assert agent.stop() == 0
        remove_network(agent)


@contextmanager
def forwarded_port(process: Popen[str]) -> Iterator[int]:
    """Of a port-forward that has just begun, and that is interrupted at the end."""
    line = process.stdout.readline()
    found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+\n", line)
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe]
    try:
        assert found, f"no port: {line!r}"
        # What else it says must not stop it.
        readers = [threading.Thread(target=pipe.read) for pipe in pipes]
        for reader in readers:
            reader.start()
        yield int(found[1])
        process.send_signal(signal.SIGINT)
        process.wait(30 * FACTOR)
        for reader in readers:
            reader.join()
    finally:
        process.kill()
        process.wait()
        for pipe in pipes:
            pipe.close()


def say(port: int, data: bytes) -> bytes:
    """To the server behind a forwarded port; everything it answers."""
    said = bytearray()
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(1 << 16):
            said += piece
    return bytes(said)


def hangs_up(port: int) -> bool:
    """Nothing is answered. A client that closes before it has read what we said resets the connection; then
    there may be none any more whose half could be ended.
    """
    try:
        return say(port, b"hello\n") == b""
    except ConnectionError:
        return True
    except OSError as error:
        return error.errno == errno.ENOTCONN


def fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid: int) -> dict[str, int]:
    """VmRSS, VmHWM… in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        name: int(rest.split()[0]) << 10
        for name, _, rest in (line.partition(":") for line in lines)
        if rest.endswith("kB")
    }


@contextmanager
def no_growth(pid: int, limit: int) -> Iterator[None]:
    """The most memory the process has had meanwhile is less than `limit` bytes above what it had before."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # begin a new maximum
    before = memory(pid)["VmRSS"]
    yield
    peak = memory(pid)["VmHWM"]
    assert peak - before < limit, f"{before >> 10} KiB, at most {peak >> 10} KiB"


def processes(agent: Agent, pod: str) -> list[str]:
    """The command lines of all that runs in a pod's cgroup, sorted."""
    found = []
    for directory, _, _ in os.walk(f"{cgroup.find_mount()}/kubepods/besteffort/pod{uid_of(agent.root, pod)}"):
        with suppress(OSError):  # an exec's own, gone meanwhile
            pids = Path(directory, "cgroup.procs").read_text().split()
            found += [line for pid in pids if (line := command_line(pid))]
    return sorted(found)


@cache
def uid_of(root: Path, pod: str) -> str:
    """Asked once: each question costs a process."""
    for path in (root / "run/pods").glob("*/*/state.json"):
        spec = json.loads(path.read_text())["spec"]
        if spec["name"] == pod:
            return str(spec["uid"])
    raise LookupError(pod)


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


OWN_FDS = 8


def settled(agent: Agent, before: dict[str, Any], limit: float = 10) -> None:
    """There are no other processes than before, and no more descriptors, but for a few that the agent opens
    and closes for itself: a leak would have one for each of hundreds of clients.
    """

    def nothing_more() -> bool:
        now = state(agent)
        more = [Counter(now[pod]) - Counter(before[pod]) for pod in ("web", "cat")]
        return now["fds"] <= before["fds"] + OWN_FDS and not any(more)

    until(nothing_more, limit, what=lambda: f"{state(agent)}, not {before}")


def state(agent: Agent) -> dict[str, Any]:
    pids = agent.process.pid
    return {"fds": fds(pids), "web": processes(agent, "web"), "cat": processes(agent, "cat")}
