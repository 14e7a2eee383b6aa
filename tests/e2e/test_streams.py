"""exec, attach, run -it, cp and port-forward by every stock kubectl there is, and by the Python client."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from kubernetes import client as kube_client
from kubernetes import config as kube_config
from kubernetes.stream import stream

from tests.e2e.conftest import FACTOR, Agent, until
from tests.e2e.stream_pods import forwarded_port, hangs_up, say, stream_agent
from tests.stock_kubectl import KUBECTLS, NEWEST, Kubectl


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with stream_agent(tmp_path_factory.mktemp("mk")) as agent:
        yield agent


@pytest.fixture(params=KUBECTLS or [NEWEST], ids=str)
def kubectl(request: pytest.FixtureRequest, streaming: Agent, tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path / "home", streaming.root / "etc/kubeconfig", request.param)


by_kubectl = pytest.mark.kubectl


def done(process: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return process.returncode, process.stdout, process.stderr


@by_kubectl
def test_exec_says_what_the_command_says_and_ends_as_it_ends(kubectl: Kubectl) -> None:
    words = ("exec", "web", "-c", "shell", "--", "sh", "-c")
    assert done(kubectl.run(*words, "echo out; echo err >&2")) == (0, "out\n", "err\n")
    bytes_alone = (*words, 'printf %s "$1" | od -An -tx1', "sh", "a +&\udcff\u00e9")
    assert done(kubectl.run(*bytes_alone)) == (0, " 61 20 2b 26 ff c3 a9\n", "")
    code, out, err = done(kubectl.run(*words, "echo out; exit 5"))
    assert (code, out, err) == (5, "out\n", "command terminated with exit code 5\n")
    assert done(kubectl.run("exec", "-i", "web", "-c", "shell", "--", "cat", stdin="typed\n")) == (
        0,
        "typed\n",
        "",
    )
    code, _, err = done(kubectl.run("exec", "web", "-c", "shell", "--", "nosuch"))
    assert code == 1
    assert err.startswith(
        "error: Internal error occurred: error executing command in container: failed to exec"
    )
    assert 'exec: "nosuch": executable file not found in $PATH' in err
    code, _, err = done(kubectl.run("exec", "nosuch", "--", "true"))
    assert (code, err) == (1, 'Error from server (NotFound): pods "nosuch" not found\n')


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: list[str], env: dict[str, str], columns: int, lines: int) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            words,
            env={**env, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.said = ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self) -> bool:
        assert select.select([self.master], [], [], 30 * FACTOR)[0], f"nothing more than {self.said!r}"
        try:
            data = os.read(self.master, 4096)
        except OSError:  # EIO: the last process on it has ended
            return False
        # The end of a line may come in two pieces.
        self.said = (self.said + data.decode(errors="replace")).replace("\r\n", "\n")
        return bool(data)

    def until(self, pattern: str) -> None:
        while not re.search(pattern, self.said):
            assert self.read(), f"it ended without {pattern!r}: {self.said!r}"

    def end(self) -> int:
        while self.read():
            pass
        os.close(self.master)
        return self.process.wait(30 * FACTOR)


@by_kubectl
def test_exec_with_a_terminal_has_its_size_and_follows_it_and_takes_ctrl_c(kubectl: Kubectl) -> None:
    script = """
        size() { until [ "$(stty size)" = "$1" ]; do sleep 0.05; done; echo "now $1"; }
        trap 'echo interrupted; exit 7' INT
        size '30 100'; size '50 132'; read line; echo "got $line"; while :; do sleep 0.05; done
    """
    words = [kubectl.path, "exec", "-it", "web", "-c", "shell", "--", "sh", "-c", script]
    terminal = Terminal(words, kubectl.env, 100, 30)
    terminal.until("now 30 100\n")
    terminal.resize(132, 50)
    terminal.until("now 50 132\n")
    terminal.type("word\n")
    terminal.until("got word\n")
    terminal.type("\x03")
    terminal.until("interrupted")
    assert terminal.end() == 7
    assert "command terminated with exit code 7" in terminal.said


@by_kubectl
def test_attach_reads_and_types_and_leaves_the_container_as_it_is(kubectl: Kubectl) -> None:
    for word in ("one", "two"):
        process = subprocess.Popen(
            [kubectl.path, "attach", "-i", "cat"],
            env=kubectl.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        process.stdin.write(f"{word}\n")
        process.stdin.close()
        assert process.stdout.readline() == f"got {word}\n"
        process.kill()
        process.wait()
        process.stdout.close()


@by_kubectl
def test_run_it_is_a_pod_one_can_talk_to_and_its_exit_code_is_ours(
    kubectl: Kubectl, streaming: Agent
) -> None:
    name = f"talk-{kubectl.minor}"
    words = [
        "run",
        name,
        "-it",
        "--rm",
        "--restart=Never",
        "--image=localhost/host",
        "--pod-running-timeout=2m",
    ]
    script = "read line; echo got $line; exit 3"
    terminal = Terminal([kubectl.path, *words, "--command", "--", "sh", "-c", script], kubectl.env, 80, 24)
    terminal.until("press.* enter")
    terminal.type("word\n")
    terminal.until(r"got word\n")
    assert terminal.end() == 3
    assert f'pod "{name}" deleted' in terminal.said
    assert terminal.said.count("got word") == 1, (
        "attach that does not report Success makes kubectl say it twice"
    )
    until(lambda: not streaming.pod(name), what=f"{name} is gone")


@by_kubectl
def test_run_without_a_terminal_takes_what_is_piped_into_it(kubectl: Kubectl) -> None:
    name = f"pipe-{kubectl.minor}"
    words = ["run", name, "-i", "--rm", "--quiet", "--restart=Never", "--image=localhost/host"]
    code, out, err = done(kubectl.run(*words, "--command", "--", "sh", "-c", "cat; exit 4", stdin="piped\n"))
    assert (code, out.splitlines()[0]) == (4, "piped"), err


@by_kubectl
def test_cp_both_ways_with_directories(kubectl: Kubectl, tmp_path: Path) -> None:
    source, target = tmp_path / "source", f"/tmp/cp-{kubectl.minor}"
    (source / "sub").mkdir(parents=True)
    data = os.urandom(3_000_000)
    (source / "sub/data").write_bytes(data)
    (source / "text").write_text("hello\n")
    kubectl("cp", "-c", "shell", str(source), f"web:{target}")
    assert kubectl("exec", "web", "-c", "shell", "--", "cat", f"{target}/text") == "hello\n"
    kubectl("cp", "-c", "shell", f"web:{target}", str(tmp_path / "back"))
    assert (tmp_path / "back/sub/data").read_bytes() == data
    (tmp_path / "new").write_text("into a directory\n")
    kubectl("cp", "-c", "shell", str(tmp_path / "new"), f"web:{target}")
    kubectl("cp", "-c", "shell", f"web:{target}/new", str(tmp_path / "one"))
    assert (tmp_path / "one").read_text() == "into a directory\n"
    # kubectl stops reading at the end of the empty tar, and may lose what tar says and its exit code.
    kubectl.run("cp", "-c", "shell", "web:/nope", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@by_kubectl
def test_port_forward_reaches_a_server_on_the_pods_loopback(kubectl: Kubectl) -> None:
    with forwarded_port(kubectl.start("port-forward", "web", ":8080")) as port:
        for _ in range(3):
            assert say(port, b"hello\nworld\n") == b"HELLO\nWORLD\n", "the answer to a half that was ended"
        assert len(say(port, b"3000000\n")) == 3000000 >> 16 << 16


@by_kubectl
def test_port_forward_to_a_service_goes_to_the_port_of_its_pod(streaming: Agent, kubectl: Kubectl) -> None:
    port_80 = {"port": 80, "targetPort": 8080}
    spec = {"selector": {"app": "web"}, "ports": [port_80]}
    streaming.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": spec})
    for start in (kubectl.start, streaming.start_command):
        with forwarded_port(start("port-forward", "service/shop", ":80")) as port:
            assert say(port, b"hello\n") == b"HELLO\n"


@by_kubectl
def test_port_forward_to_a_port_nobody_listens_on_says_so(kubectl: Kubectl) -> None:
    process = kubectl.start("port-forward", "web", ":9")
    port = int(process.stdout.readline().rpartition(" -> ")[0].rpartition(":")[2])
    assert hangs_up(port)
    error = line_of(process.stderr, f"an error occurred forwarding {port} -> 9:")
    assert "error forwarding port 9 to pod" in error
    assert "dial tcp4 127.0.0.1:9: connect: connection refused" in error
    if kubectl.minor < 25:  # it stays; since then kubectl ends
        process.send_signal(signal.SIGINT)
    else:
        assert line_of(process.stderr, "lost connection") == "error: lost connection to pod\n"
    process.wait(10 * FACTOR)
    process.stdout.close()
    process.stderr.close()


def line_of(pipe: IO[str], words: str) -> str:
    """The line with these words. Before it kubectl may complain of what it could not pass on any more."""
    said = []
    while words not in (line := pipe.readline()):
        assert line, f"it ended without {words!r}: {said}"
        said.append(line)
    return line


@pytest.fixture
def api(streaming: Agent) -> Iterator[kube_client.CoreV1Api]:
    kube = kube_config.new_client_from_config(str(streaming.root / "etc/kubeconfig"))
    with kube:
        yield kube_client.CoreV1Api(kube)


def test_the_python_client_runs_commands(api: kube_client.CoreV1Api) -> None:
    def run(*command: str, **settings: bool):
        return stream(
            api.connect_get_namespaced_pod_exec, "web", "default", container="shell", command=list(command),
            stdout=True, stderr=True, tty=False, _preload_content=False, **settings,
        )  # fmt: skip

    session = run("sh", "-c", "echo out; echo err >&2; exit 3", stdin=False)
    session.run_forever(timeout=20 * FACTOR)
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("out\n", "err\n", 3)
    session.sock.shutdown()  # it leaves this to the garbage collector, which warns in another test
    session = run("sh", "-c", "read line; echo got $line", stdin=True)
    session.write_stdin("word\n")
    session.run_forever(timeout=20 * FACTOR)
    assert (session.read_stdout(), session.returncode) == ("got word\n", 0)
    session.sock.shutdown()


FORWARD = """
import sys, time
from kubernetes import client, config
from kubernetes.stream import portforward

