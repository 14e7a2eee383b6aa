"""Attacks through volumes, on the real kernel; each test names the line that is the defence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minikubelet.errors import CreateContainerConfigError
from minikubelet.shim.protocol import MountSpec
from tests.kernel.shims import Node
from tests.kernel.test_volume_mounts import host_path, mounts

STARTS = 15

# Two names change their places in one step, again and again, until the process is killed.
FLIP = """
import ctypes, sys
first, second = (name.encode() for name in sys.argv[1:])
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, first, -100, second, 2)  # RENAME_EXCHANGE
"""


@contextmanager
def flipping(first: Path, second: Path) -> Iterator[None]:
    """Somebody swaps two files as fast as possible, as another container of the pod would."""
    process = subprocess.Popen([sys.executable, "-c", FLIP, str(first), str(second)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must not be reached."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "secret").write_text("of the node")
    return made


def mount_points(directory: Path) -> set[str]:
    """Below a directory: elsewhere on the node others may mount, too."""
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {point for point in points if point.startswith(f"{directory}/")}


def test_a10_a_destination_that_is_swapped_during_the_start_stays_inside(
    node: Node, tmp_path: Path, outside: Path
) -> None:
    """CVE-2021-30465. Defence: `linux.paths.INSIDE`, by which `open_or_make_directory` opens what is mounted
    on.
    """
    volume = tmp_path / "volume"
    (volume / "data").mkdir(parents=True)
    (volume / "link").symlink_to(outside)
    wanted = [MountSpec("bind", "/v", str(volume)), MountSpec("tmpfs", "/v/data/inner", options=["size=1m"])]
    pod = node.pod()
    with flipping(volume / "data", volume / "link"):
        for _ in range(STARTS):
            container = pod.start("true", mounts=wanted)
            assert os.listdir(outside) == ["secret"], "a directory was made for a mount outside of the root"
            if not container.first.error:
                container.ended()
    assert mount_points(tmp_path) == set()


def test_a11_a_sub_path_through_a_planted_link_is_refused(outside: Path, tmp_path: Path) -> None:
    """CVE-2017-1002101. Defence: `linux.paths.BENEATH` in `runtime.volumes.sub_path.ensure`."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "absolute").symlink_to(outside)
    (volume / "relative").symlink_to("../outside")
    for path in ("absolute", "relative", "absolute/secret", "relative/new", "absolute/new"):
        with pytest.raises(CreateContainerConfigError, match=r"failed to (prepare|create) subPath"):
            mounts(tmp_path, {"mountPath": "/a", "subPath": path}, **host_path(volume))
    assert os.listdir(outside) == ["secret"]


def test_a11_a_sub_path_that_becomes_a_link_after_it_was_looked_at_is_not_followed(
    node: Node, outside: Path, tmp_path: Path
) -> None:
    """Defence: `linux.paths.BENEATH` in `linux.mounts.Bind._clone_checked`, in the container's process."""
    volume = tmp_path / "volume"
    (volume / "data").mkdir(parents=True)
    wanted = mounts(tmp_path, {"mountPath": "/a", "subPath": "data"}, **host_path(volume))
    (volume / "data").rmdir()
    (volume / "data").symlink_to(outside)
    container = node.pod().start("ls", "/a", mounts=wanted)
    assert "Invalid cross-device link" in container.first.error
    (volume / "data").rename(volume / "link")
    (volume / "data").mkdir()
    pod = node.pod()
    with flipping(volume / "data", volume / "link"):
        for _ in range(STARTS):
            container = pod.start("ls", "/a", mounts=wanted)
            if not container.first.error:
                container.ended()
                assert container.output() == ""


def test_a14_a_host_path_that_changes_its_type_after_the_check_is_not_mounted(
    node: Node, outside: Path, tmp_path: Path
) -> None:
    """Defence: the fstat(2) in `linux.mounts.Bind._clone_checked`, on the descriptor that is mounted."""
    places = tmp_path / "places"
    places.mkdir()
    (places / "x").write_text("a file\n")
    wanted = mounts(tmp_path, {"mountPath": "/a"}, **host_path(places / "x", "File"))
    pod = node.pod()
    assert pod.run("cat", "/a", mounts=wanted) == "a file\n"
    (places / "x").rename(places / "file")
    outside.rename(places / "x")
    container = pod.start("ls", "/a", mounts=wanted)
    assert container.first.error.endswith(f"hostPath type check failed: {places}/x is not a file")
    with flipping(places / "x", places / "file"):
        for _ in range(STARTS):
            container = pod.start("ls", "/a", mounts=wanted)
            if not container.first.error:
                container.ended()
                assert container.output() == "/a\n"
