"""Work in a thread that nobody leaves behind: what an agent has begun is over before it cleans up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """As asyncio.to_thread; but a thread cannot be cancelled, so who is cancelled waits for it first. Else a
    volume would be mounted after the pod's volumes were removed.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **options))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
