"""The line about throttling and stalls that a failed probe's Event may carry."""

from __future__ import annotations

from pathlib import Path

from minikubelet.runtime.pressure import pressure

STAT = "usage_usec 5\nuser_usec 3\nnr_periods 52\nnr_throttled 37\nthrottled_usec 1234567\n"
STALL = "some avg10=23.10 avg60=1.00 avg300=0.00 total=7\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=1\n"


def test_throttling_and_stalls_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text(STAT)
    for resource in ("cpu", "memory", "io"):
        (tmp_path / f"{resource}.pressure").write_text(STALL)
    assert pressure(tmp_path) == (
        "cpu throttled 37/52 periods, 1.235s; cpu some 23.10%; "
        "memory some 23.10% full 1.50%; io some 23.10% full 1.50%"
    )


def test_without_a_limit_and_without_psi_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nnr_periods 0\n")
    assert pressure(tmp_path) == ""


def test_a_container_that_is_gone_has_no_figures(tmp_path: Path) -> None:
    assert pressure(tmp_path / "gone") == ""
