"""The counters behind `/metrics/probes` (kubelet-behaviour 3.9), in the kubelet's names.

`prober_probe_total` counts checks that succeeded or failed, `prober_probe_duration_seconds` how long those
took that succeeded; a check that errored counts nowhere. A worker that ends takes its series along, so what
is kept grows with the probes that exist, never with time. `text` is Prometheus' exposition format.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from .probe_state import ProbeKind
from .probes.outcome import Outcome

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # Prometheus' defaults

TOTAL, DURATION = "prober_probe_total", "prober_probe_duration_seconds"
TOTAL_HELP = "Cumulative number of a liveness, readiness or startup probe for a container by result."
DURATION_HELP = "Duration in seconds for a probe response."


@dataclass(frozen=True, slots=True)
class Series:
    """What one probe worker counts under."""

    namespace: str
    pod: str
    pod_uid: str
    container: str
    kind: ProbeKind

    @property
    def labels(self) -> str:
        """Of the histogram; in alphabetical order, as Prometheus' client prints them."""
        return ",".join(
            f'{name}="{_escaped(value)}"'
            for name, value in (
                ("container", self.container),
                ("namespace", self.namespace),
                ("pod", self.pod),
                ("probe_type", self.kind.value),
            )
        )

    def counter_labels(self, result: str) -> str:
        before, _, kind = self.labels.rpartition(",")
        return f'{before},pod_uid="{_escaped(self.pod_uid)}",{kind},result="{result}"'


@dataclass(slots=True)
class _Counts:
    successful: int = 0
    failed: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))


class ProbeMetrics:
    """All probes of the node."""

    def __init__(self) -> None:
        self._counts: dict[Series, _Counts] = {}

    def count(self, series: Series, outcome: Outcome, seconds: float) -> None:
        if outcome.verdict == "error":
            return
        counts = self._counts.setdefault(series, _Counts())
        if outcome.verdict == "failure":
            counts.failed += 1
            return
        counts.successful += 1
        counts.seconds += seconds
        counts.buckets[bisect_left(BUCKETS, seconds)] += 1

    def forget(self, series: Series) -> None:
        self._counts.pop(series, None)

    def text(self) -> str:
        lines = [
            f"# HELP {DURATION} [ALPHA] {DURATION_HELP}",
            f"# TYPE {DURATION} histogram",
            *(line for series, counts in self._counts.items() for line in _histogram(series, counts)),
            f"# HELP {TOTAL} [BETA] {TOTAL_HELP}",
            f"# TYPE {TOTAL} counter",
            *(line for series, counts in self._counts.items() for line in _counters(series, counts)),
        ]
        return "\n".join(lines) + "\n"


def _histogram(series: Series, counts: _Counts) -> Iterator[str]:
    if not counts.successful:
        return
    labels, below = series.labels, 0
    for limit, number in zip((*map("{:g}".format, BUCKETS), "+Inf"), counts.buckets, strict=True):
        below += number
        yield f'{DURATION}_bucket{{{labels},le="{limit}"}} {below}'
    yield f"{DURATION}_sum{{{labels}}} {counts.seconds:.9g}"
    yield f"{DURATION}_count{{{labels}}} {counts.successful}"


def _counters(series: Series, counts: _Counts) -> Iterator[str]:
    for result, number in (("successful", counts.successful), ("failed", counts.failed)):
        if number:
            yield f"{TOTAL}{{{series.counter_labels(result)}}} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
