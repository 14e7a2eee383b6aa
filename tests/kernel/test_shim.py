"""The shim as its clients see it:

Stop, events, state, adoption, loss; and what it does to those who misbehave.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import minikubelet
from minikubelet.errors import ShimRequestError, ShimUnavailable
from minikubelet.linux import cgroup
from minikubelet.runtime import shim_client
from minikubelet.runtime.shim_client import ShimClient
from minikubelet.shim.protocol import MountSpec, NetworkSpec, ProcessSpec, SandboxSpec, plain
from tests.kernel.shims import FACTOR, PATH, Container, Node, Pod, until

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 1000; done"


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_stop_sends_the_signal_and_waits_for_the_end(node: Node) -> None:
    container = node.pod().start("sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done")
    container.wait_output("ready")
    assert container.stop(signal.SIGUSR1, 60).exit_code == 5


def test_the_log_keeps_the_order_of_both_streams_when_all_is_found_at_once(node: Node) -> None:
    """The shim stands still while one container ends and then another: reaping the first, it finds the other
    dead as well, whose words it has not read yet."""
    pod = node.pod()
    waits = "until [ -e /tmp/go ]; do sleep 0.01; done; echo first >&2; echo second"
    containers = [pod.start("sh", "-c", waits) for _ in range(2)]
    pids = [container.record().pid for container in containers]
    os.kill(pod.pid, signal.SIGSTOP)
    for pid in pids:
        Path(f"/proc/{pid}/root/tmp/go").touch()
        until(lambda pid=pid: is_dead(pid), what="it has ended")
    os.kill(pod.pid, signal.SIGCONT)
    for container in containers:
        container.ended()
        assert container.output() == "first\nsecond\n"


def is_dead(pid: int) -> bool:
    """And waits for being reaped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")


def test_stop_kills_after_the_grace_period(node: Node) -> None:
    container = node.pod().start("sh", "-c", IGNORES_TERM)
    container.wait_output("ready")
    begun = time.monotonic()
    assert container.stop(grace=0.3).exit_code == 137
    assert time.monotonic() - begun >= 0.3


