"""What `cp` takes out of a container: whatever tar sends, nothing is written outside the target (A15)."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minikubelet.cli.commands.cp import FileSpec, file_spec, prefix_of
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.tar_stream import CorruptedTar, pack, unpack


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
    return info, data


def tar_of(*entries) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    file.seek(0)
    return file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a neighbour that nobody may touch; both are looked at afterwards."""
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour/file").write_text("untouched")
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"neighbour", "target"}
    assert [path.name for path in (tmp_path / "neighbour").iterdir()] == ["file"]
    assert (tmp_path / "neighbour/file").read_text() == "untouched"


def tree(root: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def take(place: Path, *entries, prefix: str = "data") -> tuple[dict[str, str | None], list[str]]:
    warnings: list[str] = []
    unpack(tar_of(*entries), prefix, place / "target", warnings.append)
    return tree(place / "target"), warnings


DIR = entry("data", kind=tarfile.DIRTYPE, mode=0o755)


def test_a_directory_comes_with_all_that_is_in_it(place):
    found, warnings = take(
        place, DIR, entry("data/a", b"1"), entry("data/sub", kind=tarfile.DIRTYPE), entry("data/sub/b", b"2")
    )
    assert (found, warnings) == ({"a": "1", "sub": None, "sub/b": "2"}, [])


def test_names_may_begin_with_a_dot(place):
    assert take(place, entry("./data/a", b"1"))[0] == {"a": "1"}
    assert take(place, entry(".", kind=tarfile.DIRTYPE), entry("./a", b"2"), prefix="")[0] == {"a": "2"}


def test_a_single_file_becomes_the_target_or_goes_into_it(place):
    unpack(tar_of(entry("etc/hostname", b"web")), "etc/hostname", place / "target", print)
    assert (place / "target").read_text() == "web"
    (place / "target").unlink()
    (place / "target").mkdir()
    assert take(place, entry("etc/hostname", b"web"), prefix="etc/hostname")[0] == {"hostname": "web"}


def test_modes_are_kept_but_not_those_that_give_rights(place):
    take(place, DIR, entry("data/run", b"#!", mode=0o6755))
    assert stat.S_IMODE((place / "target/run").stat().st_mode) == 0o755


def test_an_old_file_is_replaced_whole(place):
    take(place, DIR, entry("data/a", b"longer than before"))
    assert take(place, DIR, entry("data/a", b"short"))[0] == {"a": "short"}


@pytest.mark.parametrize(
    "name", ["data/../neighbour/file", "data/sub/../../../neighbour/new", "data/..", "data/../../../../etc/x"]
)
def test_names_that_lead_out_are_left_out(place, name):
    found, warnings = take(place, DIR, entry(name, b"evil"), entry("data/good", b"1"))
    assert found == {"good": "1"}
    assert len(warnings) == 1
    assert warnings[0].endswith("is outside target destination, skipping")


@pytest.mark.parametrize("name", ["/etc/evil", "other/file", "database", "../neighbour/file"])
def test_names_that_were_not_asked_for_end_it(place, name):
    with pytest.raises(CorruptedTar, match="tar contents corrupted"):
        take(place, DIR, entry(name, b"evil"))
    assert tree(place / "target") == {}


def test_an_absolute_name_ends_it_also_where_everything_was_asked_for(place):
    with pytest.raises(CorruptedTar):
        take(place, entry("/etc/evil", b"evil"), prefix="")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symlink", "hard link"])
@pytest.mark.parametrize("link", ["../neighbour", "/etc", "{place}/neighbour", "."])
def test_links_are_not_made_and_what_would_go_through_them_stays_inside(place, kind, link):
    link = link.format(place=place)
    found, warnings = take(
        place, DIR, entry("data/out", kind=kind, link=link), entry("data/out/file", b"evil")
    )
    assert found == {"out": None, "out/file": "evil"}
    assert warnings[0].startswith("skipping ")


def test_a_file_does_not_become_a_directory_nor_the_other_way_round(place):
    with pytest.raises(OSError, match="Not a directory"):
        take(place, DIR, entry("data/a", b"1"), entry("data/a/b", b"2"))
    with pytest.raises(OSError, match="Is a directory"):
        take(place, DIR, entry("data/d", kind=tarfile.DIRTYPE), entry("data/d", b"2"))


def test_links_that_lie_in_the_target_already_are_not_followed(place):
    """Somebody in the container cannot know, but a first `cp` of somebody else's may have left them."""
    (place / "target").mkdir()
    (place / "target/out").symlink_to(place / "neighbour")
    (place / "target/file").symlink_to(place / "neighbour/file")
    with pytest.raises(OSError, match="Not a directory"):
        take(place, DIR, entry("data/out/file", b"evil"))
    with pytest.raises(OSError, match="symbolic links"):
        take(place, DIR, entry("data/file", b"evil"))


def test_a_fifo_that_lies_in_the_way_does_not_hold_us_up(place):
    (place / "target").mkdir()
    os.mkfifo(place / "target/a")
    with pytest.raises(OSError, match="No such device"):
        take(place, DIR, entry("data/a", b"1"))
    os.unlink(place / "target/a")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_left_out(place, kind):
    found, warnings = take(place, DIR, entry("data/dev", kind=kind))
    assert (found, warnings) == ({}, ['skipping special file: "data/dev"'])


def raw(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, b"K"])
def test_a_huge_header_is_not_read_into_memory(place, kind):
    endless = io.BytesIO(raw("data", 1 << 40, kind) + bytes(8 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptedTar):
            unpack(endless, "data", place / "target", print)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_headers_of_headers_without_end_are_an_error(place):
    with pytest.raises(CorruptedTar):
        unpack(io.BytesIO(raw("x", 0, tarfile.GNUTYPE_LONGNAME) * 5000), "data", place / "target", print)


def test_a_huge_sparse_file_is_left_out(place):
    pax = b"".join(
        b"%d %s\n" % (len(line) + 4, line)
        for line in (b"GNU.sparse.map=0,1", b"GNU.sparse.size=999999999999999", b"GNU.sparse.numblocks=1")
    )
    wire = raw("x", len(pax), tarfile.XHDTYPE) + pax.ljust(512 * (len(pax) // 512 + 1), b"\0")
    wire += raw("data/huge", 1, tarfile.REGTYPE) + b"x".ljust(512, b"\0") + bytes(1024)
    warnings: list[str] = []
    (place / "target").mkdir()
    unpack(io.BytesIO(wire), "data", place / "target", warnings.append)
    assert (tree(place / "target"), len(warnings)) == ({}, 1)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600), st.integers(0, 1600))
def test_a_tar_with_any_bytes_in_it_writes_inside_or_is_an_error(place, noise, at):
    wire = bytearray(tar_of(DIR, entry("data/a", b"1"), entry("data/b", b"2" * 600)).read())
    wire[at : at + len(noise)] = noise
    try:
        unpack(io.BytesIO(wire), "data", place / "target", lambda text: None)
    except (CliError, OSError):
        return


def test_what_was_packed_comes_out_again(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_text("1")
    (source / "link").symlink_to("sub")
    wire = io.BytesIO()
    pack(source, "other", wire)
    wire.seek(0)
    warnings: list[str] = []
    unpack(wire, "other", tmp_path / "target", warnings.append)
    assert tree(tmp_path / "target") == {"sub": None, "sub/file": "1"}
    assert warnings == ['skipping symlink: "other/link" -> "sub"']


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("file", FileSpec("", "", "file")),
        ("web:/tmp/a", FileSpec("", "web", "/tmp/a")),
        ("shop/web:a:b", FileSpec("shop", "web", "a:b")),
    ],
)
def test_file_specs(text, spec):
    assert file_spec(text) == spec


@pytest.mark.parametrize("text", [":file", "/web:file", "a/b/c:file"])
def test_file_specs_that_are_none(text):
    with pytest.raises(UsageError, match="filespec must match the canonical format"):
        file_spec(text)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/var/log", "var/log"),
        ("var//log/", "var/log"),
        ("../../etc", "etc"),
        ("/", ""),
        (".", ""),
        ("./a", "a"),
    ],
)
def test_the_prefix_is_what_tar_leaves_of_a_path(path, prefix):
    assert prefix_of(path) == prefix
