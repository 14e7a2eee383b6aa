"""A task that fails ends the agent, with its reason in the log; one that is cancelled does not."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from minikubelet import vital_tasks
from minikubelet.vital_tasks import end_agent_on_failure


@pytest.mark.parametrize("how", ["failed", "cancelled", "done"])
def test_only_a_failure_ends_the_agent(how, monkeypatch, caplog):
    killed = []
    monkeypatch.setattr(vital_tasks, "failed", names := [])
    monkeypatch.setattr(os, "kill", lambda *arguments: killed.append(arguments))

    async def task():
        if how == "failed":
            raise RuntimeError("a bug")
        await asyncio.sleep(0 if how == "done" else 60)

    async def story():
        vital = asyncio.create_task(task(), name="watch the world")
        vital.add_done_callback(end_agent_on_failure)
        await asyncio.sleep(0)
        if how == "cancelled":
            vital.cancel()
        await asyncio.gather(vital, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(story())
    failed = how == "failed"
    assert killed == ([(os.getpid(), signal.SIGTERM)] if failed else [])
    assert names == (["watch the world"] if failed else [])
    assert ("the task watch the world failed" in caplog.text) == failed
