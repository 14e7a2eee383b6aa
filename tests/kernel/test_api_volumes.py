"""The mounts of Secret volumes: how large, how many, and that none is left behind."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import FailedMount
from minikubelet.runtime import volumes
from minikubelet.runtime.volumes import api_data
from minikubelet.v1 import Pod, from_dict

VALUE = base64.b64encode(b"x" * 5000).decode()


def context(directory: Path, *named: dict[str, Any], data: dict[str, str] | None = None) -> volumes.Context:
    metadata = {"name": "web", "namespace": "shop", "uid": "u-1"}
    pod = from_dict(Pod, {"metadata": metadata, "spec": {"containers": [], "volumes": list(named)}})
    found = {"data": data if data is not None else {"a": VALUE}}
    return volumes.Context(pod, directory, 1 << 30, find=lambda _, name: found if name == "there" else None)


def secret(volume: str, name: str) -> dict[str, Any]:
    return {"name": volume, "secret": {"secretName": name}}


def mountpoints(directory: Path) -> list[str]:
    """Below a directory: elsewhere on the node others may mount, too."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{directory}/")]


def test_each_volume_is_one_mount_however_often_it_is_set_up(tmp_path: Path) -> None:
    pod = context(tmp_path, secret("a", "there"), secret("b", "there"))
    try:
        for _ in range(2):
            volumes.set_up(pod)
            assert volumes.refresh(pod) == []
        assert len(mountpoints(tmp_path)) == 2
        found = os.statvfs(tmp_path / "volumes/kubernetes.io~secret/a")
        assert found.f_blocks * found.f_frsize == api_data.BYTES_PER_OBJECT
    finally:
        volumes.tear_down(tmp_path)
    assert mountpoints(tmp_path) == []


def test_a_pod_that_never_got_all_its_volumes_leaves_no_mount(tmp_path: Path) -> None:
    named = (secret("b", "gone"), secret("a", "there"), secret("c", "lost"))
    with pytest.raises(FailedMount) as caught:
        volumes.set_up(context(tmp_path, *named))
    assert caught.value.messages == (
        'MountVolume.SetUp failed for volume "b" : secret "gone" not found',
        'MountVolume.SetUp failed for volume "c" : secret "lost" not found',
    )
    assert len(mountpoints(tmp_path)) == 1
    volumes.tear_down(tmp_path)
    assert mountpoints(tmp_path) == []


def test_a_secret_that_does_not_fit_is_refused_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_data, "BYTES_PER_OBJECT", 64 << 10)
    try:
        volumes.set_up(context(tmp_path, secret("a", "there")))
        large = context(tmp_path, secret("a", "there"), data={f"k{n}": "eA==" for n in range(100)})
        (failure,) = volumes.refresh(large)
        assert "No space left on device" in str(failure)
        directory = tmp_path / "volumes/kubernetes.io~secret/a"
        assert os.listdir(directory / "..data") == ["a"]
        assert len(os.listdir(directory)) == 3
    finally:
        volumes.tear_down(tmp_path)


def test_what_should_be_in_memory_and_is_not_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the mount goes wrong silently."""
    monkeypatch.setattr(api_data.tmpfs, "mount", lambda *_: None)
    monkeypatch.setattr(api_data.syscalls, "TMPFS_MAGIC", 1)  # whatever the tests' directory lies on
    with pytest.raises(FailedMount, match="is not in memory"):
        volumes.set_up(context(tmp_path, secret("a", "there")))
    assert os.listdir(tmp_path / "volumes/kubernetes.io~secret/a") == []
