"""Images on a real file system, as root: every format, every kind of damage, layers made to get out (A33).

Loading runs in the process that the agent would start. The corpus of hostile layers is unpacked beside a tree
that is watched: whatever a layer holds, that tree stays as it was, and a refused layer leaves no trace.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from minikubelet.config import Paths
from minikubelet.errors import ImageError
from minikubelet.runtime.images import HOST_IMAGE, Image, ImageStore
from minikubelet.runtime.images.layer import BadLayer, unpack
from minikubelet.runtime.images.records import ImageRecord, Records
from minikubelet.runtime.images.store import HOST_ID

NAME = "example.com/team/app:v1"
NO_ROOM = r"larger than an unpacked layer may be|No space left|is free"


# What archives are made of


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def link(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.LNKTYPE, linkname=target)


def folder(name: str, **fields: Any) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE, **fields)


Entries = list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]


def tar(entries: Entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in entries:
            info, data = item if isinstance(item, tuple) else (item, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def configuration(layers: list[bytes], **config: Any) -> bytes:
    return json.dumps(
        {"config": config, "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}
    ).encode()


def docker_archive(layers: list[bytes], pack: Callable[[bytes], bytes] = bytes, **config: Any) -> bytes:
    """As docker save writes it; manifest.json comes last."""
    blob = configuration(layers, **config)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{digest(blob)[7:]}.json", "RepoTags": [NAME], "Layers": names}]
    files: Entries = [(entry(name), pack(layer)) for name, layer in zip(names, layers, strict=True)]
    files += [
        (entry(f"{digest(blob)[7:]}.json"), blob),
        (entry("manifest.json"), json.dumps(manifest).encode()),
    ]
    return tar(files)


def oci_layout(directory: Path, layers: list[bytes], platform: dict[str, str] | None = None) -> Path:
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, **more: Any) -> dict[str, Any]:
        (blobs / digest(data)[7:]).write_bytes(data)
        return {"digest": digest(data), "size": len(data), **more}

    manifest = {
        "config": put(configuration(layers, Cmd=["/bin/app"])),
        "layers": [put(gzip.compress(layer)) for layer in layers],
    }
    image = put(json.dumps(manifest).encode(), platform=platform or {"os": "linux", "architecture": "amd64"})
    index = put(json.dumps({"manifests": [image]}).encode())
    index["mediaType"] = "application/vnd.oci.image.index.v1+json"
    index["annotations"] = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "v1"}
    (directory / "index.json").write_text(json.dumps({"manifests": [index]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


ONE_FILE: Entries = [folder("etc"), (entry("etc/one"), b"one")]


# The store


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.under(tmp_path / "root")


def load(paths: Paths, archive: Path) -> list[Image]:
    async def story() -> list[Image]:
        store = ImageStore(paths)
        await store.start()
        return list(await store.load(archive))

    return asyncio.run(story())


def load_bytes(paths: Paths, data: bytes) -> list[Image]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

    async def story() -> list[Image]:
        store = ImageStore(paths)
        await store.start()
        return list(await store.load(chunks()))

    return asyncio.run(story())


def files_of(store: Path) -> list[str]:
    """Everything in the store but its empty frame."""
    frame = {"images", "layers", "blobs", "partial", "lock"}
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.name not in frame)


def started(paths: Paths) -> ImageStore:
    store = ImageStore(paths)
    asyncio.run(store.start())
    return store


# Formats


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(bytes, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(zstd.compress, id="zstd"),
        pytest.param(lzma.compress, id="xz"),
    ],
)
def test_docker_save_is_loaded_with_any_compression(paths: Paths, pack: Callable[[bytes], bytes]) -> None:
    layers = [tar(ONE_FILE), tar([(entry("etc/two"), b"two")])]
    (image,) = load_bytes(paths, docker_archive(layers, pack, Cmd=["/bin/app"], User="7"))
    assert image.tags == (NAME,)
    assert image.config.cmd == ["/bin/app"]
    assert image.size == 6
    assert [sorted(os.listdir(f"{layer}/etc")) for layer in image.layers] == [["two"], ["one"]]
    assert started(paths).resolve("example.com/team/app:v1") == image
    assert started(paths).resolve(image.id) == image


def test_a_compressed_archive_file_is_loaded(paths: Paths, tmp_path: Path) -> None:
    path = tmp_path / "image.tar.gz"
    path.write_bytes(gzip.compress(docker_archive([tar(ONE_FILE)])))
    assert [image.name for image in load(paths, path)] == [NAME]


def test_an_oci_layout_is_loaded_from_a_directory_and_from_a_tar(paths: Paths, tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [tar(ONE_FILE)])
    with tarfile.open(tmp_path / "oci.tar", "w") as archive:
        archive.add(layout, ".")
    (first,), (second,) = load(paths, layout), load(paths, tmp_path / "oci.tar")
    assert first == second
    assert first.tags == (NAME,)
    assert first.digests[0].startswith("example.com/team/app@sha256:")
    assert started(paths).resolve(first.digests[0]) == first


def test_a_name_by_digest_is_no_tag(paths: Paths, tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [tar(ONE_FILE)])
    index = json.loads((layout / "index.json").read_text())
    name = f"example.com/team/app@{index['manifests'][0]['digest']}"
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": name}
    (layout / "index.json").write_text(json.dumps(index))
    (image,) = load(paths, layout)
    assert image.tags == ()
    assert image.name == image.id


def test_indexes_within_indexes_are_counted(paths: Paths, tmp_path: Path) -> None:
    """Forty times forty here; it could be a hundred thousand to the fourth."""
    blobs = tmp_path / "layout/blobs/sha256"
    blobs.mkdir(parents=True)
    document: dict[str, Any] = {"manifests": []}
    for _ in range(2):
        data = json.dumps(document).encode()
        (blobs / digest(data)[7:]).write_bytes(data)
        document = {"manifests": [{"digest": digest(data), "size": len(data)}] * 40}
    (tmp_path / "layout/index.json").write_text(json.dumps(document))
    with pytest.raises(ImageError, match="more than 1000 manifests"):
        load(paths, tmp_path / "layout")


def test_an_image_for_another_machine_is_refused(paths: Paths, tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "layout", [tar(ONE_FILE)], {"os": "linux", "architecture": "s390x"})
    with pytest.raises(ImageError, match="no image in it is for linux/amd64"):
        load(paths, layout)


def test_a_layer_is_unpacked_once_for_all_images_that_have_it(paths: Paths) -> None:
    shared = tar(ONE_FILE)
    (first,) = load_bytes(paths, docker_archive([shared], Cmd=["a"]))
    inode = os.stat(first.layers[0]).st_ino
    (second,) = load_bytes(paths, docker_archive([shared, tar([(entry("x"), b"")])], Cmd=["b"]))
    assert os.stat(second.layers[1]).st_ino == inode
    assert started(paths).resolve(NAME) == second  # the name went over to the newer image
    assert started(paths).find(first.id).tags == ()


def test_metadata_is_kept(paths: Paths) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    program = entry("bin/su", mode=0o4755, uid=1000, gid=2000, mtime=1_000_000_000)
    program.pax_headers = {
        "SCHILY.xattr.security.capability": capability.decode("latin-1"),
        "SCHILY.xattr.user.note": "kept",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
    }
    layer = tar(
        [folder(".", mode=0o711), folder("bin", mtime=1_000_000_001), (program, b"x"),
         hard("bin/sudo", "bin/su"), link("lib", "usr/lib"), entry("pipe", tarfile.FIFOTYPE, uid=5)]
    )  # fmt: skip
    (image,) = load_bytes(paths, docker_archive([layer]))
    root = Path(image.layers[0])
    status = (root / "bin/su").stat()
    assert (status.st_mode, status.st_uid, status.st_gid) == (0o104755, 1000, 2000)
    assert status.st_mtime == 1_000_000_000
    assert (root / "bin").stat().st_mtime == 1_000_000_001
    assert status.st_nlink == 2
    assert "security.capability" in os.listxattr(root / "bin/su")
    if keeps_user_attributes(root):
        assert os.getxattr(root / "bin/su", "user.note") == b"kept"
    assert "trusted.overlay.redirect" not in os.listxattr(root / "bin/su")
    assert os.readlink(root / "lib") == "usr/lib"
    assert (root / "pipe").lstat().st_uid == 5
    assert root.stat().st_mode & 0o777 == 0o711


def keeps_user_attributes(directory: Path) -> bool:
    """tmpfs does since Linux 6.6; what it does not keep is left out, as containerd does."""
    try:
        os.setxattr(directory, "user.probe", b"1")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True


def test_whiteouts_hide_what_is_below_in_an_overlay(paths: Paths, tmp_path: Path) -> None:
    below = tar([folder("etc"), (entry("etc/gone"), b""), (entry("etc/kept"), b""), folder("opaque"),
                 (entry("opaque/old"), b""), folder("again"), (entry("again/old"), b"")])  # fmt: skip
    above = tar([folder("etc"), entry("etc/.wh.gone"), folder("opaque"), entry("opaque/.wh..wh..opq"),
                 (entry("opaque/new"), b""), entry(".wh.again"), folder("again"), (entry("again/new"), b""),
                 entry(".wh..wh.plnk")])  # fmt: skip
    (image,) = load_bytes(paths, docker_archive([below, above]))
    layers = [
        str(tmp_path / name) for name in ("a", "b")
    ]  # shorter names: mount(8) takes one page of options
    for layer, copy in zip(image.layers, layers, strict=True):
        subprocess.run(["cp", "-a", layer, copy], check=True)
    script = (
        'cd "$0" && mkdir u w m && mount -t overlay o -o "lowerdir=a:b,upperdir=u,workdir=w" m && '
        "cd m && find . -mindepth 1 | sort"
    )
    command = ["unshare", "--mount", "sh", "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [
        "./again", "./again/new", "./etc", "./etc/kept", "./opaque", "./opaque/new",
    ]  # fmt: skip


# Hostile layers


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Path]:
    """A tree outside the layer, and a hard look at it afterwards."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    os.chmod(outside / "file", 0o600)
    yield outside
    assert os.listdir(outside) == ["file"]
    status = (outside / "file").stat()
    assert (outside / "file").read_text() == "precious"
    assert (status.st_mode & 0o7777, status.st_uid, status.st_nlink) == (0o600, 0, 1)


