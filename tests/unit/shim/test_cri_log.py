"""The CRI log format, byte by byte (kubelet-behaviour 11.1)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.shim.cri_log import LINE_LIMIT, CriLog, format_time

NOW = 1_700_000_000_123_456_789
STAMP = "2023-11-14T22:13:20.123456789Z"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CriLog]:
    opened = CriLog(str(tmp_path / "0.log"))
    yield opened
    opened.close()


def lines(tmp_path: Path) -> list[str]:
    return (tmp_path / "0.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param([b"one\ntwo\n"], ["F one", "F two"], id="whole lines"),
        pytest.param([b"o", b"ne", b"\ntw", b"o\n"], ["F one", "F two"], id="lines in pieces"),
        pytest.param([b"\n\n"], ["F ", "F "], id="empty lines"),
        pytest.param([b"no end"], ["P no end"], id="no newline at the end"),
        pytest.param([b""], [], id="nothing"),
        pytest.param([b"a\r\n\xff\n"], ["F a\r", "F \udcff"], id="bytes as they are"),
        pytest.param([b"x" * LINE_LIMIT + b"\n"], ["F " + "x" * LINE_LIMIT], id="exactly the limit"),
        pytest.param([b"x" * (LINE_LIMIT + 1) + b"\n"], ["P " + "x" * LINE_LIMIT, "F x"], id="one more"),
        pytest.param(
            [b"x" * LINE_LIMIT, b"\n"], ["F " + "x" * LINE_LIMIT], id="the limit, its newline later"
        ),
        pytest.param(
            [b"x" * (2 * LINE_LIMIT), b"yz"],
            ["P " + "x" * LINE_LIMIT, "P " + "x" * LINE_LIMIT, "P yz"],
            id="long, and no newline at the end",
        ),
    ],
)
def test_lines_are_tagged_and_cut(
    log: CriLog, tmp_path: Path, written: list[bytes], expected: list[str]
) -> None:
    for data in written:
        log.write("stdout", data, NOW)
    log.finish(NOW)
    text = (tmp_path / "0.log").read_bytes().decode(errors="surrogateescape")
    assert text == "".join(f"{STAMP} stdout {line}\n" for line in expected)


def test_the_streams_do_not_mix_within_a_line(log: CriLog, tmp_path: Path) -> None:
    log.write("stdout", b"out", NOW)
    log.write("stderr", b"err\n", NOW)
    log.write("stdout", b"put\n", NOW)
    assert lines(tmp_path) == [f"{STAMP} stderr F err", f"{STAMP} stdout F output"]


def test_reopen_goes_on_in_a_new_file_even_within_a_line(log: CriLog, tmp_path: Path) -> None:
    log.write("stdout", b"first\nsec", NOW)
    os.rename(tmp_path / "0.log", tmp_path / "old")
    log.reopen()
    log.write("stdout", b"ond\n", NOW)
    assert lines(tmp_path) == [f"{STAMP} stdout F second"]
    assert (tmp_path / "old").read_text() == f"{STAMP} stdout F first\n"


def test_a_full_disk_never_leaves_half_a_line(
    log: CriLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes a part, then nothing, then there is space again."""
    real, room = os.write, [70, 0, 1000]

    def write(fd: int, data: bytes) -> int:
        size = room.pop(0)
        if size == 0:
            raise OSError(28, "No space left on device")
        return real(fd, data[:size])

    with monkeypatch.context() as patch:
        patch.setattr("minikubelet.shim.cri_log.os.write", write)
        log.write("stdout", b"one\ntwo\nthree\n", NOW)
        log.write("stdout", b"lost\n", NOW)
        log.write("stdout", b"again\n", NOW)
    assert lines(tmp_path) == [f"{STAMP} stdout F one", f"{STAMP} stdout F two", f"{STAMP} stdout F again"]


@pytest.mark.parametrize(
    ("zone", "nanoseconds", "expected"),
    [
        pytest.param("UTC", NOW, STAMP, id="UTC is Z"),
        pytest.param(
            "UTC", 1_700_000_000_120_000_000, "2023-11-14T22:13:20.12Z", id="zeros at the end are dropped"
        ),
        pytest.param(
            "UTC", 1_700_000_000_000_000_000, "2023-11-14T22:13:20Z", id="a whole second has no fraction"
        ),
        pytest.param("<+0530>-5:30", NOW, "2023-11-15T03:43:20.123456789+05:30", id="east"),
        pytest.param("<-0330>3:30", NOW, "2023-11-14T18:43:20.123456789-03:30", id="west"),
    ],
)
def test_times_are_rfc_3339_nano(
    zone: str, nanoseconds: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    format_time(0)  # another second, so that nothing is remembered
    assert format_time(nanoseconds) == expected


def test_the_file_is_made_for_its_owner_and_group(log: CriLog, tmp_path: Path) -> None:
    assert (tmp_path / "0.log").stat().st_mode & 0o777 == 0o640 & ~umask()


def umask() -> int:
    return int(re.search(r"Umask:\s+(\d+)", Path("/proc/self/status").read_text())[1], 8)  # type: ignore[index]
