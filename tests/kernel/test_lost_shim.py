"""A shim that dies at a bad moment, or is forsaken at one, as the agent's runtime sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from minikubelet.config import Paths
from minikubelet.errors import CreatePodSandboxError
from minikubelet.runtime.service import Service
from minikubelet.shim.protocol import STATE
from tests.contract.test_runtime_service import FACTOR, STAYS, real_stage
from tests.kernel.shims import until
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


def test_a_container_whose_start_was_given_up_ends_with_its_pod(tmp_path: Path) -> None:
    """Who waited for it was cancelled, as a worker is when its agent ends; the shim goes on with it."""

    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            await stage.runtime.run_pod_sandbox(stage.pod, 0)
            container_id = await stage.create(STAYS)
            starting = asyncio.create_task(stage.runtime.start_container(stage.uid, container_id))
            await asyncio.sleep(0)  # the shim has been asked
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await stage.runtime.remove_pod(stage.uid)

    with no_leaks():
        asyncio.run(story())


def test_a_shim_that_was_given_up_before_anybody_knew_of_it_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            service: Any = stage.runtime
            making = asyncio.create_task(service.run_pod_sandbox(stage.pod, 0))
            while not service._zygote._waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            # The loop stands still until the shim is there, its state last: the zygote's answer is not read.
            until((Paths.under(tmp_path).sandbox(stage.uid) / "0" / STATE).exists)
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            await service.remove_pod(stage.uid)

    with no_leaks():
        asyncio.run(story())


def test_a_shim_that_dies_while_it_gets_its_network_is_an_error_of_the_sandbox(tmp_path: Path) -> None:
    async def story() -> None:
        async with real_stage(tmp_path) as stage:
            service: Any = stage.runtime
            attach, lost = service._network.attach, asyncio.Event()

            async def attach_in_vain(uid: str, pid: int, *rest: Any) -> Any:
                network = await attach(uid, pid, *rest)
                os.kill(pid, signal.SIGKILL)
                await asyncio.wait_for(lost.wait(), 30 * FACTOR)
                return network

            def shim_lost(sandbox: Any) -> None:
                Service._shim_lost(service, sandbox)
                lost.set()

            service._network.attach, service._shim_lost = attach_in_vain, shim_lost
            with pytest.raises(CreatePodSandboxError, match=r"the shim in .* is gone"):
                await service.run_pod_sandbox(stage.pod, 0)

    with no_leaks():
        asyncio.run(story())
