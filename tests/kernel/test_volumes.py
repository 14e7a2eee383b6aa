"""A memory emptyDir is a mount of the node: it must have its size, and be gone with the pod."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.runtime import volumes
from minikubelet.v1 import Pod, from_dict

MEMORY = 64 << 20


def pod(empty_dir: dict[str, Any], *limits: str) -> Pod:
    containers = [
        {"name": f"c{n}", "resources": {"limits": {"memory": limit} if limit else {}}}
        for n, limit in enumerate(limits)
    ]
    spec = {
        "containers": containers,
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", **empty_dir}}],
    }
    return from_dict(Pod, {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}, "spec": spec})


def mountpoints(directory: Path) -> list[str]:
    """Below a directory: elsewhere on the node others may mount, too."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{directory}/")]


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        pytest.param(pod({}, ""), MEMORY, id="all that the node has"),
        pytest.param(pod({}, "4Mi", "8Mi"), 12 << 20, id="the limits of all containers"),
        pytest.param(pod({}, "4Mi", ""), MEMORY, id="one container without a limit"),
        pytest.param(pod({"sizeLimit": "1Mi"}, "4Mi"), 1 << 20, id="sizeLimit"),
    ],
)
def test_a_memory_volume_has_its_size_and_goes_with_the_pod(tmp_path: Path, wanted: Pod, size: int) -> None:
    try:
        for _ in range(2):  # a second set-up, by the next agent, changes nothing
            volumes.set_up(volumes.Context(wanted, tmp_path, MEMORY))
        directory = tmp_path / "volumes/kubernetes.io~empty-dir/v"
        found = os.statvfs(directory)
        assert found.f_blocks * found.f_frsize == size
        assert directory.stat().st_mode & 0o777 == 0o777
        assert len(mountpoints(tmp_path)) == 1
        with pytest.raises(OSError, match="No space left"):
            (directory / "full").write_bytes(bytes(size + 1))
    finally:
        volumes.tear_down(tmp_path)
    assert mountpoints(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_tear_down_does_not_wait_for_who_still_holds_a_file(tmp_path: Path) -> None:
    volumes.set_up(volumes.Context(pod({}, ""), tmp_path, MEMORY))
    with (tmp_path / "volumes/kubernetes.io~empty-dir/v/held").open("w"):
        volumes.tear_down(tmp_path)
    assert mountpoints(tmp_path) == []
