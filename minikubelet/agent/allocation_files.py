"""Allocations on disk, so that they survive the agent: `<lib>/pods/<uid>/allocation.json`.

The file goes with the pod's directory. It is replaced in one step; that it reaches the disk is not waited
for: after a power failure nothing runs that was promised anything. A pod without cpu and memory (BestEffort)
cannot be resized and has no file, so that its start costs no write.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from .allocation import Allocation, as_json, from_json

logger = logging.getLogger(__name__)

NAME = "allocation.json"


class AllocationFiles:
    """`directory_of` finds a pod's directory by its uid."""

    def __init__(self, directory_of: Callable[[str], Path]) -> None:
        self._directory_of = directory_of

    def save(self, uid: str, granted: Allocation) -> None:
        """Raises OSError: what cannot be remembered must not be granted."""
        path = self._directory_of(uid) / NAME
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(as_json(granted)))
        temporary.replace(path)

    def load(self, uid: str) -> Allocation | None:
        """None when nothing (readable) is remembered: then the pod is let in as it asks."""
        path = self._directory_of(uid) / NAME
        try:
            return from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("cannot read %s: %s: %s", path, type(error).__name__, error)
            return None
