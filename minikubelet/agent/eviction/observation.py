"""The signals of eviction, read from the node (13.6)."""

from __future__ import annotations

from minikubelet.config import Paths
from minikubelet.runtime import node_stats
from minikubelet.runtime.node_stats import Left

from .pressure import Observations
from .thresholds import (
    IMAGEFS_AVAILABLE,
    IMAGEFS_INODES,
    MEMORY_AVAILABLE,
    NODEFS_AVAILABLE,
    NODEFS_INODES,
    PID_AVAILABLE,
    Observation,
)


def observe(paths: Paths) -> Observations:
    """nodefs holds volumes and writable layers, imagefs the images; most often they are one.

    A file system that makes inodes as they are needed has none to run out of: there is no such signal then.
    """
    node = node_stats.read_file_system(paths.lib)
    images = node_stats.read_file_system(paths.images)
    found = {
        MEMORY_AVAILABLE: node_stats.read_memory(),
        NODEFS_AVAILABLE: node.space,
        NODEFS_INODES: node.inodes,
        IMAGEFS_AVAILABLE: images.space,
        IMAGEFS_INODES: images.inodes,
        PID_AVAILABLE: node_stats.read_process_ids(),
    }
    return {signal: _observation(left) for signal, left in found.items() if left.capacity}


def _observation(left: Left) -> Observation:
    return Observation(left.available, left.capacity)