def test_a_second_stop_can_only_shorten_the_time(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sh", "-c", IGNORES_TERM)
    container.wait_output("ready")

    async def three() -> list[int]:
        stops = [pod.client.stop_container(container.id, signal.SIGTERM, grace) for grace in (900, 0.2, 900)]
        return [record.exit_code for record in await asyncio.gather(*stops)]

    assert node.wait(three()) == [137, 137, 137]


def test_a_frozen_container_is_thawed_and_stopped(node: Node) -> None:
    container = node.pod().start("sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done")
    container.wait_output("ready")
    cgroup.write(container.spec.cgroup, "cgroup.freeze", "1")
    until(lambda: cgroup.read_keyed(container.spec.cgroup, "cgroup.events")["frozen"])
    assert container.stop(grace=60).exit_code == 6


def test_stop_kills_whoever_hides_in_the_cgroup(node: Node) -> None:
    pod = node.pod(share_process_namespace=True)
    container = pod.start(
        "sh",
        "-c",
        "for i in 1 2 3; do setsid sh -c \"trap '' TERM; sleep 1000\" & done; echo ready; sleep 1000",
    )
    container.wait_output("ready")
    container.stop(grace=60)
    assert not cgroup.populated(container.spec.cgroup)


def test_stop_of_a_stopped_container_returns_its_record(node: Node) -> None:
    container = node.pod().start("sh", "-c", "exit 9")
    container.ended()
    assert container.stop().exit_code == 9


def test_many_ends_at_once_lose_no_exit_code(node: Node) -> None:
    """F5: all of these end in a few milliseconds, and their SIGCHLDs merge."""
    pod = node.pod()
    container = pod.start("sleep", "1000")
    script = "while [ ! -e /go ]; do sleep 0.05; done; exit {}"

    async def many() -> list[int]:
        commands = [ProcessSpec(["sh", "-c", script.format(code)], [PATH]) for code in range(60)]
        waiting = [asyncio.create_task(pod.client.exec_sync(container.id, command)) for command in commands]
        await pod.client.exec_sync(container.id, ProcessSpec(["/bin/touch", "/go"], []))
        return [answer[0] for answer in await asyncio.gather(*waiting)]

    assert node.wait(many(), 60) == list(range(60))


def test_state_is_written_before_it_is_told(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sleep", "1000")
    written = json.loads((pod.directory / "state.json").read_text())
    assert written["containers"][0]["state"] == "running"
    assert written["pid"] == pod.pid
    assert written["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    container.stop(signal.SIGKILL, 0)
    assert json.loads((pod.directory / "state.json").read_text())["containers"][0]["exit_code"] == 137


def test_pods_outlive_the_agent_and_are_found_again(node: Node) -> None:
    """The zygote and the connection are lost; the shim logs on, and a new client finds all of it."""
    pod = node.pod()
    mounts = [MountSpec("bind", "/volume", str(node.directory))]
    container = pod.start(
        "sh", "-c", "while [ ! -e /volume/go ]; do sleep 0.05; done; echo after; exit 3", mounts=mounts
    )
    node.wait(pod.client.close())
    node.wait(node.zygote.close())
    assert Path(f"/proc/{pod.pid}").exists()
    (node.directory / "go").touch()
    until(lambda: "after" in container.output())
    pod.client = pod.connect()
    assert container.ended().exit_code == 3


def test_a_zygote_that_is_closed_at_once_ends(node: Node) -> None:
    """An agent that cannot start ends, too: nobody may have read from the zygote's socket yet."""

    async def start_and_close() -> None:
        node.zygote.start()
        zygote = node.zygote.pid
        assert zygote is not None
        try:
            async with asyncio.timeout(20 * FACTOR):
                await node.zygote.close()
        except TimeoutError:
            os.kill(zygote, signal.SIGKILL)  # somebody waits for it in a thread
            raise

    node.wait(start_and_close())


def test_a_zygote_ends_silently_when_its_agent_ended_without_reading_an_answer(node: Node) -> None:
    """The kernel calls that a reset; what a zygote says on its standard error is the agent's log."""
    root = str(Path(minikubelet.__file__).parents[1])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", shim_client._ZYGOTE, root, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    theirs.close()
    with ours:
        spec = SandboxSpec("u", "n", "d", 0, "0" * 64, str(node.directory / "nowhere"), "web")
        ours.send(json.dumps({"id": 1, "op": "spawn", "spec": plain(spec)}).encode())
        select.select([ours], [], [])
    _, said = zygote.communicate()
    assert (zygote.returncode, said) == (0, b"")


def test_a_lost_zygote_is_started_again(node: Node) -> None:
    node.pod()
    lost = node.zygote.pid
    assert lost is not None
    os.kill(lost, signal.SIGKILL)
    assert node.pod().state().spec.hostname == "web"
    assert node.zygote.pid != lost


def test_two_pods_at_once_that_find_the_zygote_lost_get_a_new_one(node: Node) -> None:
    """The first to notice starts it; the second must not take it for the lost one, and close its socket."""
    node.pod()
    lost = node.zygote.pid
    assert lost is not None
    os.kill(lost, signal.SIGKILL)
    until(lambda: not is_alive(lost))  # and nobody has read that from its socket yet: our loop stands still
    specs = []
    for number in range(2):
        directory = node.directory / f"at-once{number}"
        directory.mkdir()
        specs.append(SandboxSpec("u", "n", "d", 0, f"{number:064}", str(directory), "web"))

    async def spawn_both() -> None:
        await asyncio.gather(*(node.zygote.spawn(spec) for spec in specs))
        for spec in specs:
            client = await ShimClient.connect(Path(spec.directory))
            await client.shutdown()
            await client.close()

    node.wait(spawn_both())
    assert node.zygote.pid != lost


def made_ahead(node: Node) -> list[int]:
    """Children of the zygote that are no pod yet."""
    zygote = node.zygote.pid
    children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    return [int(pid) for pid in children if not any(pod.pid == int(pid) for pod in node.pods)]


def test_the_next_shim_is_made_ahead_of_time(node: Node) -> None:
    node.pod()
    (embryo,) = until(lambda: made_ahead(node))
    assert node.pod().pid == embryo


def test_a_shim_that_dies_before_it_has_a_pod_is_replaced(node: Node) -> None:
    node.pod()
    (embryo,) = until(lambda: made_ahead(node))
    os.kill(embryo, signal.SIGKILL)
    until(lambda: not is_alive(embryo))
    assert node.pod().state().spec.hostname == "web"


def test_a_shim_without_a_pod_ends_with_its_zygote(node: Node) -> None:
    node.pod()
    (embryo,) = until(lambda: made_ahead(node))
    assert node.zygote.pid is not None
    os.kill(node.zygote.pid, signal.SIGKILL)
    until(lambda: not is_alive(embryo))


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_second_shim_for_one_directory_is_refused(node: Node) -> None:
    pod = node.pod()
    with pytest.raises(ShimRequestError, match="Resource temporarily unavailable"):
        node.wait(node.zygote.spawn(pod.spec))
    assert pod.state().pid == pod.pid


def test_a_sandbox_that_cannot_be_made_is_an_error_with_its_reason(node: Node) -> None:
    directory = node.directory / "bad"
    directory.mkdir()
    spec = SandboxSpec("u", "n", "d", 0, "0" * 64, str(directory), "web", sysctls={"kernel.panic": "1"})
    with pytest.raises(ShimRequestError, match=r"not a sysctl of the pod's own namespaces: 'kernel.panic'"):
        node.wait(node.zygote.spawn(spec))


def test_who_finds_a_state_finds_a_shim_that_listens(node: Node) -> None:
    """Or an agent that starts in this moment would take it for dead. It is held up where it writes the state,
    by a pipe that nobody reads.
    """
    directory = node.directory / "slow"
    directory.mkdir()
    os.mkfifo(directory / "state.json.new")
    spec = SandboxSpec("u", "n", "d", 0, "0" * 64, str(directory), "web")

    async def story() -> None:
        spawning = asyncio.create_task(node.zygote.spawn(spec))
        client = None
        while client is None:
            await asyncio.sleep(0.01)
            with suppress(ShimUnavailable):  # its socket may be bound and not listen yet
                client = await ShimClient.connect(directory)
        assert not (directory / "state.json").exists()
        held = os.open(directory / "state.json.new", os.O_RDONLY | os.O_NONBLOCK)
        await spawning
        os.close(held)
        await client.shutdown()
        await client.close()

    node.wait(story())


def test_sysctls_of_the_pods_own_namespaces_are_set(node: Node) -> None:
    before = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    sysctls = {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
        "kernel.shmmni": "777",
    }
    pod = node.pod(sysctls=sysctls)
    said = pod.sh(
        "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range kernel/shmmni"
    )
    assert said.split() == ["0", "0", "2147483647", "777"]
    assert Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == before


def test_the_nodes_namespaces_when_asked_for(node: Node) -> None:
    pod = node.pod(host_network=True, host_ipc=True, host_pid=True)
    said = pod.sh("for n in net ipc uts pid; do stat -L -c %i /proc/self/ns/$n; done", pid_mode="host")
    nodes = [os.stat(f"/proc/self/ns/{name}").st_ino for name in ("net", "ipc", "uts", "pid")]
    assert [int(number) for number in said.split()] == nodes


def test_shutdown_is_refused_while_a_container_runs(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sleep", "1000")
    with pytest.raises(ShimRequestError, match="still running: c0"):
        node.wait(pod.client.shutdown())
    with pytest.raises(ShimRequestError, match="is not stopped"):
        node.wait(pod.client.remove_container(container.id))
    container.stop(signal.SIGKILL, 0)
    node.wait(pod.client.remove_container(container.id))
    assert pod.state().containers == []
    pod.containers.clear()


def cannot_connect(pod: Pod) -> bool:
    try:
        pod.node.wait(pod.node.wait(ShimClient.connect(pod.directory)).close())
    except ShimUnavailable:
        return True
    return False


def test_the_line_to_a_shim_that_hangs_can_be_closed(node: Node) -> None:
    """Also while there is more to say than it has read: the agent must be able to end."""
    pod = node.pod()
    os.kill(pod.pid, signal.SIGSTOP)

    async def story() -> None:
        client = await ShimClient.connect(pod.directory)
        labels = {"a": "x" * (4 << 20)}
        asking = asyncio.create_task(client.request("label_container", container_id="none", labels=labels))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ShimUnavailable):
            await asking

    try:
        node.wait(story())
    finally:
        os.kill(pod.pid, signal.SIGCONT)


def test_a_killed_shim_is_noticed_and_takes_the_shared_process_namespace_with_it(node: Node) -> None:
    pod = node.pod(share_process_namespace=True)
    container = pod.start("sleep", "1000")
    os.kill(pod.pid, signal.SIGKILL)
    node.wait(pod.client.wait_closed())
    with pytest.raises(ShimUnavailable):
        node.wait(pod.client.state())
    until(lambda: cannot_connect(pod), what="nobody listens")
    until(lambda: not cgroup.populated(container.spec.cgroup))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"not json\n", id="no JSON"),
        pytest.param(b"[1]\n", id="no object"),
        pytest.param(b"\0" * 100_000, id="no line"),
        pytest.param(
            b'{"id": 1, "op": "attach", "container_id": "0"}\n' + b"\xff" * 100, id="frames for nothing"
        ),
        pytest.param(b'{"id": 1, "op": "start_container", "spec": {"id": 5}}\n', id="half a specification"),
        pytest.param(b'{"id": 1, "op": ["x"]}\n', id="an operation that is a list"),
        pytest.param(
            b'{"id": 1, "op": "stop_container", "container_id": {}, "grace": "x"}\n',
            id="an id that is a table",
        ),
    ],
)
def test_a_client_that_talks_nonsense_hurts_only_itself(node: Node, said: bytes) -> None:
    pod = node.pod()
    pod.sh("true")
    before = descriptors_of(pod.pid)
    with connect(pod) as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        while client.recv(65536):
            pass
    assert pod.sh("echo alive") == "alive\n"
    until(lambda: descriptors_of(pod.pid) == before, what="its descriptors are freed")
    assert pod.shim_log().count("Traceback") == 0, pod.shim_log()


