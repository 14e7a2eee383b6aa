"""A log that is rotated at a bad moment, as the agent's runtime sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from minikubelet.config import Paths
from minikubelet.runtime import log_files
from tests.contract.test_runtime_service import Program, real_stage
from tests.contract.test_runtime_service import until as until_so
from tests.fakes import Script
from tests.kernel.shims import until
from tests.leaks import no_leaks

FULL = 10 << 20  # bytes
TICKS = Program("while :; do echo tick; sleep 0.05; done", Script())
SPEAKS = Program("yes words | head -c 8000000; exec sleep 1000", Script())


def test_a_container_that_ends_while_its_log_is_rotated_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end comes when the log has been renamed, and before the shim is told of that."""
    rotate = log_files.rotate

    def container() -> dict[str, Any]:
        (file,) = Paths.under(tmp_path).run.glob("pods/*/0/state.json")
        (found,) = json.loads(file.read_text())["containers"]
        return dict(found)

    def rotate_and_end(path: Path, max_files: int) -> Path:
        rotated = rotate(path, max_files)
        os.kill(container()["pid"], signal.SIGKILL)
        until(lambda: container()["state"] == "stopped", what="the end of the container")
        return rotated

    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            container_id = await stage.start(SPEAKS)
            log = Path((await stage.instance(container_id)).log_path)

            async def is_full() -> bool:
                return log_files.is_full(log, FULL)

            await until_so(is_full, limit=60)
            await stage.runtime.rotate_logs(stage.uid)
            await stage.until_exited(container_id)
            assert log.stat().st_size > FULL

    monkeypatch.setattr(log_files, "rotate", rotate_and_end)
    with no_leaks():
        asyncio.run(story())


def test_a_log_that_an_agent_has_renamed_before_it_ended_goes_on_under_its_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            log = Path((await stage.instance(await stage.start(TICKS))).log_path)

            async def has_spoken() -> bool:
                return log.exists() and log.stat().st_size > 0

            await until_so(has_spoken)
            log_files.rotate(log, 5)
            await stage.runtime.rotate_logs(stage.uid)
            await until_so(has_spoken)

    with no_leaks():
        asyncio.run(story())
