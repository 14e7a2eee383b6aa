"""The update protocol of API volumes: all or nothing for readers, and nothing of a stranger's is followed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.volumes.atomic_writer import File, write

NAMES = st.sampled_from(["a", "b", "key.txt", ".hidden", "x" * 255])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.builds(File, st.binary(max_size=20), st.sampled_from([0o400, 0o440, 0o644, 0o777]), st.none())


def consistent(files: dict[str, File]) -> bool:
    """No path is a file in one place and a directory in another."""
    return not any(other.startswith(f"{path}/") for path in files for other in files)


PAYLOADS = st.dictionaries(PATHS, FILES, max_size=5).filter(consistent)


def visible(volume: Path) -> dict[str, File]:
    """What a reader sees, who follows the names."""
    found = {}
    for name in os.listdir(volume):
        if not name.startswith(".."):
            assert os.readlink(volume / name) == f"..data/{name}"
            found |= {
                os.path.relpath(path, volume): File(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
                for path in ([volume / name] if (volume / name).is_file() else (volume / name).rglob("*"))
                if path.is_file()
            }
    return found


def hidden(volume: Path) -> list[str]:
    return sorted(name for name in os.listdir(volume) if name.startswith(".."))


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=4))
def test_after_each_write_the_payload_is_all_there_is(
    tmp_path_factory, payloads: list[dict[str, File]]
) -> None:
    volume = tmp_path_factory.mktemp("v")
    shown: dict[str, bytes] | None = None
    for payload in payloads:
        contents = {path: file.content for path, file in payload.items()}
        assert write(volume, payload) is (contents != shown)
        if contents != shown:
            assert visible(volume) == payload
        shown = contents
        version = os.readlink(volume / "..data")
        assert re.fullmatch(r"\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+", version)
        assert hidden(volume) == sorted(["..data", version])
        assert stat.S_IMODE((volume / version).stat().st_mode) == 0o755


def test_who_opens_the_data_sees_one_version_and_who_opens_a_name_sees_a_whole_file(tmp_path: Path) -> None:
    """A reader beside three hundred updates, in its own thread."""
    seen: set[bytes] = set()
    torn: list[object] = []
    done = threading.Event()

    def read_on() -> None:
        while not done.is_set():
            # A version may become old, and go, between our following the link and our opening what it leads
            # to; who finds nothing looks again. The kubelet's readers live with the same.
            with suppress(FileNotFoundError):
                one = (tmp_path / "a").read_bytes()
                if len(set(one)) != 1 or len(one) != 5000:
                    torn.append(one)
            with suppress(FileNotFoundError), opened(tmp_path / "..data") as directory:
                pair = [read_at(directory, name) for name in ("a", "deep/b")]
                seen.add(pair[0][:1])
                if pair[0] != pair[1]:
                    torn.append(pair)

    write(tmp_path, version_of(0))
    reader = threading.Thread(target=read_on)
    reader.start()
    number = 0
    while number < 300 or len(seen) < 3:
        number += 1
        write(tmp_path, version_of(number))
    done.set()
    reader.join()
    assert torn == []


def version_of(number: int) -> dict[str, File]:
    content = bytes([number % 250]) * 5000
    return {"a": File(content, 0o644), "deep/b": File(content, 0o644)}


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def read_at(directory: int, path: str) -> bytes:
    with open(os.open(path, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()


def test_what_cannot_be_finished_is_not_seen_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"old", 0o644)})
    before = hidden(tmp_path)

    def fail(directory: int) -> None:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        write(tmp_path, {"a": File(b"new", 0o644)}, fail)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert hidden(tmp_path) == before


def test_what_a_killed_agent_has_left_is_cleaned_up_by_the_next_write(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1", 0o644)})
    cut_off = tmp_path / "..2020_01_01_00_00_00.1"
    (cut_off / "deep").mkdir(parents=True)
    (cut_off / "deep/file").touch()
    (tmp_path / "..data_tmp").symlink_to(cut_off.name)
    (tmp_path / "..link_tmp").symlink_to("..data/a")
    write(tmp_path, {"b": File(b"2", 0o644)})
    assert visible(tmp_path) == {"b": File(b"2", 0o644)}
    assert hidden(tmp_path) == sorted(["..data", os.readlink(tmp_path / "..data")])


def test_an_agent_killed_right_after_the_swap_is_finished_by_the_next_although_nothing_is_new(
    tmp_path: Path,
) -> None:
    """kubernetes/kubernetes#121472: the data is there, and no name leads to it."""
    payload = {"a": File(b"1", 0o644)}
    write(tmp_path, payload)
    (tmp_path / "a").unlink()
    (tmp_path / "old").symlink_to("..data/old")
    (tmp_path / "..2020_01_01_00_00_00.1").mkdir()
    assert not write(tmp_path, payload)
    assert visible(tmp_path) == payload
    assert hidden(tmp_path) == sorted(["..data", os.readlink(tmp_path / "..data")])