config.load_kube_config(sys.argv[1])
get = client.CoreV1Api().connect_get_namespaced_pod_portforward
forward = portforward(get, "web", "default", ports="8080,9")
sock = forward.socket(8080)
sock.setblocking(True)
sock.sendall(b"3000000\\n")
size = 0
while data := sock.recv(1 << 16):
    size += len(data)
print(size, forward.error(8080))
while forward.error(9) is None:
    time.sleep(0.05)
print(forward.error(9))
"""


def test_the_python_client_forwards_ports(streaming: Agent) -> None:
    """In a process of its own: it leaves its sockets to the garbage collector, some day."""
    words = [sys.executable, "-c", FORWARD, str(streaming.root / "etc/kubeconfig")]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60 * FACTOR, check=True).stdout
    assert said.splitlines()[0] == f"{3000000 >> 16 << 16} None"
    assert "connect: connection refused" in said.splitlines()[1]


def test_our_own_port_forward_and_cp(streaming: Agent, tmp_path: Path) -> None:
    process = streaming.start_command("port-forward", "web", ":8080")
    with forwarded_port(process) as port:
        assert say(port, b"hello\nworld\n") == b"HELLO\nWORLD\n"
        assert len(say(port, b"3000000\n")) == 3000000 >> 16 << 16
    assert process.returncode == 0
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/run").write_text("#!/bin/sh\n")
    (source / "sub/run").chmod(0o755)
    assert streaming.run("cp", "-c", "shell", str(source), "web:/tmp/own") == ""
    assert (
        streaming.run("exec", "web", "-c", "shell", "--", "stat", "-c", "%a", "/tmp/own/sub/run") == "755\n"
    )
    streaming.run("cp", "-c", "shell", "default/web:/tmp/own/sub", str(tmp_path / "back"))
    assert (tmp_path / "back/run").read_text() == "#!/bin/sh\n"
    assert (tmp_path / "back/run").stat().st_mode & 0o777 == 0o755
    failed = streaming.call("cp", "-c", "shell", "web:/nope", str(tmp_path / "nothing"))
    assert (failed.returncode, failed.stderr.splitlines()[-1]) == (
        1,
        "error: command terminated with exit code 2",
    )
    assert not (tmp_path / "nothing").exists()


def test_a_hostile_tar_in_the_container_writes_nothing_outside_the_target(
    streaming: Agent, tmp_path: Path
) -> None:
    """A15. The program `tar` of the container answers with what an attacker has prepared."""
    make = (
        "import sys, tarfile, io\n"
        "archive = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')\n"
        "def add(name, kind=tarfile.REGTYPE, link=''):\n"
        "    info = tarfile.TarInfo(name)\n"
        "    info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0\n"
        "    archive.addfile(info, io.BytesIO(b'evil'))\n"
        "add('data', tarfile.DIRTYPE)\n"
        f"add('data/link', tarfile.SYMTYPE, '{tmp_path}')\n"
        "add('data/link/through')\n"
        f"add('data/hard', tarfile.LNKTYPE, '{tmp_path}/victim')\n"
        "add('data/hard')\n"
        "add('data/../../climbed')\n"
        "add('data/null', tarfile.CHRTYPE)\n"
        "add('/tmp/absolute-evil')\n"
    )
    (tmp_path / "tar").write_text(f"#!/usr/bin/python3\n{make}")
    (tmp_path / "tar").chmod(0o755)
    (tmp_path / "victim").write_text("untouched")
    place = ("exec", "-i", "web", "-c", "shell", "--", "sh", "-c")
    streaming.run(
        *place, "cat >/usr/local/bin/tar; chmod 755 /usr/local/bin/tar", stdin=(tmp_path / "tar").read_text()
    )
    try:
        result = streaming.call("cp", "-c", "shell", "web:data", str(tmp_path / "target"))
    finally:
        streaming.run("exec", "web", "-c", "shell", "--", "rm", "/usr/local/bin/tar")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "error: tar contents corrupted"
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "tar", "target", "target/hard", "target/link", "target/link/through", "victim",
    ]  # fmt: skip
    assert (tmp_path / "victim").read_text() == "untouched"
    assert not (tmp_path / "target/link").is_symlink()
    assert not Path("/tmp/absolute-evil").exists()
