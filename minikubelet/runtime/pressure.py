"""What a container suffers from, in one line: CPU throttling and pressure stall information.

For the Event of a probe that failed (`v1.probe_options`): was the program sick, or only starved? The figures
are the kernel's own (cgroup-v2 documentation: cpu.stat, *.pressure); those the node has not are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

RESOURCES = ("cpu", "memory", "io")

_AVERAGE = re.compile(r"^(some|full) avg10=([0-9.]+)", re.MULTILINE)


def pressure(cgroup: Path) -> str:
    """`cpu throttled 37/52 periods, 1.234s; cpu some 23.10%; memory some 0.00% full 0.00%`, or nothing.

    Throttling counts since the container started; stalls are shares of the last ten seconds.
    """
    parts = [_throttling(_text(cgroup / "cpu.stat"))]
    parts += [_stalls(resource, _text(cgroup / f"{resource}.pressure")) for resource in RESOURCES]
    return "; ".join(filter(None, parts))


def _throttling(cpu_stat: str) -> str:
    """Empty without a limit: then no period was counted."""
    numbers = {name: int(value) for name, value in (line.split() for line in cpu_stat.splitlines())}
    periods = numbers.get("nr_periods", 0)
    if not periods:
        return ""
    seconds = numbers.get("throttled_usec", 0) / 1e6
    return f"cpu throttled {numbers.get('nr_throttled', 0)}/{periods} periods, {seconds:.3f}s"


def _stalls(resource: str, text: str) -> str:
    found = [f"{kind} {average}%" for kind, average in _AVERAGE.findall(text)]
    if resource == "cpu":
        found = found[:1]  # `full` says nothing of a CPU
    return f"{resource} {' '.join(found)}" if found else ""


def _text(path: Path) -> str:
    """Empty where the kernel has no such file, or keeps no such figures (psi=0), or the container is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""
