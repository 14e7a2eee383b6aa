"""volumeMounts from the manifest to what a container sees: subPath, read-only, propagation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import CreateContainerConfigError, CreateContainerError, FailedMount
from minikubelet.linux import syscalls, trees
from minikubelet.runtime import volumes
from minikubelet.shim.protocol import MountSpec
from minikubelet.v1 import Pod, from_dict
from tests.kernel.shims import Node, until


def mounts(
    directory: Path, *wanted: dict[str, Any], env: dict[str, str] | None = None, **volume: Any
) -> list[MountSpec]:
    """Of a container that mounts the volume `v` in these ways."""
    manifest = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1"},
        "spec": {
            "containers": [{"name": "c", "volumeMounts": [{"name": "v", **mount} for mount in wanted]}],
            "volumes": [{"name": "v", **(volume or {"emptyDir": {}})}],
        },
    }
    pod = from_dict(Pod, manifest)
    assert pod.spec is not None
    context = volumes.Context(pod, directory, 1 << 30)
    volumes.set_up(context)
    return volumes.mounts(context, (pod.spec.containers or [])[0], env or {})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of the node for a hostPath."""
    made = tmp_path / "source"
    (made / "sub").mkdir(parents=True)
    (made / "own").mkdir()
    (made / "sub/file").write_text("from the node\n")
    return made


@pytest.fixture
def shared(source: Path) -> Iterator[Path]:
    """The same as a mount that others get the mounts of, as every mount is where systemd is at work."""
    tree = trees.clone_tree(str(source))
    syscalls.mount_setattr(tree, propagation=syscalls.MS_SHARED)
    trees.attach(tree, os.open(source, os.O_PATH))
    yield source
    syscalls.umount2(str(source), syscalls.MNT_DETACH)


def host_path(path: Path, kind: str = "") -> dict[str, Any]:
    return {"hostPath": {"path": str(path), "type": kind}}


def test_a_sub_path_is_a_directory_or_a_file_and_is_made_like_the_root_if_missing(
    node: Node, source: Path
) -> None:
    source.chmod(0o2750)
    wanted = mounts(
        source.parent,
        {"mountPath": "/a", "subPath": "sub"},
        {"mountPath": "/b", "subPath": "sub/file"},
        {"mountPath": "/c", "subPath": "new/deep/er"},
        {"mountPath": "/d", "subPathExpr": "pods/$(POD_NAME)"},
        env={"POD_NAME": "web"},
        **host_path(source),
    )
    said = node.pod().sh("cat /a/file /b; stat -c %a /c /d; touch /c/from-inside", mounts=wanted)
    assert said == "from the node\nfrom the node\n2750\n2750\n"
    assert (source / "new").stat().st_mode & 0o7777 == 0o2750
    assert (source / "new/deep/er/from-inside").exists()
    assert (source / "pods/web").is_dir()


def test_a_link_in_a_volume_is_followed_as_long_as_it_stays_inside(node: Node, source: Path) -> None:
    (source / "latest").symlink_to("sub/../sub")
    wanted = mounts(
        source.parent,
        {"mountPath": "/a", "subPath": "latest/file"},
        {"mountPath": "/b", "subPath": "latest/new/er"},
        **host_path(source),
    )
    assert node.pod().sh("cat /a; ls -d /b", mounts=wanted) == "from the node\n/b\n"
    assert (source / "sub/new/er").is_dir()


@pytest.mark.parametrize(
    ("expression", "env", "text"),
    [
        ("$(B)/$(A)", {}, "missing value for A, B"),
        ("$(A)", {"A": ""}, "missing value for A"),
        ("$(A)", {"A": "/etc"}, "error SubPath `/etc` must not be an absolute path"),
        ("$(A)/x", {"A": ".."}, "unable to provision SubPath `../x`: must not contain '..'"),
    ],
)
def test_a_sub_path_expression_that_gives_none(
    source: Path, expression: str, env: dict[str, str], text: str
) -> None:
    with pytest.raises(CreateContainerConfigError) as error:
        mounts(source.parent, {"mountPath": "/a", "subPathExpr": expression}, env=env, **host_path(source))
    assert str(error.value) == text


