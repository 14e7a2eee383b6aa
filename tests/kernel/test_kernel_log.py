"""The kernel's own log: who was killed because the whole node had no memory left."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from minikubelet.runtime.kernel_log import SystemOOM, system_ooms

pytestmark = pytest.mark.limits  # where containers cannot be limited, the kernel's log is seldom readable

FORGED = "oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/,task=forged,pid=1,uid=0"


def test_an_oom_of_the_whole_node_is_heard_and_a_forged_one_is_not() -> None:
    """In the guest, SysRq f has the kernel kill as it does when memory is gone: its victim is a process that
    asked to be the first. Elsewhere nobody is killed, and the line that is written by hand is not believed.
    The defence is the check of the facility in `kernel_log.parse_record`.
    """

    async def story() -> None:
        heard = asyncio.ensure_future(anext(system_ooms()))
        await asyncio.sleep(0)  # it reads from now on
        Path("/dev/kmsg").write_text(f"{FORGED}\n")
        if "MK_GUEST" not in os.environ:
            done, _ = await asyncio.wait([heard], timeout=1)
            assert not done
            heard.cancel()
            return
        victim = await asyncio.create_subprocess_exec("choom", "-n", "1000", "--", "sleep", "infinity")
        try:
            async with asyncio.timeout(60):
                while Path(f"/proc/{victim.pid}/comm").read_text() != "sleep\n":  # noqa: ASYNC110 - its exec
                    await asyncio.sleep(0.01)
                Path("/proc/sysrq-trigger").write_text("f")
                assert await heard == SystemOOM("sleep", victim.pid)
        finally:
            if victim.returncode is None:
                victim.kill()
            await victim.wait()

    asyncio.run(story())
