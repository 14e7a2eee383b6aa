"""The plan of a root file system: order, replacement, options. Nothing is mounted."""

from __future__ import annotations

import pytest

from minikubelet.linux import syscalls
from minikubelet.linux.mounts import Options
from minikubelet.shim.protocol import ContainerSpec, MountSpec, ProcessSpec, RootfsSpec, SandboxSpec
from minikubelet.shim.rootfs import plan
from minikubelet.shim.sandbox import Sandbox

USUAL = [
    "mount proc on /proc",
    "make devices in /dev",
    "bind devpts on /dev/pts",
    "bind the pod's shm on /dev/shm",
    "mount mqueue on /dev/mqueue",
    "mount sysfs on /sys",
    "mount cgroup2 on /sys/fs/cgroup",
]


def described(mounts: list[MountSpec], terminal: int = -1, masked: tuple[str, ...] = ()) -> list[str]:
    sandbox = Sandbox(SandboxSpec("u", "n", "d", 0, "s", "/run", "host"), null=3, shm=4)
    spec = ContainerSpec(
        "id", "name", 0, "/cg", RootfsSpec(["/"], "/u", "/w", "/m"), ProcessSpec(["x"], []), mounts,
        list(masked), ["/proc/sys"] if masked else [], "/log",
    )  # fmt: skip
    return [operation.describe() for operation in plan(spec, sandbox, devpts=5, terminal=terminal)]


def test_every_container_has_the_usual_file_systems() -> None:
    assert described([]) == USUAL


def test_a_terminal_adds_a_console() -> None:
    assert described([], terminal=7) == [*USUAL, "bind the terminal on /dev/console"]


def test_mounts_come_from_the_shortest_path_to_the_longest_and_masks_last() -> None:
    mounts = [MountSpec("bind", "/a/b/c", "/1"), MountSpec("tmpfs", "/a"), MountSpec("bind", "/a/b/", "/2")]
    assert described(mounts, masked=("/proc/kcore",))[len(USUAL) :] == [
        "mount tmpfs on /a",
        "bind /2 on /a/b/",
        "bind /1 on /a/b/c",
        "mask /proc/kcore",
        "make /proc/sys read-only",
    ]


@pytest.mark.parametrize(
    ("destination", "gone"),
    [
        pytest.param("/dev/shm", {"/dev/shm"}, id="shared memory"),
        pytest.param("/dev//shm/", {"/dev/shm"}, id="written oddly"),
        pytest.param("/dev", {"/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"}, id="all devices"),
        pytest.param("/sys", {"/sys", "/sys/fs/cgroup"}, id="sysfs"),
        pytest.param("/devices", set(), id="only alike"),
    ],
)
def test_a_mount_replaces_the_usual_one_and_what_is_below(destination: str, gone: set[str]) -> None:
    left = described([MountSpec("bind", destination, "/x")])[:-1]
    assert {line.split()[-1] for line in USUAL} - {line.split()[-1] for line in left} == gone


def test_options_are_mount_8s_words() -> None:
    options = Options.parse(["rbind", "ro", "nosuid", "rslave", "size=1m", "rw"])
    assert options.attributes == syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
    assert options.recursive
    assert options.propagation == syscalls.MS_SLAVE
    assert options.values == (("size", "1m"),)


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown mount option 'readonly'"):
        Options.parse(["readonly"])