def corpus(outside: str) -> list[Any]:
    up = "../" * 12
    file = b"evil"
    return [
        pytest.param([(entry(f"{up}{outside[1:]}/new"), file)], True, id="dot-dot name"),
        pytest.param([(entry(f"a/../../{outside}/new"), file)], True, id="dot-dot in the middle"),
        pytest.param([(entry(f"{outside}/new"), file)], False, id="absolute name"),
        pytest.param([link("l", outside), (entry("l/new"), file)], False, id="through an absolute link"),
        pytest.param(
            [link("l", f"{up}{outside[1:]}"), (entry("l/new"), file)], False, id="through a relative link"
        ),
        pytest.param([link("l", f"{outside}/file"), (entry("l"), file)], False, id="over a link to a file"),
        pytest.param([link("l", outside), folder("l", mode=0o777)], False, id="directory over a link"),
        pytest.param(
            [link("a", outside), link("b", "a"), link("c", "b"), (entry("c/new"), file)],
            False,
            id="chain of links",
        ),
        pytest.param(
            [
                folder("d"),
                link("d/up", ".."),
                link("d/up/up2", ".."),
                (entry(f"d/up/up2/up2/{outside}/x"), file),
            ],
            False,
            id="links to dot-dot",
        ),
        pytest.param([hard("h", f"{outside}/file"), (entry("h"), file)], True, id="hard link out"),
        pytest.param([hard("h", f"{up}{outside[1:]}/file")], True, id="hard link out by dot-dot"),
        pytest.param(
            [link("l", outside), hard("h", "l/file"), entry("h", mode=0o777)], True, id="hard link via link"
        ),
        pytest.param(
            [link("l", f"{outside}/file"), hard("h", "l"), (entry("h"), file)],
            False,
            id="hard link to a link",
        ),
        pytest.param([hard("h", ".")], True, id="hard link to the root"),
        pytest.param([folder("d"), hard("d", "d")], False, id="hard link to itself"),
        pytest.param([entry(".wh..")], True, id="whiteout of the parent"),
        pytest.param([entry(".wh...")], True, id="whiteout of the parent's parent"),
        pytest.param([entry("a/.wh.")], True, id="whiteout of nothing"),
        pytest.param([link("l", outside), entry("l/.wh.file")], False, id="whiteout through a link"),
        pytest.param([link("l", outside), entry("l/.wh..wh..opq")], False, id="opaque mark through a link"),
        pytest.param([entry(f".wh.{up}{outside[1:]}/file")], True, id="whiteout with dot-dot"),
        pytest.param([entry("disk", tarfile.BLKTYPE, devmajor=254, devminor=0)], False, id="block device"),
        pytest.param([entry("mem", tarfile.CHRTYPE, devmajor=1, devminor=1)], False, id="character device"),
        pytest.param([entry("a", uid=1 << 40)], True, id="owner out of range"),
        pytest.param([entry("a", mtime=1e300)], False, id="time out of range"),
        pytest.param([link("l", "l"), (entry("l/x"), file)], True, id="link loop"),
        pytest.param([(entry("f"), file), (entry("f/x"), file)], True, id="file as a parent"),
        pytest.param([folder("/".join("d" * 1200))], True, id="too deep"),
        pytest.param([link("x" * 5000, "y")], True, id="too long"),
        pytest.param([entry("a", b"?")], True, id="unknown type"),
    ]


