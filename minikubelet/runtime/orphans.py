"""Folders of pods that nobody knows: what an agent that was killed in the middle may have left (14.3)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from minikubelet.config import Paths
from minikubelet.runtime import log_files, volumes
from minikubelet.runtime.removal import remove_tree

logger = logging.getLogger(__name__)


def remove_orphans(paths: Paths, known: Collection[str]) -> None:
    """`known`: the uids of all pods that exist, or of which something runs. Blocks.

    The folders of logs are <namespace>_<name>_<uid>; what has no such name is not ours to remove.
    """
    for directory in paths.lib.glob("pods/*"):
        if directory.name not in known:
            _remove(directory)
    for directory in paths.log_pods.glob("*_*_*"):
        if directory.name.rpartition("_")[2] not in known:
            _remove(directory)
    log_files.remove_dangling_links(paths.log_containers)


def _remove(directory: Path) -> None:
    logger.info("removing %s: there is no such pod", directory)
    try:
        volumes.tear_down(directory)
        remove_tree(directory)
    except OSError as error:  # something is mounted below; the next round tries again
        logger.warning("cannot remove %s: %s", directory, error)
