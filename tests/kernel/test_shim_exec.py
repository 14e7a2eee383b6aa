"""Processes joined to a container:

Probes, exec, attach; their limits, their ends, and what they may not reach.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from minikubelet.errors import ShimRequestError
from minikubelet.linux import cgroup
from minikubelet.runtime.shim_client import ShimStream
from tests.kernel.shims import FACTOR, Container, Node, until


def output(node: Node, stream: ShimStream) -> tuple[dict[int, bytes], int]:
    """Everything a stream brings, by channel, and the exit code."""

    async def collect() -> tuple[dict[int, bytes], int]:
        channels: dict[int, bytes] = {}
        async for channel, payload in stream.frames():
            channels[channel] = channels.get(channel, b"") + payload
        await stream.close()
        return channels, int(channels.pop(3))

    return node.wait(collect(), 60)


def alone(container: Container) -> bool:
    """Only process 1 is left, and no trace of an exec."""
    exec_cgroups = list(Path(container.spec.cgroup).glob("exec-*"))
    return not exec_cgroups and len(cgroup.processes(container.spec.cgroup)) == 1


NAMESPACES = "for n in net ipc uts mnt pid cgroup; do stat -L -c $n=%i /proc/self/ns/$n; done"
JOINED = f"cat /tmp/file; id -u; pwd; ls /proc/self/fd | wc -l; {NAMESPACES}"


def test_exec_runs_in_the_containers_namespaces_with_its_user_and_layer(node: Node) -> None:
    script = f"echo mine > /tmp/file; {NAMESPACES}; echo ready; sleep 1000"
    container = node.pod().start("sh", "-c", script, uid=1000, gid=1000)
    container.wait_output("ready")
    code, said, late = container.exec("sh", "-c", JOINED, cwd="/usr")
    assert (code, late) == (0, False)
    own = container.output().replace("ready\n", "")
    assert said == f"mine\n1000\n/usr\n4\n{own}"
    shown = container.exec("sh", "-c", "stat -c %a /sys/fs/cgroup/exec-*")[1]
    assert shown == "755\n", "its cgroup is seen on the node, where others must not make any in it"


def test_exec_has_no_more_capabilities_than_the_container(node: Node) -> None:
    container = node.pod().start("sleep", "1000", capabilities=["CHOWN"])
    _, said, _ = container.exec("sh", "-c", "grep Cap /proc/self/status")
    assert [line.split()[1] for line in said.splitlines()] == ["0" * 16, *["0" * 15 + "1"] * 3, "0" * 16]


def test_exec_sync_gives_stdout_then_stderr_cut_to_the_limit(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    assert container.exec("sh", "-c", "echo err >&2; echo out; exit 3") == (3, "out\nerr\n", False)
    assert container.exec("sh", "-c", "echo err >&2; echo out", limit=6) == (0, "out\ner", False)


def test_a_command_that_is_not_there_is_an_error_not_a_result(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    with pytest.raises(ShimRequestError, match=r'^exec: "nosuch": executable file not found in \$PATH$'):
        container.exec("nosuch")
    assert alone(container)


def test_a_time_out_ends_the_command_and_all_it_started(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    code, said, late = container.exec(
        "sh", "-c", "echo begun; setsid setsid sleep 1000 & sleep 1000", timeout=2 * FACTOR
    )
    assert (code, said, late) == (137, "begun\n", True)
    until(lambda: alone(container))


def test_a_daemon_left_behind_by_exec_lives_on_in_the_container(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    assert container.exec("sh", "-c", "setsid sleep 1001 >/dev/null 2>&1 & echo ok") == (0, "ok\n", False)
    assert container.exec("sh", "-c", "grep -l 1001 /proc/[0-9]*/cmdline | wc -l")[1] >= "1"
    container.stop(signal.SIGKILL, 0)
    assert not cgroup.populated(container.spec.cgroup)


def test_exec_in_a_stopped_container_is_refused(node: Node) -> None:
    container = node.pod().start("true")
    container.ended()
    with pytest.raises(ShimRequestError, match="is not running"):
        container.exec("true")


def test_an_exec_ends_with_its_container(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    stream = container.stream("sleep", "1000")
    container.stop(signal.SIGKILL, 0)
    assert output(node, stream) == ({}, 137)


def test_unbounded_output_of_a_probe_costs_the_shim_nothing(node: Node) -> None:
    """A30."""
    pod = node.pod()
    container = pod.start("sleep", "1000")
    container.exec("true")
    before = memory_of(pod.pid)
    code, said, _ = container.exec("sh", "-c", "head -c 300000000 /dev/zero; echo end >&2")
    assert (code, len(said)) == (0, 10240)
    assert memory_of(pod.pid) - before < 1 << 20


def memory_of(pid: int) -> int:
    """Peak of the anonymous memory, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def test_streams_carry_stdin_stdout_stderr_and_the_exit_code(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    stream = container.stream("sh", "-c", "cat; echo problem >&2; exit 4", stdin=True)
    node.wait(stream.write_stdin(b"hello\n" * 3))
    node.wait(stream.close_stdin())
    assert output(node, stream) == ({1: b"hello\n" * 3, 2: b"problem\n"}, 4)
    until(lambda: alone(container))


def test_much_data_passes_both_ways_without_growth(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sleep", "1000")
    stream = container.stream("cat", stdin=True)
    before = memory_of(pod.pid)
    total = 64 << 20

    async def both() -> int:
        async def feed() -> None:
            for _ in range(total >> 20):
                await stream.write_stdin(bytes(1 << 20))
            await stream.close_stdin()

        feeding = asyncio.create_task(feed())
        received = 0
        async for channel, payload in stream.frames():
            received += len(payload) if channel == 1 else 0
        await feeding
        await stream.close()
        return received

    assert node.wait(both(), 120) == total
    assert memory_of(pod.pid) - before < 4 << 20


def test_the_exit_code_arrives_though_input_is_still_on_its_way(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    for _ in range(5):
        stream = container.stream("sh", "-c", "head -c 1 >/dev/null; exit 3", stdin=True)

        async def type_on(stream: ShimStream = stream) -> None:
            for _ in range(100):
                await stream.write_stdin(bytes(65536))

        node.wait(type_on())
        until(lambda: alone(container))
        node.wait(type_on())
        assert output(node, stream) == ({}, 3)


def test_a_client_that_does_not_read_stops_its_own_command_only(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sleep", "1000")
    stream = container.stream("sh", "-c", "head -c 100000000 /dev/zero; echo done > /dev/shm/done")
    before = memory_of(pod.pid)
    assert container.exec("echo", "alive")[1] == "alive\n"
    assert container.exec("ls", "/dev/shm")[1] == ""
    assert memory_of(pod.pid) - before < 4 << 20
    node.wait(stream.close())
    until(lambda: alone(container))


def test_what_a_dead_process_left_in_the_pipe_reaches_a_slow_client(node: Node) -> None:
    """The shim has paused the pipe, then the process ends: the last bytes are still in there."""
    container = node.pod().start("sleep", "1000")
    for size in range(100_000, 700_000, 20_000):
        stream = container.stream("head", "-c", str(size), "/dev/zero")
        cpu_is_idle(container)
        channels, code = output(node, stream)
        assert (len(channels[1]), code) == (size, 0)


def cpu_is_idle(container: Container) -> None:
    """Whoever runs in the container has ended or waits: for a pipe that nobody reads."""
    until(lambda: all(state_of(pid) in "SZX" for pid in everybody(container)))


def everybody(container: Container) -> list[int]:
    found = cgroup.processes(container.spec.cgroup)
    return found + [
        pid for path in Path(container.spec.cgroup).glob("exec-*") for pid in cgroup.processes(str(path))
    ]


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return "X"


def test_a_client_that_vanishes_takes_its_command_along(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    for stdin in (False, True):
        stream = container.stream("sh", "-c", "setsid sleep 1000 & sleep 1000", stdin=stdin)
        if stdin:  # nobody reads it: the shim has paused this client when it goes
            stream._writer.write(b"".join(frame(bytes(65536)) for _ in range(20)))
        node.wait(stream.close())
        until(lambda: alone(container), what=f"stdin {stdin}")


def frame(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def test_a_terminal_has_a_size_that_can_be_changed_and_belongs_to_the_container(node: Node) -> None:
    container = node.pod().start("sleep", "1000")
    stream = container.stream(
        "sh",
        "-c",
        "tty; stty size; read line; stty size; echo got $line; exit 2",
        tty=True,
        stdin=True,
        uid=1000,
    )
    node.wait(stream.resize(132, 50))
    node.wait(stream.write_stdin(b"word\n"))
    channels, code = output(node, stream)
    said = channels[1].decode().replace("\r\n", "\n").splitlines()
    assert code == 2
    assert "/dev/pts/0" in said
    assert "50 132" in said
    assert said[-1] == "got word"


def test_a_container_with_a_terminal_has_a_console(node: Node) -> None:
    container = node.pod().start(
        "sh",
        "-c",
        "tty; stat -c %F /dev/console; echo to the console > /dev/console; sleep 0.1; exit 3",
        tty=True,
    )
    assert container.ended().exit_code == 3
    assert container.output().replace("\r", "") == "/dev/pts/0\ncharacter special file\nto the console\n"


def test_attach_sees_output_and_feeds_stdin(node: Node) -> None:
    container = node.pod().start(
        "sh", "-c", "read line; echo got $line; read line || exit 7", stdin=True, stdin_once=True
    )
    first = container.attach()
    second = container.attach(stdin=True)
    node.wait(second.write_stdin(b"word\n"))
    container.wait_output("got word")
    node.wait(second.close())
    assert output(node, first) == ({1: b"got word\n"}, 7)


def test_the_end_of_a_clients_input_is_the_containers_only_with_stdin_once(node: Node) -> None:
    container = node.pod().start("sh", "-c", "cat; exit 7", stdin=True)
    first = container.attach(stdin=True)
    node.wait(first.write_stdin(b"one\n"))
    container.wait_output("one")
    node.wait(first.close_stdin())
    node.wait(first.close())
    second = container.attach(stdin=True)
    node.wait(second.write_stdin(b"two\n"))
    container.wait_output("two")
    node.wait(second.close())


def test_what_was_said_on_stderr_goes_before_later_stdout(node: Node) -> None:
    """The shim stands still while both are written, so it finds both at once."""
    pod = node.pod()
    container = pod.start("sleep", "1000")
    stream = container.stream(
        "sh", "-c", "until [ -e /tmp/go ]; do sleep 0.01; done; echo no >&2; echo out; sleep 1000"
    )
    os.kill(pod.pid, signal.SIGSTOP)
    root = Path(f"/proc/{stream.answer['pid']}/root")
    (root / "tmp/go").touch()
    until(lambda: [words_of(pid) for pid in everybody(container)].count("sleep 1000 ") == 2)
    os.kill(pod.pid, signal.SIGCONT)

    async def first_two() -> list[tuple[int, bytes]]:
        frames = stream.frames()
        return [await anext(frames), await anext(frames)]

    assert node.wait(first_two()) == [(2, b"no\n"), (1, b"out\n")]
    node.wait(stream.close())


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_nobody_in_the_pod_can_look_into_a_process_that_joins_it(node: Node) -> None:
    """CVE-2016-9962, CVE-2019-5736: the joining process is not dumpable, and its binary cannot be written."""
    pod = node.pod(share_process_namespace=True)
    spy = Path(__file__).with_name("spy.py").read_text()
    watcher = pod.start("/usr/bin/python3", "-c", spy)
    watcher.wait_output("watching")
    victim = pod.start("sleep", "1000")

    def seen_by_the_watcher() -> bool:
        """It gets along as fast as it can; some of these processes come and go between two of its looks."""
        victim.exec("true")
        return watcher.output().count("seen") >= 20

    until(seen_by_the_watcher, 30)
    watcher.stop(signal.SIGTERM, 10)
    assert "opened" not in watcher.output(), watcher.output()


def test_the_interpreter_cannot_be_written_through_proc_self_exe(node: Node) -> None:
    """CVE-2019-5736 with an entry point `#!/proc/self/exe`:

    Python runs inside, from a mount nobody can write.
    """
    image = node.image(**{"bin/entry": "#!/proc/self/exe\nprint('inside', flush=True)\n"})
    (image / "bin/entry").chmod(0o755)
    python = Path(os.path.realpath(f"/proc/{node.pod().pid}/exe"))
    before = python.stat()
    pod = node.pod()
    container = pod.start("sleep", "1000")
    held = pod.start("/bin/entry", image=image).ended()
    assert held.exit_code != 0 or held.error == ""
    with pytest.raises(OSError, match=r"Read-only file system|Text file busy"):
        os.close(os.open(f"/proc/{pod.pid}/exe", os.O_WRONLY))
    del container
    assert (python.stat().st_mtime_ns, python.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_no_code_or_name_service_of_the_container_is_used(node: Node) -> None:
    """CVE-2019-14271: hostile packages and NSS configuration where the interpreter would look."""
    image = node.image()
    hostile = "open('/hostile-code-ran', 'w').close()\n"
    for place in ("usr/lib/python3.11", "usr/local/lib/python3.11/dist-packages", "tmp"):
        (image / place).mkdir(parents=True, exist_ok=True)
        for name in ("json", "encodings", "traceback", "pwd", "sitecustomize"):
            (image / place / f"{name}.py").write_text(hostile)
    (image / "etc/nsswitch.conf").write_text("passwd: hostile\n")
    pod = node.pod()
    container = pod.start("sleep", "1000", image=image)
    with pytest.raises(ShimRequestError):
        container.exec("nosuch")
    assert container.exec("ls", "/")[1].find("hostile") == -1