def connect(pod: Pod) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(pod.directory / "shim.sock"))
    return client


def test_a_thousand_hard_closes_leave_nothing(node: Node) -> None:
    """A31."""
    pod = node.pod()
    container = pod.start("sleep", "1000")
    before = descriptors_of(pod.pid)
    request = {
        "id": 1,
        "container_id": container.id,
        "process": {"argv": ["sleep", "1000"], "env": ["PATH=/bin"], "stdin": True},
    }
    for n in range(200):
        with connect(pod) as client:
            op = ("exec", "attach", "exec_sync", "subscribe")[n % 4]
            client.sendall(json.dumps(request | {"op": op}).encode() + b"\n")
    until(lambda: descriptors_of(pod.pid) == before, 30, "all descriptors are freed")
    until(
        lambda: (
            len(cgroup.processes(container.spec.cgroup)) == 1
            and not list(Path(container.spec.cgroup).glob("exec-*"))
        )
    )


def test_the_shims_socket_is_roots_alone(node: Node) -> None:
    """A27, A28: no abstract socket, nothing that is seen in the pod's network."""
    pod = node.pod()
    assert (pod.directory / "shim.sock").stat().st_mode & 0o777 == 0o600
    assert pod.sh("cat /proc/net/unix | wc -l") == "1\n"