def test_a_sub_path_below_a_file_or_below_a_link_to_nowhere_cannot_be_made(source: Path) -> None:
    (source / "nowhere").symlink_to("not-there")
    for path in ("sub/file/x", "nowhere/x"):
        with pytest.raises(CreateContainerConfigError) as error:
            mounts(source.parent, {"mountPath": "/a", "subPath": path}, **host_path(source))
        verb = "prepare subPath" if path == "sub/file/x" else "create subPath directory"
        assert str(error.value) == f'failed to {verb} for volumeMount "v" of container "c"'


@pytest.mark.parametrize(("recursive", "below"), [("Disabled", "0"), ("Enabled", "1"), ("IfPossible", "1")])
def test_read_only_is_of_the_top_mount_unless_it_is_recursive(
    node: Node, source: Path, recursive: str, below: str
) -> None:
    trees.attach(trees.new_filesystem("tmpfs"), os.open(source / "sub", os.O_PATH))
    try:
        wanted = mounts(
            source.parent,
            {"mountPath": "/a", "readOnly": True, "recursiveReadOnly": recursive},
            **host_path(source),
        )
        assert node.pod().sh(
            "touch /a/x 2>/dev/null; echo $?; touch /a/sub/x 2>/dev/null; echo $?", mounts=wanted
        ) == (f"1\n{below}\n")
    finally:
        syscalls.umount2(str(source / "sub"), syscalls.MNT_DETACH)


@pytest.mark.parametrize("propagation", [None, "None", "HostToContainer"])
def test_a_mount_made_on_the_node_is_seen_inside_only_if_asked_for(
    node: Node, shared: Path, propagation: str | None
) -> None:
    wanted = mounts(shared.parent, {"mountPath": "/a", "mountPropagation": propagation}, **host_path(shared))
    container = node.pod().start("sleep", "1000", mounts=wanted)
    trees.attach(trees.new_filesystem("tmpfs"), os.open(shared / "sub", os.O_PATH))
    (shared / "sub/later").touch()
    try:
        assert container.exec("ls", "/a/sub")[1] == (
            "later\n" if propagation == "HostToContainer" else "file\n"
        )
        inside = container.exec("mount", "-t", "tmpfs", "none", "/a/own", capabilities=["SYS_ADMIN"])
        assert inside[:2] == (0, "")
        assert (shared / "own").stat().st_dev == shared.stat().st_dev, "what is mounted inside stays inside"
    finally:
        syscalls.umount2(str(shared / "sub"), syscalls.MNT_DETACH)
    if propagation == "HostToContainer":
        until(lambda: container.exec("ls", "/a/sub")[1] == "file\n", what="the end of the mount is seen")


def test_a_mount_made_inside_is_seen_on_the_node_only_if_it_is_bidirectional(
    node: Node, shared: Path
) -> None:
    wanted = mounts(
        shared.parent, {"mountPath": "/a", "mountPropagation": "Bidirectional"}, **host_path(shared)
    )
    container = node.pod().start("sleep", "1000", mounts=wanted, capabilities=["SYS_ADMIN"])
    code, said, _ = container.exec(
        "sh", "-c", "mount -t tmpfs none /a/sub && touch /a/sub/inside", capabilities=["SYS_ADMIN"]
    )
    assert (code, said) == (0, "")
    assert os.listdir(shared / "sub") == ["inside"]
    syscalls.umount2(str(shared / "sub"), syscalls.MNT_DETACH)
    assert container.exec("ls", "/a/sub")[1] == "file\n"


