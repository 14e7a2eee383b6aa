"""What the status of a pod says after the node was rebooted under it (kubelet-behaviour 14.1). Pure.

The records of the shims lie on a tmpfs and are gone with everything that ran. What is left is the status in
the API, and it still calls containers running. They are given the end that a runtime gives to what it lost,
exit code 255 with reason Unknown; from there on every pod goes its usual way: a new sandbox, all init
containers, restart counts that go on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

LOST_EXIT_CODE, LOST_REASON = 255, "Unknown"


def after_reboot(status: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The status with every running container ended."""
    changed = dict(status)
    for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        if field in status:
            changed[field] = [_lost(container, now) for container in status[field]]
    return changed


def _lost(container: dict[str, Any], now: datetime) -> dict[str, Any]:
    running = (container.get("state") or {}).get("running")
    if running is None:
        return container
    ended = {
        "containerID": container.get("containerID", ""),
        "exitCode": LOST_EXIT_CODE,
        "finishedAt": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": LOST_REASON,
        "startedAt": running.get("startedAt"),
    }
    return container | {"state": {"terminated": ended}, "ready": False, "started": False}
