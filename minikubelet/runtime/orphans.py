"""Folders of pods that nobody knows: what an agent that was killed in the middle may have left (14.3).

They are found at the very moment in which it is known which pods exist, and only these are removed: a pod
that comes while a large tree is being removed has folders by then, too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from minikubelet.config import Paths
from minikubelet.runtime import log_files, volumes
from minikubelet.runtime.removal import remove_tree

logger = logging.getLogger(__name__)


def find_orphans(paths: Paths, known: Collection[str]) -> list[Path]:
    """`known`: the uids of all pods that exist, or of which something runs. Lists two directories.

    The folders of logs are <namespace>_<name>_<uid>; what has no such name is not ours to remove.
    """
    states = [path for path in paths.lib.glob("pods/*") if path.name not in known]
    logs = [path for path in paths.log_pods.glob("*_*_*") if path.name.rpartition("_")[2] not in known]
    return states + logs


def remove_orphans(paths: Paths, found: Iterable[Path]) -> None:
    """Blocks."""
    for directory in found:
        _remove(directory)
    log_files.remove_dangling_links(paths.log_containers)


def _remove(directory: Path) -> None:
    logger.info("removing %s: there is no such pod", directory)
    try:
        volumes.tear_down(directory)
        remove_tree(directory)
    except OSError as error:  # something is mounted below; the next round tries again
        logger.warning("cannot remove %s: %s", directory, error)
