"""Waiting for what a server does in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(check: Callable[[], Any]) -> None:
    """Until it is so. Nothing is asked of the server meanwhile: that would be work of its own to be seen."""
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline, f"still not so: {check}"
        time.sleep(0.01)