@pytest.mark.parametrize(("entries", "refused"), corpus("/OUTSIDE"))
def test_no_layer_gets_out(tmp_path: Path, watched: Path, entries: Entries, refused: bool) -> None:
    for item in entries:
        info = item[0] if isinstance(item, tuple) else item
        info.name = info.name.replace("OUTSIDE", str(watched)[1:])
        info.linkname = info.linkname.replace("OUTSIDE", str(watched)[1:])
    layer, target = tar(entries), tmp_path / "target"
    target.mkdir()
    if refused:
        with pytest.raises((BadLayer, OSError)):
            unpack(io.BytesIO(layer), str(target), max_size=1 << 20, max_entries=1000)
    else:
        unpack(io.BytesIO(layer), str(target), max_size=1 << 20, max_entries=1000)
        kinds = [path.lstat() for path in target.rglob("*")]
        assert not any(
            os.major(status.st_rdev) for status in kinds
        )  # whiteouts are 0/0, others there are none


def header(size: bytes, kind: bytes = b"0", name: bytes = b"x") -> bytes:
    """One raw tar header, for sizes that tarfile would not write."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156:157] = size.rjust(12, b"\0"), b"00000000000\0", kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a tar at all" * 100, id="no tar"),
        pytest.param(tar([(entry("a"), b"x" * 5000)])[:2000], id="cut off in a file"),
        pytest.param(header(b"\xff" * 12) + bytes(1024), id="negative size"),
        pytest.param(header(b"\x80" + b"\0" * 4 + b"\x7f" * 7) + bytes(1024), id="huge size"),
        pytest.param(header(b"77777777777\0", b"x") + bytes(1024), id="extended header of 8 GB"),
        pytest.param(header(b"77777777777\0", b"L") + bytes(1024), id="long name of 8 GB"),
        pytest.param(header(b"77777777777\0", b"S") + bytes(1024), id="sparse file"),
        pytest.param(tar([(entry("a"), b"x" * (2 << 20))]), id="larger than allowed"),
        pytest.param(tar([entry(str(number)) for number in range(1001)]), id="more entries than allowed"),
    ],
)
def test_a_broken_layer_is_refused(tmp_path: Path, layer: bytes) -> None:
    with pytest.raises(BadLayer):
        unpack(io.BytesIO(layer), str(tmp_path), max_size=1 << 20, max_entries=1000)


# Hostile and damaged archives


def replaced(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    assert len(old) == len(new)
    return data.replace(old.encode(), new.encode())


def manifest_only(manifest: Any, **files: bytes) -> bytes:
    entries: Entries = [(entry(name.replace("_", ".")), data) for name, data in files.items()]
    return tar([*entries, (entry("manifest.json"), json.dumps(manifest).encode())])


GOOD = docker_archive([tar(ONE_FILE)])
CONFIG = configuration([tar(ONE_FILE)])
NO_LAYER: list[dict[str, Any]] = [{"Config": "c.json", "Layers": []}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "empty", id="empty file"),
        pytest.param(b"\0" * 10240, "neither manifest.json", id="empty tar"),
        pytest.param(GOOD[:3000], "unexpected end of data", id="cut off"),
        pytest.param(gzip.compress(GOOD)[:-20], "cannot decompress", id="cut off, compressed"),
        pytest.param(replaced(GOOD, '"Layers"', '"Lasers"'), "Layers must be a list", id="no layers"),
        pytest.param(
            replaced(GOOD, "sha256:" + digest(tar(ONE_FILE))[7:], "sha256:" + "0" * 64),
            "has another digest",
            id="a configuration that is not the one it says",
        ),
        pytest.param(
            docker_archive([tar(ONE_FILE)], lambda layer: layer.replace(b"one", b"two")),
            "not sha256:",
            id="a layer that is not the one the configuration names",
        ),
        pytest.param(
            docker_archive([tar(ONE_FILE)], lambda layer: gzip.compress(layer)[:-30]),
            "cannot decompress",
            id="a layer cut off",
        ),
        pytest.param(
            manifest_only([{"Config": "../../../etc/passwd", "Layers": []}]), "is missing", id="path out"
        ),
        pytest.param(manifest_only(NO_LAYER, c_json=CONFIG), "0 layers where", id="too few layers"),
        pytest.param(
            manifest_only([{**NO_LAYER[0], "Layers": ["x"]}], c_json=CONFIG),
            "is missing",
            id="a missing layer",
        ),
        pytest.param(manifest_only({"a": 1}), "must be a list", id="another manifest"),
        pytest.param(manifest_only(NO_LAYER, c_json=b"[" * 100_000), "cannot read", id="deep nesting"),
        pytest.param(
            manifest_only(NO_LAYER, c_json=bytes(9 << 20)), "is larger than", id="large configuration"
        ),
        pytest.param(
            manifest_only([{**NO_LAYER[0], "RepoTags": ["UP"]}], c_json=CONFIG),
            "must be lowercase",
            id="bad name",
        ),
    ],
)
def test_a_damaged_archive_changes_nothing(paths: Paths, data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_bytes(paths, data)
    assert files_of(paths.images) == []


def test_a_sparse_file_is_no_layer(paths: Paths, tmp_path: Path) -> None:
    """The layer is here already, so it would not be unpacked, only kept as it is: 64 MiB out of nothing."""
    load_bytes(paths, GOOD)
    work = tmp_path / "archive"
    (work / "0").mkdir(parents=True)
    (work / "config.json").write_bytes(CONFIG)
    with (work / "0/layer.tar").open("wb") as file:
        file.truncate(64 << 20)
    manifest = [{"Config": "config.json", "Layers": ["0/layer.tar"]}]
    (work / "manifest.json").write_text(json.dumps(manifest))
    subprocess.run(
        ["tar", "--sparse", "--format=gnu", "-cf", "../sparse.tar", "."], cwd=work, check=True, timeout=60
    )
    assert (tmp_path / "sparse.tar").stat().st_size < 1 << 20
    with pytest.raises(ImageError, match=r"0/layer\.tar' is missing"):
        load(paths, tmp_path / "sparse.tar")


def test_a_bomb_is_stopped_long_before_it_is_unpacked(paths: Paths) -> None:
    def bomb(layer: bytes) -> bytes:
        squeezed = zstd.ZstdCompressor(level=1)
        zeros = bytes(16 << 20)
        parts = [squeezed.compress(header(b"77777777777\0"))] + [squeezed.compress(zeros) for _ in range(64)]
        return b"".join([*parts, squeezed.flush()])

    with pytest.raises(ImageError, match=r"grows more than 200 times|larger than an unpacked layer may be"):
        load_bytes(paths, docker_archive([tar(ONE_FILE)], bomb))
    assert files_of(paths.images) == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", directory], check=True)
    yield directory
    subprocess.run(["umount", directory], check=True)


def test_a_full_disk_leaves_the_store_as_it_was(small: Path, tmp_path: Path) -> None:
    paths = Paths.under(small)
    (kept,) = load_bytes(paths, docker_archive([tar(ONE_FILE)], Cmd=["kept"]))
    before = files_of(paths.images)
    big = tmp_path / "big.tar"
    big.write_bytes(docker_archive([tar([(entry("big"), os.urandom(4 << 20))])], Cmd=["big"]))
    with pytest.raises(ImageError, match=NO_ROOM):
        load(paths, big)
    many = tmp_path / "many.tar"
    parts: Entries = [(entry(str(number)), os.urandom(1100 << 10)) for number in range(3)]
    many.write_bytes(docker_archive([tar(parts[:2]), tar(parts[2:])], Cmd=["many"]))
    with pytest.raises(ImageError, match=NO_ROOM):
        load(paths, many)
    assert files_of(paths.images) == before
    assert started(paths).resolve(NAME) == kept


def test_a_killed_load_leaves_nothing_that_is_ever_used(paths: Paths) -> None:
    """The stream stops in the middle of a layer, and the caller goes away."""
    data = docker_archive([tar([(entry("big"), os.urandom(1 << 20))])])

    async def story() -> None:
        begun, forever = asyncio.Event(), asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield data[: len(data) // 2]
            begun.set()
            await forever.wait()

        store = ImageStore(paths)
        await store.start()
        loading = asyncio.create_task(store.load(stalled()))
        await begun.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert store.list()[0].name == HOST_IMAGE
        assert len(store.list()) == 1

    asyncio.run(story())
    assert [image.name for image in load_bytes(paths, GOOD)] == [NAME]
    assert not (paths.images / "aside").exists()


def test_who_sends_slowly_keeps_nobody_else_waiting(paths: Paths, tmp_path: Path) -> None:
    """The defence: `loader.load` takes the lock when it has all of the archive."""
    data = docker_archive([tar([(entry("big"), os.urandom(1 << 20))])])
    good = tmp_path / "good.tar"
    good.write_bytes(GOOD)

    async def story() -> None:
        begun, forever = asyncio.Event(), asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield data[: len(data) // 2]  # more than a pipe holds: when it is gone the loader is at work
            begun.set()
            await forever.wait()

        store = ImageStore(paths)
        await store.start()
        loading = asyncio.create_task(store.load(stalled()))
        await begun.wait()
        async with asyncio.timeout(60):
            assert [image.name for image in await store.load(good)] == [NAME]
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)

    asyncio.run(story())


# What is in the store


def test_an_earlier_look_does_not_hide_what_a_later_one_has_seen(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at the same time, of which the first takes longer."""
    looks, go_on, read = iter(range(9)), threading.Event(), Records.all

    def slow(records: Records) -> list[ImageRecord]:
        found = read(records)
        if next(looks) == 1:
            go_on.wait(60)
        return found

    monkeypatch.setattr(Records, "all", slow)

    async def story() -> None:
        store = ImageStore(paths)
        await store.start()
        slowly = asyncio.create_task(store.start())
        late = asyncio.create_task(store.register("my/late", tmp_path))
        await asyncio.wait([late], timeout=0.2)  # it may end first, or wait for the other
        go_on.set()
        await asyncio.gather(slowly, late)
        assert store.resolve("my/late") is not None

    asyncio.run(story())


