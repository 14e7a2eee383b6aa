"""Times as kubectl shows them: `5s`, `3m20s`, `2d4h`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def parse(stamp: str) -> datetime:
    """An API time: RFC 3339, with or without fractions of a second."""
    return datetime.fromisoformat(stamp)


def human(seconds: float) -> str:
    """apimachinery's HumanDuration: two significant units at most, zero parts dropped."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    minutes, hours, days = s // 60, s // 3600, s // 86400
    years = days // 365
    if s < 120:
        return f"{s}s"
    if minutes < 10:
        return _two(minutes, "m", s % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if years < 2:
        return f"{days}d"
    if years < 8:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def since(stamp: Any, now: datetime | None = None) -> str:
    """The age of an API time; `<unknown>` without one."""
    if not stamp:
        return "<unknown>"
    return human(((now or datetime.now(UTC)) - parse(str(stamp))).total_seconds())


def long_form(stamp: Any) -> str:
    """`Mon, 02 Jan 2006 15:04:05 +0000`, as in describe (in the local zone)."""
    if not stamp:  # the beginning of Go's time
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    return parse(str(stamp)).astimezone().strftime("%a, %d %b %Y %H:%M:%S %z")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
