"""Pulls in progress: a process for each image, shared by all who want the same image by the same rights.

Whoever stops waiting stops nobody else; with the last one the process is killed. What it has fetched so far
stays aside for the next attempt, and nothing of it is in the store (see `puller`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minikubelet.errors import ImageError
from minikubelet.runtime.images.credentials import Credentials
from minikubelet.runtime.images.reference import Reference

Told = Callable[[dict[str, Any]], None]  # one step: {"resolved": name} or {"bytes": n, "of": m}

# The proxy and the certificates of the environment are the puller's business; nothing else of it is.
PASSED_ON = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[str]
    told: list[Told]
    waiting: int = 0


class Pulls:
    """For one store and one folder of `hosts.toml` files."""

    def __init__(self, store: Path, configuration: Path) -> None:
        self._store, self._configuration = store, configuration
        self._running: dict[tuple[str, tuple[Credentials, ...]], _Running] = {}

    async def pull(
        self, reference: Reference, credentials: Sequence[Credentials] = (), told: Told | None = None
    ) -> str:
        """The id of the image, which is complete in the store. Raises ImageError."""
        key = (str(reference), tuple(credentials))
        running = self._running.get(key)
        if running is None:
            told_of: list[Told] = []
            task = asyncio.create_task(self._pull(reference, credentials, told_of), name=f"pull {reference}")
            running = self._running[key] = _Running(task, told_of)
        if told is not None:
            running.told.append(told)
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if told is not None:
                running.told.remove(told)
            if not running.waiting:
                running.task.cancel()
                del self._running[key]

    async def _pull(self, reference: Reference, known: Sequence[Credentials], told: list[Told]) -> str:
        request = {
            "image": str(reference),
            "credentials": [asdict(one) for one in known],
            "certs_d": str(self._configuration),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-X", "utf8", "-m", f"{__package__}.puller", str(self._store),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment(), limit=1 << 20,
        )  # fmt: skip
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
            async for line in process.stdout:
                step = json.loads(line)
                if "error" in step:
                    raise ImageError(step["reason"], step["error"])
                if "images" in step:
                    return str(step["images"][0])
                for tell in list(told):
                    tell(step)
            raise ImageError("ErrImagePull", f'failed to pull image "{reference}": the puller was killed')
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def environment() -> dict[str, str]:
    """What the puller may know of ours."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return kept | {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