def test_a_shim_holds_nothing_of_its_ancestors(node: Node) -> None:
    """F35: descriptors, working directory, session, title."""
    pod = node.pod()
    targets = {os.readlink(f"/proc/{pod.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pod.pid}/fd")}
    assert not any("seqpacket" in target or target == os.readlink("/proc/self/fd/1") for target in targets), (
        targets
    )
    assert Path(f"/proc/{pod.pid}/comm").read_text() == "mk-shim\n"
    assert os.getsid(pod.pid) == pod.pid
    assert os.readlink(f"/proc/{pod.pid}/cwd") == "/"


def test_a_shim_goes_on_while_its_state_cannot_be_written(node: Node) -> None:
    """F9: the disk is full. The old state stays whole; the new one is written when there is space again."""
    pod = node.pod()
    (pod.directory / "state.json.new").mkdir()
    container = pod.start("sleep", "1000")
    assert container.first.state == "running"
    assert json.loads((pod.directory / "state.json").read_text())["containers"] == []
    (pod.directory / "state.json.new").rmdir()
    until(lambda: json.loads((pod.directory / "state.json").read_text())["containers"])


def test_a_long_path_is_no_obstacle(node: Node) -> None:
    directory = node.directory / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    pod = node.pod(directory=str(directory))
    assert pod.sh("echo ok") == "ok\n"


