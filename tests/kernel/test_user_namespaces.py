"""A pod with ids of its own, on the real kernel: who is root inside is nobody on the node.

The root file systems lie on an ext4 of the test's own: not every file system can be id-mapped on every kernel
(tmpfs since Linux 6.3, overlay never).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.linux import capabilities
from minikubelet.shim.protocol import MountSpec
from tests.ext4 import ext4

from .shims import Container, Node, Pod

FIRST = 65536 * 3
REFUSALS = ("not permitted", "ermission denied", "nvalid argument", "ead-only file system")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ext4(tmp_path_factory.mktemp("ext4")) as directory:
        yield directory


@pytest.fixture
def node(disk: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    directory = disk / request.node.name
    directory.mkdir()
    made = Node(directory)
    yield made
    made.close()


@pytest.fixture
def pod(node: Node) -> Pod:
    return mapped_pod(node)


def mapped_pod(node: Node, first: int = FIRST, **fields: Any) -> Pod:
    return node.pod(first_id=first, ids=65536, **fields)


def start(pod: Pod, *argv: str, **fields: Any) -> Container:
    fields.setdefault("image", pod.node.image())
    container = pod.start(*argv, **fields)
    assert container.first.error == ""
    return container


def status_on_node(container: Container, *names: str) -> list[list[str]]:
    lines = Path(f"/proc/{container.record().pid}/status").read_text().splitlines()
    return [line.split()[1:] for name in names for line in lines if line.startswith(f"{name}:")]


def test_root_in_the_pod_is_nobody_on_the_node(pod: Pod) -> None:
    """The defence is `UserNamespace.enter`."""
    container = start(pod, "sleep", "1000")
    assert status_on_node(container, "Uid", "Gid") == 2 * [[str(FIRST)] * 4]
    code, output, _ = container.exec("sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/gid_map")
    assert (code, output.split()) == (0, ["0", *2 * ["0", str(FIRST), "65536"]])


def test_ids_of_the_manifest_are_those_inside(pod: Pod) -> None:
    container = start(
        pod, "sh", "-c", "echo again >/dev/stdout; exec sleep 1000", uid=1000, gid=2000, groups=[2000, 7]
    )
    assert status_on_node(container, "Uid", "Gid", "Groups") == [
        [str(FIRST + 1000)] * 4,
        [str(FIRST + 2000)] * 4,
        [str(FIRST + 7), str(FIRST + 2000)],
    ]
    container.wait_output("again")  # its own pipe can be opened again
    assert container.exec("sh", "-c", "echo >/dev/stdout; id -u; id -g")[1].split() == ["1000", "2000"]


def test_namespaces_belong_to_the_pod_and_two_pods_share_no_id(node: Node) -> None:
    one, other = (start(mapped_pod(node, FIRST * number), "sleep", "1000") for number in (1, 2))
    for kind in ("user", "net", "ipc", "uts", "mnt", "pid", "cgroup"):
        names = {
            os.readlink(f"/proc/{pid}/ns/{kind}") for pid in (one.record().pid, other.record().pid, "self")
        }
        assert len(names) == 3, kind
    assert status_on_node(other, "Uid") == [[str(2 * FIRST)] * 4]


def test_files_of_image_and_volume_keep_their_owners(node: Node, pod: Pod) -> None:
    """The defence is `user_namespaces.map_ids`: without it all of them are nobody's."""
    volume = node.directory / "volume"
    volume.mkdir(mode=0o700)
    mounts = [MountSpec("bind", "/v/w", str(volume), ["rbind", "private", "rw"])]
    places = "/bin /bin/busybox /v /v/w /work /dev /dev/null /dev/pts /dev/shm"
    script = f"stat -c '%u:%g' {places}; touch /v/w/made /etc/made /work/made; pwd"
    owners = pod.sh(script, image=node.image(), mounts=mounts, cwd="/work").split()
    assert owners == ["0:0"] * 9 + ["/work"]
    made = (volume / "made").stat()
    assert (made.st_uid, made.st_gid) == (0, 0)


def test_an_image_that_cannot_be_mapped_fails_the_container_with_the_reason(pod: Pod) -> None:
    one, other = pod.node.image(), pod.node.image()
    merged = pod.node.directory / "merged"
    merged.mkdir()
    subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={one}:{other}", "overlay", merged], check=True)
    try:
        container = pod.start("true", image=merged)
    finally:
        subprocess.run(["umount", merged], check=True)
    assert container.first.error == (
        f"cannot mount the root file system: failed to set MOUNT_ATTR_IDMAP on {merged}: invalid argument "
        "(maybe the filesystem used doesn't support idmap mounts on this kernel?)"
    )


def test_a_volume_that_cannot_be_mapped_fails_the_container_with_the_reason(pod: Pod) -> None:
    mounts = [MountSpec("bind", "/v", "/proc", ["bind", "private", "rw"])]
    container = pod.start("true", image=pod.node.image(), mounts=mounts)
    assert container.first.error == (
        "cannot bind /proc on /v: failed to set MOUNT_ATTR_IDMAP on /proc: invalid argument "
        "(maybe the filesystem used doesn't support idmap mounts on this kernel?)"
    )


def test_capabilities_inside_do_not_reach_the_node(pod: Pod) -> None:
    """With every capability there is. The defence is `UserNamespace.enter`, and for what is mounted that the
    container's mount namespace is unshared behind it (`container.run`).
    """
    container = start(pod, "sleep", "1000", capabilities=list(capabilities.NAMES))
    for attempt in (
        "busybox sysctl -w kernel.panic=7",
        "mount -o remount,rw /sys",
        "busybox umount /proc/sys",
        "mount -t ext4 /dev/loop0 /tmp",
        "mknod /dev/disk b 7 0",
        "busybox date -s 2001-01-01",
        "busybox dmesg -c",
    ):
        code, output, _ = container.exec("sh", "-c", f"{attempt} 2>&1")
        assert any(word in output for word in REFUSALS), (attempt, code, output)


def test_capabilities_inside_do_reach_what_the_pod_owns(pod: Pod) -> None:
    container = start(pod, "sleep", "1000", capabilities=list(capabilities.NAMES))
    steps = ("hostname other", "mount -t tmpfs t /tmp", "ip link set lo down", "hostname")
    script = " && ".join(f"busybox {step}" for step in steps)
    code, output, _ = container.exec("sh", "-c", script)
    assert (code, output) == (0, "other\n")


def test_a_terminal_belongs_to_the_user_inside(pod: Pod) -> None:
    container = start(pod, "sh", "-c", "stat -c '%u:%g' $(busybox tty); exec sleep 1000", tty=True, uid=1000)
    container.wait_output("1000:5")


def test_a_shared_pid_namespace(node: Node) -> None:
    pod = mapped_pod(node, share_process_namespace=True)
    container = start(pod, "sleep", "1000")
    assert container.exec("stat", "-c", "%u", "/proc/1/status")[0] == 0
    parent = Path(f"/proc/{pod.pid}/task/{pod.pid}/children").read_text().split()
    assert all(f"\nUid:\t{FIRST}\t" in Path(f"/proc/{child}/status").read_text() for child in parent)


def test_sysctls_and_network_of_the_pod(node: Node) -> None:
    pod = mapped_pod(
        node, sysctls={"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shm_rmid_forced": "1"}
    )
    output = pod.sh(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced",
        image=node.image(),
    )
    assert output.split() == ["0", "1"]
