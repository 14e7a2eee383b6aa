"""Volumes as directories, hostPath checks, the mounts of a container, and removing what containers leave."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import FailedMount
from minikubelet.runtime import volumes
from minikubelet.runtime.removal import remove_tree
from minikubelet.shim.protocol import MountSpec
from minikubelet.v1 import Pod, from_dict

MEMORY = 1 << 30


def pod(volume: dict[str, Any], *mounts: dict[str, Any]) -> Pod:
    container = {"name": "c", "volumeMounts": list(mounts)}
    spec = {"containers": [container], "volumes": [{"name": "v", **volume}]}
    return from_dict(Pod, {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}, "spec": spec})


def host_path(path: Path, kind: str) -> Pod:
    return pod({"hostPath": {"path": str(path), "type": kind}})


def test_an_empty_dir_is_open_to_all_survives_a_second_set_up_and_goes_with_the_pod(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        volumes.set_up(volumes.Context(pod({"emptyDir": {}}), tmp_path, MEMORY))
    finally:
        os.umask(old)
    directory = tmp_path / "volumes/kubernetes.io~empty-dir/v"
    assert directory.stat().st_mode & 0o7777 == 0o777
    (directory / "kept").write_text("x")
    volumes.set_up(volumes.Context(pod({"emptyDir": {}}), tmp_path, MEMORY))
    assert (directory / "kept").exists()
    volumes.tear_down(tmp_path)
    volumes.tear_down(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_volume_without_a_source_is_an_empty_dir(tmp_path: Path) -> None:
    volumes.set_up(volumes.Context(pod({}), tmp_path, MEMORY))
    assert (tmp_path / "volumes/kubernetes.io~empty-dir/v").is_dir()


def test_mounts_are_sorted_by_depth(tmp_path: Path) -> None:
    wanted = pod(
        {"emptyDir": {}},
        {"name": "v", "mountPath": "/data/deep/er", "readOnly": True},
        {"name": "v", "mountPath": "/data/"},
    )
    source = str(tmp_path / "volumes/kubernetes.io~empty-dir/v")
    assert volumes.mounts(volumes.Context(wanted, tmp_path, MEMORY), wanted.spec.containers[0], {}) == [
        MountSpec("bind", "/data/", source, ["rbind", "private", "rw"]),
        MountSpec("bind", "/data/deep/er", source, ["rbind", "private", "ro"]),
    ]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(Path.mkdir, "Directory", id="directory"),
        pytest.param(Path.mkdir, "DirectoryOrCreate", id="directory, which is there"),
        pytest.param(Path.touch, "File", id="file"),
        pytest.param(Path.touch, "FileOrCreate", id="file, which is there"),
        pytest.param(make_socket, "Socket", id="socket"),
        pytest.param(Path.touch, "", id="anything"),
    ],
)
def test_a_host_path_that_is_what_it_should_be(tmp_path: Path, make: Any, kind: str) -> None:
    make(tmp_path / "x")
    volumes.set_up(volumes.Context(host_path(tmp_path / "x", kind), tmp_path, MEMORY))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Directory", "a directory"),
        ("File", "a file"),
        ("Socket", "a socket file"),
        ("CharDevice", "a character device"),
        ("BlockDevice", "a block device"),
    ],
)
@pytest.mark.parametrize("make", [lambda path: None, os.mkfifo], ids=["missing", "something else"])
def test_a_host_path_that_is_not(tmp_path: Path, make: Any, kind: str, words: str) -> None:
    path = tmp_path / "x"
    make(path)
    message = f'MountVolume.SetUp failed for volume "v" : hostPath type check failed: {path} is not {words}'
    with pytest.raises(FailedMount, match=re.escape(message)):
        volumes.set_up(volumes.Context(host_path(path, kind), tmp_path, MEMORY))


@pytest.mark.parametrize(
    ("kind", "below", "mode"),
    [("", "a/b", 0o40755), ("DirectoryOrCreate", "a", 0o40755), ("FileOrCreate", "a", 0o100644)],
)
def test_what_is_missing_is_created(tmp_path: Path, kind: str, below: str, mode: int) -> None:
    old = os.umask(0o077)
    try:
        volumes.set_up(volumes.Context(host_path(tmp_path / below, kind), tmp_path / "pod", MEMORY))
    finally:
        os.umask(old)
    assert (tmp_path / below).stat().st_mode == mode


@pytest.mark.parametrize("kind", ["DirectoryOrCreate", "FileOrCreate"])
def test_parents_are_not_created(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FailedMount, match="No such file or directory"):
        volumes.set_up(volumes.Context(host_path(tmp_path / "no/a", kind), tmp_path, MEMORY))


def test_a_tree_deeper_than_python_can_recurse_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    bottom = os.open(tree, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=bottom)
        os.close(os.open("file", os.O_CREAT, dir_fd=bottom))
        below = os.open("d", os.O_RDONLY, dir_fd=bottom)
        os.close(bottom)
        bottom = below
    os.close(bottom)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_removal_does_not_follow_links_and_minds_no_names(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a/.removing-0/full").mkdir(parents=True)
    (tree / ".removing-0/full").mkdir(parents=True)
    (tree / ".removing-1").write_text("a file of that name")
    (tree / "a/link").symlink_to(precious)
    (tree / "link").symlink_to(precious)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert (precious / "file").read_text() == "x"
