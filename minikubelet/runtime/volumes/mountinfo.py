"""What is mounted below a directory, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
_OPTIONAL = 6  # the first of the optional fields, which end with "-"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mount_points_below(directory: Path) -> list[bytes]:
    """In the order in which they were mounted; what was removed while mounted is no mount point any more."""
    above = bytes(directory.resolve()) + b"/"
    points = [_unescaped(line.split(b" ")[_MOUNT_POINT]) for line in MOUNTINFO.read_bytes().splitlines()]
    return [point for point in points if point.startswith(above)]


@dataclass(frozen=True, slots=True)
class Peers:
    """The mount a path lies on, and whether it exchanges mounts with others (mount_namespaces(7))."""

    mount_point: str
    shared: bool  # sends and receives
    slave: bool  # receives


def peers_of(path: Path) -> Peers:
    """Of the mount that is on top at `path`."""
    real = bytes(path.resolve())
    best, found = b"", Peers("/", shared=False, slave=False)
    for line in MOUNTINFO.read_bytes().splitlines():
        fields = line.split(b" ")
        point = _unescaped(fields[_MOUNT_POINT])
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip(b"/") + b"/")):
            tags = fields[_OPTIONAL : fields.index(b"-")]
            best = point
            found = Peers(
                os.fsdecode(point),
                shared=any(tag.startswith(b"shared:") for tag in tags),
                slave=any(tag.startswith(b"master:") for tag in tags),
            )
    return found


def _unescaped(path: bytes) -> bytes:
    """Space, tab, newline and backslash are written in octal."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), path)
