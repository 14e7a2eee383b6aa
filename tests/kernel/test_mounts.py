"""Mount trees and operations, each in a mount namespace of a child that ends with the test."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from minikubelet.linux import mounts, namespaces, syscalls, trees
from minikubelet.linux.mounts import Bind, Devices, Filesystem, Mask, Options, ReadOnly


def in_mount_namespace(story: Callable[[], None]) -> None:
    """Run it as root of nothing else; what goes wrong there is the test's failure."""
    read, write = os.pipe()
    pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWNS)
    if pid == 0:
        try:
            trees.cut_off_from_node(syscalls.MS_PRIVATE)
            story()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, errors="replace") as said:
        failure = said.read()
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert not failure, failure


@pytest.fixture
def layers(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("top", "bottom", "upper", "work", "root")}
    for path in made.values():
        path.mkdir()
    return made


def overlay(layers: dict[str, Path]) -> int:
    lower = [str(layers["top"]), str(layers["bottom"])]
    return trees.mount_overlay(lower, str(layers["upper"]), str(layers["work"]), str(layers["root"]))


def test_an_overlay_shows_its_layers_from_the_top_and_writes_to_the_upper(layers: dict[str, Path]) -> None:
    (layers["top"] / "file").write_text("top")
    (layers["bottom"] / "file").write_text("bottom")
    (layers["bottom"] / "other").write_text("other")

    def story() -> None:
        os.close(overlay(layers))
        assert (layers["root"] / "file").read_text() == "top"
        (layers["root"] / "other").write_text("changed")

    in_mount_namespace(story)
    assert (layers["upper"] / "other").read_text() == "changed"
    assert (layers["bottom"] / "other").read_text() == "other"
    assert list(layers["root"].iterdir()) == []


def test_an_overlay_takes_as_many_layers_as_images_have(layers: dict[str, Path], tmp_path: Path) -> None:
    """fsconfig(2) takes 255 bytes a string; real paths would be through after two."""
    deep = tmp_path / ("long-name" * 10)
    lower = [deep / f"layer{number}" for number in range(70)]
    for number, layer in enumerate(lower):
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()

    def story() -> None:
        names = [str(layer) for layer in lower]
        trees.mount_overlay(names, str(layers["upper"]), str(layers["work"]), str(layers["root"]))
        assert len(os.listdir(layers["root"])) == len(lower)

    in_mount_namespace(story)


def test_operations_mount_inside_the_root_whatever_links_say(layers: dict[str, Path], tmp_path: Path) -> None:
    (layers["top"] / "link").symlink_to("/etc")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").touch()

    def story() -> None:
        root = overlay(layers)
        bind = Bind(str(tmp_path / "source"), "/link/inside")
        bind.prepare()
        bind.execute(root)
        assert (layers["root"] / "etc/inside/file").exists()
        assert not Path("/etc/inside").exists()

    in_mount_namespace(story)


def test_masks_hide_files_and_directories_and_leave_out_what_is_missing(layers: dict[str, Path]) -> None:
    (layers["top"] / "secret").write_text("secret")
    (layers["top"] / "secrets").mkdir()
    (layers["top"] / "secrets/file").touch()

    def story() -> None:
        root = overlay(layers)
        for operation in (
            Devices(),
            Mask("/secret"),
            Mask("/secrets"),
            Mask("/missing"),
            ReadOnly("/missing/x"),
        ):
            operation.execute(root)
        assert (layers["root"] / "secret").read_bytes() == b""
        assert os.listdir(layers["root"] / "secrets") == []
        with pytest.raises(OSError, match="Read-only file system"):
            (layers["root"] / "secrets/new").touch()

    in_mount_namespace(story)