@pytest.mark.parametrize(
    ("propagation", "lacking"),
    [("Bidirectional", "a shared mount"), ("HostToContainer", "a shared or slave mount")],
)
def test_a_private_mount_cannot_propagate(shared: Path, propagation: str, lacking: str) -> None:
    fd = os.open(shared, os.O_PATH)
    syscalls.mount_setattr(fd, propagation=syscalls.MS_PRIVATE)
    os.close(fd)
    with pytest.raises(CreateContainerError) as error:
        mounts(
            shared.parent, {"mountPath": "/a", "mountPropagation": propagation}, **host_path(shared / "sub")
        )
    assert str(error.value) == (
        f'failed to generate spec: path "{shared}/sub" is mounted on "{shared}" but it is not {lacking}'
    )


def test_nothing_is_mounted_below_a_bidirectional_volume(shared: Path) -> None:
    outer = {"mountPath": "/a", "mountPropagation": "Bidirectional"}
    with pytest.raises(CreateContainerError, match="it would stay there"):
        mounts(shared.parent, outer, {"mountPath": "/a/b"}, **host_path(shared))
    with pytest.raises(CreateContainerError, match="it would stay there"):
        mounts(shared.parent, outer | {"mountPath": "/./a/"}, {"mountPath": "//a/b"}, **host_path(shared))
    assert len(mounts(shared.parent, outer, {"mountPath": "/ab"}, **host_path(shared))) == 2


def test_tear_down_takes_away_what_a_container_has_mounted_in_its_volume(tmp_path: Path) -> None:
    """As one with Bidirectional propagation can: nothing may stay on the node, nothing of it be entered."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    mounts(tmp_path / "pod", {"mountPath": "/a"})
    volume = tmp_path / "pod/volumes/kubernetes.io~empty-dir/v"
    for name in ("one", "two words"):
        (volume / name).mkdir()
        trees.attach(trees.clone_tree(str(precious)), os.open(volume / name, os.O_PATH))
    (volume / "one/deep").mkdir()
    trees.attach(trees.new_filesystem("tmpfs"), os.open(volume / "one/deep", os.O_PATH))
    volumes.tear_down(tmp_path / "pod")
    assert not (tmp_path / "pod/volumes").exists()
    assert (precious / "file").exists()


@pytest.mark.parametrize("layers", [["bottom"], ["top", "bottom"]])
def test_an_image_volume_is_its_layers_read_only_and_nothing_in_it_is_run(
    node: Node, tmp_path: Path, layers: list[str]
) -> None:
    for name in ("bottom", "top"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "file").write_text(f"from {name}\n")
    (tmp_path / "bottom/bin/true").write_text("#!/bin/sh\n")
    (tmp_path / "bottom/bin/true").chmod(0o755)
    manifest = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1"},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "volumeMounts": [
                        {"name": "v", "mountPath": "/image"},
                        {"name": "v", "mountPath": "/part", "subPath": "bin"},
                    ],
                }
            ],
            "volumes": [{"name": "v", "image": {"reference": "localhost/data"}}],
        },
    }
    pod = from_dict(Pod, manifest)
    assert pod.spec is not None
    directories = [str(tmp_path / name) for name in layers]
    context = volumes.Context(pod, tmp_path / "pod", 1 << 30, layers={"localhost/data": directories})
    try:
        for _ in range(2):  # a second set-up, by the next agent, changes nothing
            volumes.set_up(context)
        assert Path("/proc/self/mountinfo").read_text().count(f" {tmp_path}/pod/") == 1
        wanted = volumes.mounts(context, (pod.spec.containers or [])[0], {})
        said = node.pod().sh(
            "cat /image/file; touch /image/new 2>&1 | grep -o Read-only.*; ls /part; /part/true; echo $?",
            mounts=wanted,
        )
    finally:
        volumes.tear_down(tmp_path / "pod")
    assert said.replace("sh: 1: /part/true: Permission denied\n", "") == (
        f"from {layers[0]}\nRead-only file system\ntrue\n126\n"
    )
    assert (tmp_path / "bottom/bin/true").exists()


def test_an_image_that_is_not_here_or_is_the_node_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(FailedMount, match="is not on this node, or is the node itself"):
        mounts(tmp_path, {"mountPath": "/a"}, image={"reference": "localhost/host"})
