"""port-forward: listeners here, a pod there, kubectl's words."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

from tests.unit.api.conftest import PODS, pod
from tests.unit.api.echo import echo, free_port

__all__ = ["echo", "free_port"]  # fixtures


class Running:
    """The command on its way; `ports` are those it listens on."""

    def __init__(self, cli, *args: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            cli.command("port-forward", *args), stdout=stdout, stderr=stderr, text=True
        )

    def line(self) -> str:
        return self.process.stdout.readline()

    def listening(self) -> int:
        words = self.line().split()
        assert words[:2] == ["Forwarding", "from"], (words, self.process.stderr.read())
        return int(words[2].rpartition(":")[2])

    def end(self, sign: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(sign)
        return self.rest()

    def rest(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err


@pytest.fixture
def forward(cli, web):
    started: list[Running] = []

    def start(*args: str, **streams: int) -> Running:
        started.append(Running(cli, *args, **streams))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


def conversation(port: int, host: str = "127.0.0.1") -> bytes:
    said = b""
    with socket.create_connection((host, port), 10) as sock:
        sock.sendall(b"hello ")
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(4096):
            said += data
    return said


@pytest.fixture
def reserved_port():
    """For the command alone: it is ours, and as we do not listen the command can, for it reuses addresses."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class Full:
    """A pipe that takes nothing more until it is read."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.write_end, b"x" * 4096)
        os.set_blocking(self.write_end, True)

    def close_write_end(self) -> None:
        os.close(self.write_end)

    def make_room(self) -> None:
        os.read(self.read_end, 1 << 15)

    def rest(self) -> str:
        """What was written behind what fills it, when all writers are gone."""
        with os.fdopen(self.read_end, "rb") as file:
            return file.read().lstrip(b"x").decode()


def connected(port: int) -> socket.socket:
    """Once somebody listens."""
    limit = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_ctrl_c_is_the_usual_end_from_the_first_word_on(forward, echo, reserved_port):
    """It listens, and cannot say so yet."""
    stdout = Full()
    running = forward("web", "--address=127.0.0.1", f"{reserved_port}:{echo.port}", stdout=stdout.write_end)
    stdout.close_write_end()
    connected(reserved_port).close()
    running.process.send_signal(signal.SIGINT)
    stdout.rest()
    assert running.rest() == (0, "")


def test_why_a_connection_ends_is_said_before_it_does(forward, free_port, reserved_port):
    stderr = Full()
    local = reserved_port
    running = forward("web", "--address=127.0.0.1", f"{local}:{free_port}", stderr=stderr.write_end)
    stderr.close_write_end()
    running.listening()
    with connected(local) as sock:
        assert not select.select([sock], [], [], 0.5)[0], "nobody has been told the reason yet"
        stderr.make_room()
        assert sock.recv(100) == b""
    assert running.end()[0] == 0
    assert f"an error occurred forwarding {local} -> {free_port}: " in stderr.rest()


@contextmanager
def reset_allowed():
    """Any of our calls may meet it, each in its own words."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
            raise


def test_connections_go_through_both_ways_and_one_by_one_are_told(forward, echo):
    running = forward("pod/web", f":{echo.port}")
    port = running.listening()
    assert running.line() == f"Forwarding from [::1]:{port} -> {echo.port}\n"
    for host in ("127.0.0.1", "::1"):
        assert conversation(port, host) == b"hello bye"
        assert running.line() == f"Handling connection for {port}\n"
    assert running.end() == (0, "")


def test_local_and_remote_ports_and_addresses_are_as_asked_for(forward, echo, free_port, reserved_port):
    local = reserved_port
    running = forward("web", "--address=127.0.0.1", f"{local}:{echo.port}", f":{free_port}")
    assert running.line() == f"Forwarding from 127.0.0.1:{local} -> {echo.port}\n"
    other = running.listening()
    assert conversation(local) == b"hello bye"
    assert running.line() == f"Handling connection for {local}\n"
    with reset_allowed():  # closed before it was read what we said
        assert conversation(other) == b"", "nobody listens there: the others do not mind"
    assert conversation(local) == b"hello bye"
    code, err = running.end()
    assert code == 0
    assert f"an error occurred forwarding {other} -> {free_port}: error forwarding port {free_port} to" in err


def test_the_end_of_the_pod_is_the_end_of_the_command(forward, cli, echo):
    running = forward("web", f":{echo.port}")
    running.listening()
    cli.api.set_status("web", phase="Succeeded")
    assert running.rest() == (1, "error: lost connection to pod\n")


def test_a_port_that_is_taken_is_told_as_kubectl_tells_it(cli, web, echo):
    err = cli.fails("port-forward", "web", "--address", "127.0.0.1", f"{echo.port}:80")
    assert err == (
        f"Unable to listen on port {echo.port}: Listeners failed to create with the following errors: "
        f"[unable to create listener: Error listen tcp4 127.0.0.1:{echo.port}: bind: address already in use]"
        "\n"
        f"error: unable to listen on any of the requested ports: [{{{echo.port} 80}}]\n"
    )


@pytest.mark.parametrize(
    ("args", "code", "err"),
    [
        (["web"], 2, "error: TYPE/NAME and list of ports are required for port-forward\n"),
        (["nope", "80"], 1, 'Error from server (NotFound): pods "nope" not found\n'),
        (["web", "http"], 1, "error: Pod 'web' does not have a named port 'http'\n"),
        (["web", "70000"], 2, "error: invalid port format '70000'\n"),
        (["web", "1:2:3"], 2, "error: invalid port format '1:2:3'\n"),
        (["web", "x:80"], 2, "error: invalid port format 'x:80'\n"),
        (["web", "80", "--address", "here"], 2, "error: here is not a valid IP\n"),
        (
            ["new", "80"],
            1,
            "error: unable to forward port because pod is not running. Current status=Pending\n",
        ),
    ],
)
def test_what_cannot_be_is_said(cli, web, args, code, err):
    cli.api.post(PODS, pod("new"))
    assert cli.fails("port-forward", *args, code=code).startswith(err)


def test_a_workload_stands_for_its_best_pod_and_a_name_for_its_port(cli, forward, echo):
    body = pod("named", labels={"app": "named"})
    body["spec"]["containers"][0]["ports"] = [{"name": "echo", "containerPort": echo.port}]
    cli.api.post(PODS, body)
    cli.api.post(PODS, pod("waits", labels={"app": "named"}))
    cli.pod_runs("named")
    replicas = {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "named"},
        "spec": {
            "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["named"]}]},
            "template": {"metadata": {"labels": {"app": "named"}}, "spec": body["spec"]},
        },
    }
    assert cli.api.post("/apis/apps/v1/namespaces/default/replicasets", replicas).code == 201
    running = forward("rs/named", ":echo")
    assert conversation(running.listening()) == b"hello bye"
