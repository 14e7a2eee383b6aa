"""The signals of eviction, read from the node (13.6)."""

from __future__ import annotations

from minikubelet.config import Paths
from minikubelet.runtime import node_stats
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.resources import KUBEPODS

from .pressure import Observations
from .thresholds import (
    ALLOCATABLE_MEMORY,
    IMAGEFS_AVAILABLE,
    IMAGEFS_INODES,
    MEMORY_AVAILABLE,
    NODEFS_AVAILABLE,
    NODEFS_INODES,
    PID_AVAILABLE,
    Observation,
)


def observe(paths: Paths, cgroups: Cgroups) -> Observations:
    """nodefs holds volumes and writable layers, imagefs the images; most often they are one.

    A file system that makes inodes as they are needed has none to run out of: there is no such signal then.
    """
    node = node_stats.read_file_system(paths.lib)
    images = node_stats.read_file_system(paths.images)
    found = {
        MEMORY_AVAILABLE: node_stats.read_memory(),
        ALLOCATABLE_MEMORY: cgroups.memory_left(KUBEPODS),
        NODEFS_AVAILABLE: node.space,
        NODEFS_INODES: node.inodes,
        IMAGEFS_AVAILABLE: images.space,
        IMAGEFS_INODES: images.inodes,
        PID_AVAILABLE: node_stats.read_process_ids(),
    }
    return {
        signal: Observation(left.available, left.capacity)
        for signal, left in found.items()
        if left is not None and left.capacity
    }
