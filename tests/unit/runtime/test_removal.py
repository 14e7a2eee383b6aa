"""Removing a tree that somebody else removes, too. (Hostile trees: tests/kernel/test_attacks_volumes.py.)"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from minikubelet.runtime.removal import remove_tree


@pytest.mark.parametrize("look", [1, 2, 3])
def test_what_has_gone_in_the_middle_is_as_good_as_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    """Garbage collection and a pod's worker may remove the same layers: the other one is quicker than our
    first look into the tree, or than a later one.
    """
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    for directory in (tree, tree / "a", tree / "a/b", tree / "a/b/c"):
        (directory / "file").touch()
    listdir, looks = os.listdir, 0

    def somebody_is_quicker(directory: int) -> list[str]:
        nonlocal looks
        looks += 1
        found = listdir(directory)
        if looks == look:
            subprocess.run(["rm", "-rf", tree], check=True)
        return found

    monkeypatch.setattr(os, "listdir", somebody_is_quicker)
    remove_tree(tree)
    assert looks >= look
    assert not tree.exists()
