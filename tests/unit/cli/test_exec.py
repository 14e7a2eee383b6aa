"""exec, attach and logs: streams, exit codes, terminals, and which container is meant."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pytest

from tests.unit.api.conftest import PODS, pod


@pytest.fixture
def pair(cli):
    """A pod of two containers and an init container."""
    body = pod("pair")
    body["spec"]["containers"].append({"name": "side", "image": "localhost/host"})
    body["spec"]["initContainers"] = [{"name": "first", "image": "localhost/host"}]
    cli.api.post(PODS, body)
    cli.pod_runs("pair", "main", "side")
    return "pair"


def test_exec_passes_output_and_exit_code_through(cli, web):
    assert cli.ok("exec", "web", "--", "hello", "-c", "world") == "hello -c world\n"
    result = cli("exec", "pod/web", "--", "exit", "5")
    assert (result.code, result.out, result.err) == (5, "exit 5\n", "command terminated with exit code 5\n")


def test_exec_passes_stdin_until_its_end(cli, web):
    data = os.urandom(3 << 20)
    done = cli.process("exec", "-i", "web", "--", "cat", stdin=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"cat\n" + data


def test_exec_moves_much(cli, web):
    done = cli.process("exec", "web", "--", "flood", str(32 << 20))
    assert len(done.stdout) == 32 << 20


@pytest.mark.parametrize(
    ("args", "err"),
    [
        (["exec", "nope", "--", "x"], 'Error from server (NotFound): pods "nope" not found\n'),
        (
            ["exec", "web", "-c", "no", "--", "x"],
            "error: container no is not valid for pod web out of: main\n",
        ),
        (
            ["exec", "deploy/web", "--", "x"],
            'Error from server (NotFound): deployments.apps "web" not found\n',
        ),
        (
            ["exec", "ns/default", "--", "x"],
            "error: cannot find a pod through namespaces: it selects none; name the pod itself\n",
        ),
        (["attach", "web", "-c", "no"], "error: container no is not valid for pod web out of: main\n"),
        (
            ["logs", "nope"],
            'error: error from server (NotFound): pods "nope" not found in namespace "default"\n',
        ),
        (["logs", "web", "-c", "no"], "error: container no is not valid for pod web out of: main\n"),
    ],
)
def test_what_cannot_be_is_said_as_kubectl_says_it(cli, web, args, err):
    assert cli.fails(*args) == err


def test_a_program_that_cannot_be_started_is_an_error_of_the_stream(cli, web):
    assert "no such program" in cli.fails("exec", "web", "--", "missing")


def test_exec_into_a_completed_pod_is_refused(cli, web):
    cli.api.set_status("web", phase="Succeeded")
    assert cli.fails("exec", "web", "--", "x") == (
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n"
    )
    assert "cannot attach a container in a completed pod" in cli.fails("attach", "web")


def test_the_default_container_is_the_first_and_is_said(cli, pair):
    result = cli("exec", "pair", "--", "hello")
    assert result.out == "hello\n"
    assert result.err == 'Defaulted container "main" out of: main, side, first (init)\n'
    assert cli("exec", "-q", "pair", "--", "hello").err == ""
    assert cli.ok("exec", "pair", "-c", "side", "--", "hello") == "hello\n"
    cli.ok("annotate", "pod", "pair", "kubectl.kubernetes.io/default-container=side")
    assert cli("exec", "pair", "--", "hello").err == ""
    cli.ok("annotate", "pod", "pair", "--overwrite", "kubectl.kubernetes.io/default-container=gone")
    assert 'Default container name "gone" not found in pod pair' in cli("exec", "pair", "--", "hello").err


def test_attach_shows_what_the_container_says(cli, web):
    result = cli("attach", "web")
    assert (result.code, result.out) == (0, "exit 7\n"), "an attach has no exit code"
    assert result.err == "If you don't see a command prompt, try pressing enter.\n"


class Terminal:
    """A command line on a terminal of its own."""

    def __init__(self, command: list[str], columns: int, lines: int) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.master)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True
        )
        self.slave = slave
        self.seen = b""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: bytes, limit: float = 30.0) -> None:
        end = time.monotonic() + limit
        while text not in self.seen:
            assert select.select([self.master], [], [], max(0, end - time.monotonic()))[0], self.seen
            self.seen += os.read(self.master, 65536)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(30)
        os.close(self.slave)
        os.close(self.master)


def test_a_terminal_is_raw_has_its_size_and_is_restored(cli, web):
    terminal = Terminal(cli.command("exec", "-it", "web", "--", "shell"), 100, 30)
    try:
        terminal.wait_for(b"shell\n")
        os.write(terminal.master, b"typed\x03")
        terminal.wait_for(b"typed\x03")
        assert terminal.process.poll() is None, "Ctrl-C belongs to the remote process"
        assert terminal.seen.count(b"typed") == 1, "the terminal itself does not echo"
        terminal.resize(120, 40)
        terminal.process.send_signal(28)  # SIGWINCH
        wait_until(lambda: (120, 40) in cli.api.node.sessions[-1].sizes)
        assert cli.api.node.sessions[-1].sizes[0] == (100, 30)
        cli.api.inside(lambda: cli.api.node.sessions[-1]._input.put_nowait(None))
        assert terminal.process.wait(30) == 0
        assert termios.tcgetattr(terminal.master) == terminal.before
    finally:
        terminal.close()


def test_no_terminal_to_give_is_said(cli, web):
    done = cli.process("exec", "-it", "web", "--", "hello")
    assert done.stdout == b"hello\n"
    assert done.stderr == b"Unable to use a TTY - input is not a terminal or the right kind of file\n"


def wait_until(met, limit=30.0):
    end = time.monotonic() + limit
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_logs_are_printed(cli, pair):
    assert cli.ok("logs", "pair", "-c", "side") == "first\nlast\n"
    assert cli.ok("logs", "pair", "side") == "first\nlast\n"
    assert cli.ok("logs", "pair", "side", "--prefix") == "[pod/pair/side] first\n[pod/pair/side] last\n"


def test_log_options_reach_the_node(cli, web):
    cli.ok("logs", "web", "--tail=3", "--timestamps", "--limit-bytes=99", "--since-time=2026-01-01T00:00:00Z")
    name, container, _, options = cli.api.node.log_calls[-1]
    assert (name, container) == ("web", "main")
    assert (options.tail_lines, options.timestamps, options.limit_bytes, options.follow) == (
        3,
        True,
        99,
        False,
    )
    assert options.since.year == 2026
    cli.ok("logs", "-l", "app=web")
    assert cli.api.node.log_calls[-1][3].tail_lines == 10
    cli.ok("logs", "-l", "app=web", "--tail=-1")
    assert cli.api.node.log_calls[-1][3].tail_lines is None


def test_logs_that_are_followed_come_line_by_line(cli, web):
    process = subprocess.Popen(cli.command("logs", "-f", "web"), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "first\n"
    cli.api.inside(cli.api.node.following.set)
    assert process.stdout.readline() == "last\n"
    assert process.wait(30) == 0
    process.stdout.close()


def test_several_logs_are_followed_at_once(cli, pair, web):
    args = ["logs", "-f", "-l", "!none", "--all-containers", "--prefix", "--ignore-errors"]
    assert "attempting to follow 4 log streams" in cli.fails(*args, "--max-log-requests=3")
    cli.api.inside(cli.api.node.following.set)
    lines = cli(*args).out.splitlines()
    assert sorted(set(lines)) == sorted(
        f"[pod/{who}] {word}" for who in ("pair/main", "pair/side", "web/main") for word in ("first", "last")
    )


def test_the_log_of_a_container_that_waits_is_refused(cli):
    cli.api.post(PODS, pod("new"))
    cli.api.bind("new")
    status = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
    cli.api.set_status("new", phase="Pending", containerStatuses=[status])
    assert cli.fails("logs", "new") == (
        'Error from server (BadRequest): container "main" in pod "new" is waiting to start: '
        "ContainerCreating\n"
    )
    assert "previous terminated container" in cli.fails("logs", "new", "-p")