def test_a_mode_has_exactly_its_bits_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write(tmp_path, {"deep/a": File(b"", 0o666)})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "deep/a").stat().st_mode) == 0o666
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/passwd", "invalid path: must be relative path: /etc/passwd"),
        ("a/../../b", "invalid path: must not contain '..': a/../../b"),
        ("..a", "invalid path: must not start with '..': ..a"),
        ("a" * 256, "invalid path: filenames must be less than or equal to 255 characters"),
        ("a/" * 2048 + "a", "invalid path: must be less than or equal to 4096 characters"),
        ("./..a", "invalid path: must not start with '..': ./..a"),
        ("", "invalid path: must name a file: "),
        ("./.", "invalid path: must name a file: ./."),
    ],
)
def test_paths_that_lead_elsewhere_are_refused_before_anything_is_written(
    tmp_path: Path, path: str, text: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        write(tmp_path, {"good": File(b"", 0o644), path: File(b"", 0o644)})
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_be_written_in_a_roundabout_way(tmp_path: Path) -> None:
    write(tmp_path, {"./a//b/": File(b"1", 0o644)})
    assert visible(tmp_path) == {"a/b": File(b"1", 0o644)}


# A volume in the hands of an attacker (A13, CVE-2017-1002102)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Files of the node that must not change; looked at again at the end."""
    directory = tmp_path / "node"
    (directory / "..2020_01_01_00_00_00.1").mkdir(parents=True)
    for path in ("file", "..2020_01_01_00_00_00.1/file"):
        (directory / path).write_text("the node's")
        (directory / path).chmod(0o600)
    yield directory
    for path in ("file", "..2020_01_01_00_00_00.1/file"):
        assert (directory / path).read_text() == "the node's"
        assert stat.S_IMODE((directory / path).stat().st_mode) == 0o600
    assert sorted(os.listdir(directory)) == ["..2020_01_01_00_00_00.1", "file"]


def swap(path: Path, target: Path | str) -> None:
    path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    path.symlink_to(target)


ATTACKS = {
    "the data": lambda v, out, old: swap(v / "..data", out),
    "the data, by a name like ours": lambda v, out, old: swap(v / "..data", f"../node/{old.name}"),
    "the version": lambda v, out, old: swap(old, out),
    "a directory of the version": lambda v, out, old: swap(old / "deep", out),
    "a file of the version": lambda v, out, old: swap(old / "gone", out / "file"),
    "a name": lambda v, out, old: swap(v / "kept", out / "file"),
    "a name that goes": lambda v, out, old: swap(v / "gone", out),
    "the temporary link": lambda v, out, old: (v / "..data_tmp").symlink_to(out),
    "a directory for the temporary link": lambda v, out, old: (v / "..data_tmp").mkdir(),
    "an old version": lambda v, out, old: (v / "..2019_01_01_00_00_00.1").symlink_to(out),
    "a pipe for a file": lambda v, out, old: ((old / "kept").unlink(), os.mkfifo(old / "kept")),
    "a directory for the data": lambda v, out, old: ((v / "..data").unlink(), (v / "..data").mkdir()),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("change", ["an update", "the same again", "the end"])
def test_links_put_into_a_volume_lead_nowhere(tmp_path: Path, outside: Path, attack, change: str) -> None:
    """Defence: `follow_symlinks=False` in `atomic_writer._is_directory` (a link is removed as a link) and
    O_NOFOLLOW in `removal._DIRECTORY`: without the first no update succeeds, without both the files go.
    """
    volume = tmp_path / "volume"
    volume.mkdir()
    first = {name: File(b"secret", 0o644) for name in ("kept", "gone", "deep/a")}
    write(volume, first)
    attack(volume, outside, volume / os.readlink(volume / "..data"))
    if change == "the end":
        remove_tree(volume)
        assert not volume.exists()
        return
    wanted = (
        {"kept": File(b"new", 0o644), "deep/file": File(b"new", 0o644)} if change == "an update" else first
    )
    write(volume, wanted)
    if change == "an update":
        assert {path: file.content for path, file in read_links(volume, wanted).items()} == {
            path: file.content for path, file in wanted.items()
        }


def read_links(volume: Path, wanted: dict[str, File]) -> dict[str, File]:
    return {path: File((volume / "..data" / path).read_bytes(), 0) for path in wanted}


@pytest.mark.parametrize(
    "which", [pytest.param("..2", id="the version"), pytest.param("deep", id="within it")]
)
def test_who_swaps_a_new_directory_before_it_is_filled_gains_nothing(
    tmp_path: Path, outside: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment of the race, made certain. Defence: O_NOFOLLOW in `atomic_writer._DIRECTORY`."""
    volume = tmp_path / "volume"
    volume.mkdir()
    make = os.mkdir

    def make_and_swap(name: str, mode: int = 0o777, *, dir_fd: int) -> None:
        make(name, mode, dir_fd=dir_fd)
        if name.startswith(which):
            os.rename(name, "stolen", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(outside, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", make_and_swap)
    with pytest.raises(NotADirectoryError):
        write(volume, {"deep/new": File(b"secret", 0o644), "new": File(b"secret", 0o644)})


def test_a_thousand_levels_in_the_place_of_a_version_are_removed(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1", 0o644)})
    fd = os.open(tmp_path / os.readlink(tmp_path / "..data"), os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a-level", dir_fd=fd)
        inner = os.open("a-level", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    assert write(tmp_path, {"a": File(b"1", 0o644)})
    assert len(hidden(tmp_path)) == 2


def test_a_directory_made_for_a_sub_path_stays(tmp_path: Path) -> None:
    """A container has it mounted; the kubelet fails here for good."""
    write(tmp_path, {"a": File(b"1", 0o644)})
    (tmp_path / "later").mkdir()
    write(tmp_path, {"a": File(b"1", 0o644), "later": File(b"2", 0o644)})
    assert (tmp_path / "later").is_dir()
    assert (tmp_path / "..data/later").read_bytes() == b"2"