def test_the_network_is_configured_from_inside(node: Node) -> None:
    pod = node.pod()
    host = f"mkt{os.getpid() % 100000}"
    ip = ["ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", str(pod.pid)]
    subprocess.run(ip, check=True)
    subprocess.run(["ip", "addr", "add", "198.51.100.1/24", "dev", host], check=True)
    subprocess.run(["ip", "link", "set", host, "up"], check=True)
    network = NetworkSpec("198.51.100.7", 24, "198.51.100.1", 1400)
    for _ in range(2):  # an agent that was killed in between says it again
        node.wait(pod.client.configure_network(network))
    assert pod.state().network == network
    said = pod.sh("ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/mtu")
    assert "inet 198.51.100.7/24 brd 198.51.100.255" in said
    assert "default via 198.51.100.1 dev eth0" in said
    assert "\n1400\n" in said
    assert "1 packets received" in pod.sh("busybox ping -c 1 -W 5 198.51.100.1")


def test_the_shim_lives_in_the_cgroup_it_is_given(node: Node) -> None:
    path = f"{node.cgroup}/sandbox"
    cgroup.create(path)
    pod = node.pod(cgroup=path)
    assert cgroup.processes(path) == [pod.pid]


@pytest.mark.limits
def test_a_container_that_takes_too_much_memory_is_marked_oom_killed(node: Node) -> None:
    pod = node.pod()
    spec = pod.spec_of("/usr/bin/python3", "-c", "x = bytearray(64 << 20)")
    enable_memory(spec.cgroup)
    cgroup.write(spec.cgroup, "memory.max", str(32 << 20))
    cgroup.write(spec.cgroup, "memory.oom.group", "1")
    container = Container(pod, spec)
    pod.containers.append(container)
    container.first = node.wait(pod.client.start_container(spec))
    record = container.ended()
    assert (record.exit_code, record.oom_killed) == (137, True)
    assert not pod.start("false").ended().oom_killed


def enable_memory(path: str) -> None:
    """In every cgroup above this one."""
    root = cgroup.find_mount()
    above = Path(path).relative_to(root).parents
    for directory in reversed(above):
        cgroup.enable(os.path.join(root, directory), ["memory"])
