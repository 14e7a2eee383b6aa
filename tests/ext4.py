"""A file system of a test's own, for what not all can: ids can be mapped on ext4 (Linux 5.12)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ext4(top: Path, size: int = 256 << 20) -> Iterator[Path]:
    """An empty one in a file below `top`, mounted as long as the block runs. `size` in bytes."""
    image, directory = top / "disk", top / "mnt"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["modprobe", "--quiet", "loop"], check=False)  # where it is not built in
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