def test_a_mask_does_not_take_another_device_for_the_null_device(layers: dict[str, Path]) -> None:
    (layers["top"] / "dev").mkdir()
    os.mknod(layers["top"] / "dev/null", 0o20666, os.makedev(1, 5))
    (layers["top"] / "secret").touch()

    def story() -> None:
        root = overlay(layers)
        with pytest.raises(PermissionError, match="not the null device"):
            Mask("/secret").execute(root)

    in_mount_namespace(story)


def test_read_only_reaches_everything_below(layers: dict[str, Path]) -> None:
    (layers["top"] / "tree/sub").mkdir(parents=True)

    def story() -> None:
        root = overlay(layers)
        Filesystem("tmpfs", "/tree/sub").execute(root)
        ReadOnly("/tree").execute(root)
        for name in ("tree/new", "tree/sub/new"):
            with pytest.raises(OSError, match="Read-only file system"):
                (layers["root"] / name).touch()

    in_mount_namespace(story)


@pytest.mark.parametrize(("words", "below"), [(["rbind", "ro"], True), (["rbind", "rro"], False)])
def test_read_only_binds_are_so_on_top_and_recursively_if_asked(
    layers: dict[str, Path], tmp_path: Path, words: list[str], below: bool
) -> None:
    """kubelet-behaviour 10.7: only the top mount, unless recursiveReadOnly."""
    (tmp_path / "source/sub").mkdir(parents=True)

    def writable(path: Path) -> bool:
        try:
            (path / "new").touch()
        except OSError:
            return False
        return True

    def story() -> None:
        sub = os.open(tmp_path / "source/sub", os.O_PATH)
        trees.attach(trees.new_filesystem("tmpfs"), sub)
        root = overlay(layers)
        bind = Bind(str(tmp_path / "source"), "/data", Options.parse(words))
        bind.prepare()
        bind.execute(root)
        assert writable(layers["root"] / "data/sub") == below
        assert not writable(layers["root"] / "data")

    in_mount_namespace(story)


def test_shared_memory_is_held_without_a_mount_on_the_node_and_cloned_many_times(
    layers: dict[str, Path],
) -> None:
    held = trees.hold_tmpfs(1236 << 10)  # a size that nobody else has
    assert "size=1236k" not in Path("/proc/self/mountinfo").read_text()
    assert os.getcwd() != ""

    def write() -> None:
        root = overlay(layers)
        for name in ("/one", "/two"):
            bind = Bind("shm", name, namespace=held)
            bind.prepare()
            bind.execute(root)
        (layers["root"] / "one/file").write_text("shared")
        assert (layers["root"] / "two/file").read_text() == "shared"

    in_mount_namespace(write)
    with namespaces.entered(held, syscalls.CLONE_NEWNS):
        assert os.listdir("/") == ["file"]
    os.close(held)


def test_the_root_is_all_that_is_left_after_the_change(layers: dict[str, Path]) -> None:
    (layers["top"] / "proc").mkdir()

    def story() -> None:
        root = overlay(layers)
        Filesystem("proc", "/proc").execute(root)
        trees.make_root(root)
        assert [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()] == [
            "/",
            "/proc",
        ]
        assert os.getcwd() == "/"

    in_mount_namespace(story)


def test_a_device_that_goes_while_the_nodes_devices_are_listed_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "d"):
        os.mknod(tmp_path / name, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "c").mkdir()
    listed = mounts._node_devices(str(tmp_path))
    first, _ = next(listed)
    (tmp_path / "b").unlink()
    (tmp_path / "c").rmdir()
    assert [first, *(name for name, _ in listed)] == ["a", "d"]


def test_every_operation_says_what_it_will_do() -> None:
    operations: list[mounts.Operation] = [
        Bind("/a", "/b"),
        Filesystem("tmpfs", "/c"),
        Mask("/d"),
        ReadOnly("/e"),
        Devices(),
    ]
    assert [operation.describe() for operation in operations] == [
        "bind /a on /b", "mount tmpfs on /c", "mask /d", "make /e read-only", "make devices in /dev",
    ]  # fmt: skip
