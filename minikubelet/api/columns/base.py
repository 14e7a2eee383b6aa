"""What every table is made of: columns, and times as people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

Object = dict[str, Any]
NONE = "<none>"
UNKNOWN = "<unknown>"


class Column(NamedTuple):
    """One column; `priority` 1 is shown with -o wide only."""

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""


class Columns(NamedTuple):
    """The columns of a resource, and the function that makes one row of cells."""

    definitions: tuple[Column, ...]
    cells: Callable[[Object, datetime], list[Any]]


NAME = Column("Name", format="name")
AGE = Column("Age")


def human_duration(seconds: float) -> str:
    """As apimachinery's HumanDuration: at most two units, coarser the longer it is."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m" + _rest(whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + _rest(minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return f"{hours // 24}d" + _rest(hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    years = hours // (24 * 365)
    return f"{years}y" + (_rest(hours // 24 % 365, "d") if years < 8 else "")


def _rest(number: int, unit: str) -> str:
    return f"{number}{unit}" if number else ""


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def since(moment: str | None, now: datetime) -> str:
    """How long ago, as shown."""
    return human_duration((now - parse_time(moment)).total_seconds()) if moment else UNKNOWN


def age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)
