"""How much of the disk a stranger's tree takes: the sum that storage limits and disk pressure go by.

`du` counts, in a process of its own with the lowest priority: a container may make a million files, or ten
thousand levels, and the agent must not feel it. It follows no links, counts hard links once and blocks rather
than lengths (a sparse file costs what it has), and stays on the file system where it begins. Whoever asks
waits as long as it takes; nobody else does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from minikubelet.errors import RuntimeServiceError

_AT_ONCE = 2  # so many trees at a time: this is the node's disk, and pods want it, too


class DiskUsage:
    """Made in the event loop that asks."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def measure(
        self, paths: Sequence[Path], *, inodes: bool = False, limit: float | None = None
    ) -> dict[Path, int]:
        """Bytes (or inodes) below each path; what is not there, or goes meanwhile, is left out.

        Raises RuntimeServiceError when this node has no `du`, and TimeoutError when counting, not waiting for
        its turn, takes longer than `limit` seconds.
        """
        if not paths:
            return {}
        async with self._turn, asyncio.timeout(limit):
            return _parse(await _run(_command(paths, inodes=inodes)))


def _command(paths: Sequence[Path], *, inodes: bool) -> list[str]:
    unit = "--inodes" if inodes else "--block-size=1"
    options = ["--summarize", "--one-file-system", "--null", unit]
    # Nothing that measures is worth as much as what runs: the agent's protection is not for this.
    return [
        "choom",
        "-n",
        "1000",
        "--",
        "nice",
        "-n",
        "19",
        "du",
        *options,
        "--",
        *(str(path) for path in paths),
    ]


async def _run(command: list[str]) -> bytes:
    """Its exit code says only that some file vanished while it looked."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise RuntimeServiceError(f"cannot measure what pods take of the disk: {error}") from error
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output


def _parse(output: bytes) -> dict[Path, int]:
    """`4096<TAB>/path<NUL>` for each."""
    found = {}
    for line in output.split(b"\0")[:-1]:
        number, _, path = line.partition(b"\t")
        found[Path(os.fsdecode(path))] = int(number)
    return found
