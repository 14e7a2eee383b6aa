"""A shim that dies at a bad moment, as the agent's runtime sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from minikubelet.config import Paths
from tests.contract.test_runtime_service import FACTOR, STAYS, real_stage
from tests.leaks import no_leaks


def test_who_waits_for_a_container_to_stop_while_its_shim_dies_hears_that_it_is_over(tmp_path: Path) -> None:
    """With the shim everything was killed: that is what was asked for, and no error."""

    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            container_id = await stage.start(STAYS)
            stopping = asyncio.create_task(stage.runtime.stop_container(stage.uid, container_id, 1000))
            await asyncio.sleep(0)
            state = json.loads((Paths.under(tmp_path).sandbox(stage.uid) / "0/state.json").read_text())
            os.kill(state["pid"], signal.SIGKILL)
            await asyncio.wait_for(stopping, 30 * FACTOR)
            one = await stage.instance(container_id)
            assert (one.state, one.exit_code, one.reason) == ("exited", 255, "Unknown")

    with no_leaks():
        asyncio.run(story())
