"""What the agent leaves of its cgroups when it ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.linux import cgroup
from minikubelet.runtime.cgroups import Cgroups

POD = "kubepods/besteffort/pod1"
SHIMS = "minikubelet"


@pytest.fixture
def mount() -> Iterator[Path]:
    path = Path(cgroup.find_mount(), f"mk-test-{os.getpid()}")
    for relative in (POD, SHIMS):
        cgroup.create(str(path / relative))
    yield path
    cgroup.remove(str(path))


def start_process(directory: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "1000"])
    cgroup.write(str(directory), "cgroup.procs", str(process.pid))
    return process


def test_an_ending_shim_is_waited_for_though_a_killed_agent_left_a_pods_directory(mount: Path) -> None:
    async def story() -> None:
        stopping = asyncio.create_task(Cgroups(mount, frozenset()).stop(SHIMS))
        await asyncio.sleep(0)  # it has found it alive
        shim.kill()
        await stopping

    with start_process(mount / SHIMS) as shim:
        asyncio.run(story())
        assert not (mount / SHIMS).exists()
        assert (mount / POD).exists()


def test_the_shims_of_pods_that_run_are_left_alone(mount: Path) -> None:
    with start_process(mount / SHIMS) as shim, start_process(mount / POD) as container:
        try:
            asyncio.run(Cgroups(mount, frozenset()).stop(SHIMS))
            assert cgroup.processes(str(mount / SHIMS)) == [shim.pid]
        finally:
            for process in (shim, container):
                process.kill()
