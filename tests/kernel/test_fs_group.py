"""fsGroup on real files: what strangers left in a volume decides nothing about the rest of the node."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from minikubelet.linux import syscalls, trees
from minikubelet.runtime import volumes
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.volumes import ownership
from minikubelet.v1 import Pod, Volume, from_dict

GROUP = 4711


def pod(**security: Any) -> Pod:
    spec = {"securityContext": {"fsGroup": GROUP, **security}, "volumes": [{"name": "v", "emptyDir": {}}]}
    return from_dict(Pod, {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}, "spec": spec})


def look(path: Path) -> tuple[int, str]:
    found = path.lstat()
    return found.st_gid, f"{stat.S_IMODE(found.st_mode):o}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    (made / "deep").mkdir(parents=True, mode=0o700)
    (made / "deep/file").touch(0o600)
    (made / "setuid").touch()
    (made / "setuid").chmod(0o4711)
    os.mkfifo(made / "fifo", 0o600)
    (tmp_path / "precious").touch(0o600)
    (made / "link").symlink_to(tmp_path / "precious")
    made.chmod(0o755)
    return made


def test_files_and_directories_belong_to_the_group_and_links_lead_nowhere(tree: Path) -> None:
    ownership.apply(pod(), tree)
    assert look(tree) == (GROUP, "2775")
    assert look(tree / "deep") == (GROUP, "2770")
    assert look(tree / "deep/file") == (GROUP, "660")
    assert look(tree / "setuid") == (GROUP, "4771")
    assert look(tree / "fifo") == (GROUP, "660")
    assert look(tree / "link")[0] == GROUP
    assert look(tree.parent / "precious") == (0, "600")


def test_a_read_only_volume_becomes_readable(tree: Path) -> None:
    ownership.apply(pod(), tree, read_only=True)
    assert look(tree / "deep") == (GROUP, "2750")
    assert look(tree / "deep/file") == (GROUP, "640")


def test_on_root_mismatch_believes_the_root(tree: Path) -> None:
    ownership.apply(pod(fsGroupChangePolicy="OnRootMismatch"), tree)
    assert look(tree / "deep/file") == (GROUP, "660")
    (tree / "deep/file").chmod(0o600)
    ownership.apply(pod(fsGroupChangePolicy="OnRootMismatch"), tree)
    assert look(tree / "deep/file") == (GROUP, "600")
    ownership.apply(pod(fsGroupChangePolicy="Always"), tree)
    assert look(tree / "deep/file") == (GROUP, "660")


def test_without_a_group_nothing_changes(tree: Path) -> None:
    ownership.apply(pod(fsGroup=None), tree)
    assert look(tree / "deep") == (0, "700")


def test_a_volume_deeper_than_descriptors_and_paths_reach(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    bottom = os.open(volume, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("directory", dir_fd=bottom)
        below = os.open("directory", os.O_RDONLY, dir_fd=bottom)
        os.close(bottom)
        bottom = below
    ownership.apply(pod(), volume)
    group = os.fstat(bottom).st_gid
    os.close(bottom)
    remove_tree(volume)  # pytest, which keeps what tests leave and takes it away later, cannot
    assert group == GROUP


def test_mounts_below_the_volume_are_not_entered(tree: Path) -> None:
    (tree / "mounted").mkdir()
    trees.attach(trees.new_filesystem("tmpfs"), os.open(tree / "mounted", os.O_PATH))
    try:
        (tree / "mounted/file").touch()
        ownership.apply(pod(), tree)
        assert look(tree / "mounted/file")[0] == 0
    finally:
        syscalls.umount2(str(tree / "mounted"), syscalls.MNT_DETACH)


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_an_empty_dir_belongs_to_the_group(tmp_path: Path, medium: str) -> None:
    wanted = pod()
    assert wanted.spec is not None
    wanted.spec.volumes[0].empty_dir.medium = medium  # type: ignore[index, union-attr]
    try:
        volumes.set_up(volumes.Context(wanted, tmp_path, 1 << 20))
        assert look(tmp_path / "volumes/kubernetes.io~empty-dir/v") == (GROUP, "2777")
    finally:
        volumes.tear_down(tmp_path)


@pytest.mark.parametrize(("read_only", "expected"), [(False, (GROUP, "2775")), (True, (0, "755"))])
def test_a_claim_belongs_to_the_group_unless_it_may_only_be_read(
    tmp_path: Path, read_only: bool, expected: tuple[int, str]
) -> None:
    wanted = pod()
    assert wanted.spec is not None
    claim = {"claimName": "data", "readOnly": read_only}
    wanted.spec.volumes = [from_dict(Volume, {"name": "v", "persistentVolumeClaim": claim})]
    data = tmp_path / "claims/shop/u-2"
    data.mkdir(parents=True)
    data.chmod(0o755)
    bound = {"metadata": {"uid": "u-2"}, "status": {"phase": "Bound"}}
    context = volumes.Context(
        wanted, tmp_path / "pod", 1 << 20, claims=tmp_path / "claims", find=lambda *_: bound
    )
    volumes.set_up(context)
    assert look(data) == expected
