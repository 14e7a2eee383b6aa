"""3.9: what /metrics/probes says."""

from __future__ import annotations

from minikubelet.agent.probe_metrics import ProbeMetrics, Series
from minikubelet.agent.probe_state import ProbeKind
from minikubelet.agent.probes.outcome import error, failure, success, warning

SERIES = Series("default", "web", "u1", "main", ProbeKind.LIVENESS)
LABELS = 'container="main",namespace="default",pod="web",pod_uid="u1",probe_type="Liveness"'
OF_DURATION = 'container="main",namespace="default",pod="web",probe_type="Liveness"'


def lines(metrics: ProbeMetrics) -> list[str]:
    return [line for line in metrics.text().splitlines() if not line.startswith("#")]


def test_3_9_checks_are_counted_by_result_and_errors_nowhere():
    metrics = ProbeMetrics()
    for outcome in (success(), warning("moved"), failure("sick"), error("cannot"), success()):
        metrics.count(SERIES, outcome, 0.02)
    assert f'prober_probe_total{{{LABELS},result="successful"}} 3' in lines(metrics)
    assert f'prober_probe_total{{{LABELS},result="failed"}} 1' in lines(metrics)
    assert len([line for line in lines(metrics) if line.startswith("prober_probe_total")]) == 2


def test_3_9_durations_are_those_of_successes():
    metrics = ProbeMetrics()
    for outcome, seconds in ((success(), 0.005), (success(), 0.3), (success(), 60), (failure("x"), 1)):
        metrics.count(SERIES, outcome, seconds)
    name = "prober_probe_duration_seconds"
    found = [line for line in lines(metrics) if line.startswith(name)]
    assert f'{name}_bucket{{{OF_DURATION},le="0.005"}} 1' in found
    assert f'{name}_bucket{{{OF_DURATION},le="0.5"}} 2' in found
    assert f'{name}_bucket{{{OF_DURATION},le="10"}} 2' in found
    assert f'{name}_bucket{{{OF_DURATION},le="+Inf"}} 3' in found
    assert found[-2:] == [f"{name}_sum{{{OF_DURATION}}} 60.305", f"{name}_count{{{OF_DURATION}}} 3"]


def test_3_9_a_probe_that_is_gone_leaves_nothing():
    metrics = ProbeMetrics()
    metrics.count(SERIES, success(), 1)
    metrics.forget(SERIES)
    metrics.forget(SERIES)
    assert lines(metrics) == []


def test_3_9_an_errored_check_makes_no_series():
    metrics = ProbeMetrics()
    metrics.count(SERIES, error("cannot"), 1)
    assert lines(metrics) == []
