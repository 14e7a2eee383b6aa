"""Is this a kernel that the runtime can be tested on? Said first and plainly, so that no other test has to
guess.

Each test does the thing itself, with the tools of the system and none of minikubelet's code: when one of
these fails the machine is at fault, not the program. They never skip.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.guest import machine

CGROUP2 = machine.cgroup2_mount(Path("/proc/self/mountinfo").read_text())
STATE = Path("/var/lib/minikubelet")


def succeed(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@pytest.mark.limits
@pytest.mark.parametrize("controller", machine.NEEDED_CONTROLLERS)
def test_the_cgroup_controllers_are_there_and_can_be_handed_down(controller: str) -> None:
    assert CGROUP2
    assert controller in (CGROUP2 / "cgroup.controllers").read_text().split()
    # systemd hands down what its units ask for; the runtime asks for these, and they stay.
    (CGROUP2 / "cgroup.subtree_control").write_text(f"+{controller}")
    assert controller in (CGROUP2 / "cgroup.subtree_control").read_text().split()


def test_a_cgroup_can_be_killed_whole() -> None:
    assert CGROUP2
    group = CGROUP2 / "minikubelet-self-test"
    group.mkdir()
    try:
        # The shell joins the group, then says so: only now may it be killed.
        script = f"echo 0 >{group}/cgroup.procs && echo in && exec sleep 1000"
        with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"in\n"
            (group / "cgroup.kill").write_text("1")
            assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        group.rmdir()


def test_nftables_can_translate_addresses() -> None:
    rules = """
        table ip minikubelet-self-test {
            chain out { type nat hook postrouting priority srcnat; ip saddr 192.0.2.0/24 masquerade; }
            chain in { type nat hook prerouting priority dstnat; tcp dport 9 dnat to 192.0.2.1:9; }
        }
    """
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        assert "masquerade" in succeed("nft", "list", "table", "ip", "minikubelet-self-test")
    finally:
        succeed("nft", "delete", "table", "ip", "minikubelet-self-test")


def test_the_state_directory_takes_the_upper_layer_of_an_overlay() -> None:
    # In a namespace of its own: what is mounted here vanishes with the shell.
    script = f"""
        set -e
        mkdir -p {STATE}
        top=$(mktemp -d {STATE}/self-test.XXXXXX)
        trap 'umount "$top/merged" && rm -r "$top"' EXIT
        mkdir "$top/upper" "$top/work" "$top/merged"
        mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/merged"
        echo written >"$top/merged/self-test"
        cat "$top/upper/self-test"
    """
    assert succeed("unshare", "--mount", "sh", "-c", script) == "written\n"


def test_a_pidfd_tells_of_an_exit_and_carries_a_signal() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        descriptor = os.pidfd_open(process.pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            assert select.select([descriptor], [], [], 30)[0]
            assert os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT)
        finally:
            os.close(descriptor)
        assert process.wait() == -signal.SIGKILL


def test_clone3_puts_a_child_into_its_cgroup_and_returns_a_pidfd() -> None:
    assert CGROUP2
    group = CGROUP2 / "minikubelet-self-test"
    group.mkdir()
    directory = os.open(group, os.O_PATH | os.O_DIRECTORY)
    try:
        pid, pidfd = clone3_into(directory)
        if pid == 0:
            os._exit(7 if "minikubelet-self-test" in Path("/proc/self/cgroup").read_text() else 1)
        status = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        assert status
        assert (status.si_pid, status.si_status) == (pid, 7)
    finally:
        os.close(directory)
        group.rmdir()


def clone3_into(cgroup: int) -> tuple[int, int]:
    """clone(2): struct clone_args is eleven 64-bit words; the call has one number on every architecture."""
    sys_clone3, clone_pidfd, clone_into_cgroup = 435, 0x1000, 0x2_0000_0000
    pidfd = ctypes.c_int(-1)
    words = [
        clone_pidfd | clone_into_cgroup,
        ctypes.addressof(pidfd),
        0,
        0,
        signal.SIGCHLD,
        0,
        0,
        0,
        0,
        0,
        cgroup,
    ]
    arguments = (ctypes.c_uint64 * 11)(*words)
    pid = ctypes.CDLL(None, use_errno=True).syscall(
        sys_clone3, ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments))
    )
    assert pid >= 0, f"clone3: {os.strerror(ctypes.get_errno())}"
    return pid, pidfd.value


def test_veth_pairs_reach_into_network_namespaces() -> None:
    script = """
        set -e
        ip link add mkself0 type veth peer name mkself1
        ip link add mkselfbr type bridge
        ip link set mkself0 master mkselfbr
        ip -br link show master mkselfbr
    """
    assert "mkself0" in succeed("unshare", "--net", "sh", "-c", script)


def test_every_kind_of_namespace_can_be_made() -> None:
    succeed("unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--cgroup", "--user", "true")