def test_a_record_that_goes_while_it_is_read_is_left_out(paths: Paths) -> None:
    started(paths)
    (paths.images / "images/gone.json").symlink_to("nowhere")
    assert [image.name for image in started(paths).list()] == [HOST_IMAGE]


def test_ids_of_names_that_pods_may_have(paths: Paths) -> None:
    """One that is no name must not end the garbage collection, and with it the agent."""
    assert started(paths).ids_of(["NOT/A:NAME", "localhost/host", "not/here"]) == {HOST_ID}


def test_a_name_comes_before_the_beginning_of_an_id(paths: Paths) -> None:
    (image,) = load_bytes(paths, GOOD)
    digits = image.id[7:15]
    other = docker_archive([tar([(entry("other"), b"")])])
    (named,) = load_bytes(paths, renamed(other, f"docker.io/library/{digits}:latest"))
    assert started(paths).find(digits) == named
    assert started(paths).find(image.id[7:14]) == image


def renamed(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        files = [(info, source.extractfile(info).read()) for info in source]  # type: ignore[union-attr]
    return tar([(entry(info.name), data.replace(NAME.encode(), name.encode())) for info, data in files])


def test_the_host_image_is_always_there_and_hides_the_agents_state(paths: Paths) -> None:
    store = started(paths)
    image = store.find("localhost/host")
    assert image.layers == ("/",)
    assert str(paths.lib) in image.masked
    assert "/var/lib/minikubelet" in image.masked
    with pytest.raises(ImageError, match="cannot be removed"):
        asyncio.run(store.remove("localhost/host", []))


def test_an_unpacked_directory_is_an_image_where_it_lies(paths: Paths, tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root.mkdir()
    image = asyncio.run(started(paths).register("my/rootfs", root))
    assert started(paths).resolve("my/rootfs") == image
    assert image.layers == (str(root),)
    asyncio.run(started(paths).remove("my/rootfs", []))
    assert root.is_dir()


@pytest.mark.parametrize(
    ("image", "policy", "reason", "message"),
    [
        (
            "localhost/nginx",
            "Never",
            "ErrImageNeverPull",
            'Container image "localhost/nginx" is not present with pull policy of Never',
        ),
        (
            "localhost/nginx",
            "IfNotPresent",
            "ErrImagePull",
            'failed to pull and unpack image "localhost/nginx:latest"',
        ),
        ("localhost/nginx", "Always", "ErrImagePull", "minikubelet image load FILE"),
        ("UP", "Always", "InvalidImageName", "must be lowercase"),
    ],
)
def test_an_absent_image(paths: Paths, image: str, policy: str, reason: str, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        asyncio.run(started(paths).ensure(image, policy))
    assert caught.value.reason == reason


def test_remove_takes_names_then_the_image_and_refuses_what_is_in_use(paths: Paths) -> None:
    (image,) = load_bytes(paths, GOOD)
    other = docker_archive([tar(ONE_FILE)])
    load_bytes(paths, replaced(other, NAME, "example.com/team/app:v2"))
    store = started(paths)
    assert asyncio.run(store.remove("example.com/team/app:v2", [image.id])) == [
        "untagged example.com/team/app:v2"
    ]
    with pytest.raises(ImageError, match="is in use"):
        asyncio.run(store.remove(NAME, [image.id]))
    assert asyncio.run(store.remove(image.id[7:19], [])) == [f"untagged {NAME}", f"deleted {image.id}"]
    assert files_of(paths.images) == []


def test_prune_removes_what_has_no_name_and_only_unshared_layers(paths: Paths) -> None:
    shared = tar(ONE_FILE)
    (old,) = load_bytes(paths, docker_archive([shared, tar([(entry("old"), b"12345")])], Cmd=["old"]))
    (new,) = load_bytes(paths, docker_archive([shared], Cmd=["new"]))
    store = started(paths)
    assert asyncio.run(store.prune([old.id])) == ([], 0)
    removed, freed = asyncio.run(store.prune([]))
    assert removed == [old.id]
    assert freed > 5, "its own layer, and what it was packed in"
    assert [image.name for image in store.list()] == [NAME, HOST_IMAGE]
    assert os.path.isdir(new.layers[0])
    assert asyncio.run(store.prune([], every=True))[0] == [new.id]
    assert files_of(paths.images) == []
