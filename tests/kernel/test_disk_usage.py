"""What is counted of a stranger's tree, and what is not (A: links, mounts, millions, depth)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from minikubelet.errors import RuntimeServiceError
from minikubelet.runtime.disk_usage import DiskUsage
from minikubelet.runtime.removal import remove_tree

MI = 1 << 20
TURNS = 1000


def measured(*paths: Path, inodes: bool = False) -> dict[Path, int]:
    async def story() -> dict[Path, int]:
        return await DiskUsage().measure(paths, inodes=inodes)

    return asyncio.run(story())


def test_blocks_are_counted_once_and_nothing_is_followed(tmp_path: Path) -> None:
    """A link out, a hard link, a hole, a mount of its own: only the first MiB counts. The defences are du's
    options in `disk_usage._command`: without --one-file-system the mount counts, too.
    """
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "large").write_bytes(bytes(8 * MI))
    (tree / "file").write_bytes(os.urandom(MI))
    os.link(tree / "file", tree / "again")
    (tree / "link").symlink_to(outside)
    with (tree / "hole").open("wb") as hole:
        hole.truncate(1 << 30)
    (tree / "mount").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(tree / "mount")], check=True)
    try:
        (tree / "mount" / "large").write_bytes(bytes(8 * MI))
        assert MI <= measured(tree)[tree] < 2 * MI
        assert measured(tree, inodes=True)[tree] < 8
    finally:
        subprocess.run(["umount", str(tree / "mount")], check=True)


def test_names_and_depth_do_no_harm(tmp_path: Path) -> None:
    """A newline in a name, an option as a name, and four hundred levels: deeper than a path may be long."""
    odd = tmp_path / "-x\nodd"
    odd.mkdir()
    deep = os.open(odd, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(400):
        os.mkdir("level" * 4, dir_fd=deep)
        below = os.open("level" * 4, os.O_RDONLY | os.O_DIRECTORY, dir_fd=deep)
        os.close(deep)
        deep = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=deep)
    os.write(file, os.urandom(MI))
    os.close(file)
    os.close(deep)
    found = measured(odd, tmp_path / "is not there")
    remove_tree(odd)
    assert list(found) == [odd]
    assert found[odd] >= MI


def test_without_du_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeServiceError, match=r"cannot measure what pods take of the disk: .*choom"):
        measured(tmp_path)


def test_the_loop_goes_on_while_a_large_tree_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While two thousand files are counted, the loop turns as if nothing were: `du` begins when it has.
    (Counted in the loop's own thread, it would not turn at all.)
    """
    tree, programs, gate = tmp_path / "tree", tmp_path / "programs", tmp_path / "gate"
    for folder in range(4):
        (tree / str(folder)).mkdir(parents=True)
        for number in range(500):
            (tree / str(folder) / str(number)).touch()
    programs.mkdir()
    os.mkfifo(gate)
    (programs / "du").write_text(
        f'#!/bin/sh\ntimeout 60 head -c 1 "{gate}" >/dev/null\nexec /usr/bin/du "$@"\n'
    )
    (programs / "du").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    opened = os.open(gate, os.O_RDWR)

    async def story() -> tuple[int, dict[Path, int]]:
        task = asyncio.create_task(DiskUsage().measure([tree], inodes=True))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
            if turns == TURNS:
                os.write(opened, b"x")
        return turns, task.result()

    turns, found = asyncio.run(story())
    os.close(opened)
    assert found[tree] == 4 * 501 + 1
    assert turns > TURNS
