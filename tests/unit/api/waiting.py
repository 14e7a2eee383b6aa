"""Waiting for what a server does in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def wait_for(api: Any, check: Callable[[], Any]) -> None:
    """Until it is so; the server works meanwhile."""
    for _ in range(3000):
        if check():
            return
        api.get("/healthz")
    raise AssertionError(f"still not so: {check}")
