"""What is mounted below a directory, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mount_points_below(directory: Path) -> list[bytes]:
    """In the order in which they were mounted; what was removed while mounted is no mount point any more."""
    above = bytes(directory.resolve()) + b"/"
    points = [_unescaped(line.split(b" ")[_MOUNT_POINT]) for line in MOUNTINFO.read_bytes().splitlines()]
    return [point for point in points if point.startswith(above)]


def _unescaped(path: bytes) -> bytes:
    """Space, tab, newline and backslash are written in octal."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), path)
