"""Tasks that an agent cannot be without.

One that fails is a bug, and ends the agent, so that somebody starts it anew: containers survive that, and a
fresh agent looks at everything again. `failed` has their names, for the agent's exit code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

log = logging.getLogger(__name__)

failed: list[str] = []


def end_agent_on_failure(task: asyncio.Task[None]) -> None:
    """For `Task.add_done_callback`. A task that is cancelled or done has not failed."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("the task %s failed", task.get_name(), exc_info=task.exception())
        failed.append(task.get_name())
        os.kill(os.getpid(), signal.SIGTERM)
