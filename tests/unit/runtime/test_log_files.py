"""Rotation and the termination message, on real files (kubelet-behaviour 11.1, 4.8)."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from minikubelet.runtime import log_files
from minikubelet.runtime.termination import termination_message


def test_rotation_keeps_the_newest_plain_and_gzips_the_older(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    (tmp_path / "0.log.20200101-000000").write_text("older")
    log.write_text("newest")
    log_files.rotate(log, 5)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[0] == "0.log.20200101-000000.gz"
    assert gzip.decompress((tmp_path / names[0]).read_bytes()) == b"older"
    assert (tmp_path / names[1]).read_text() == "newest"
    assert len(names) == 2


def test_rotation_keeps_five_files_with_the_current_one(tmp_path: Path) -> None:
    for day in range(1, 7):
        (tmp_path / f"0.log.2020010{day}-000000.gz").write_bytes(b"")
    log = tmp_path / "0.log"
    log.write_text("now")
    log_files.rotate(log, 5)
    log.write_text("the next")
    assert len(list(tmp_path.iterdir())) == 5
    assert not (tmp_path / "0.log.20200101-000000.gz").exists()


def test_a_link_to_a_log_that_is_being_rotated_stays(tmp_path: Path) -> None:
    links, log = tmp_path / "containers", tmp_path / "pod/0.log"
    links.mkdir()
    log.parent.mkdir()
    log.write_text("words")
    for name, target in (("web", log), ("gone", tmp_path / "pod/1.log"), ("lost", tmp_path / "none/0.log")):
        (links / name).symlink_to(target)
    log_files.rotate(log, 5)  # and the writer has not opened the next one yet
    log_files.remove_dangling_links(links)
    assert [path.name for path in links.iterdir()] == ["web"]


def test_only_what_is_larger_than_the_limit_is_full(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    assert not log_files.is_full(log, 10)
    log.write_text("x" * 10)
    assert not log_files.is_full(log, 10)
    log.write_text("x" * 11)
    assert log_files.is_full(log, 10)


def test_of_the_logs_of_removed_instances_the_newest_five_are_kept(tmp_path: Path) -> None:
    for attempt in range(12):
        (tmp_path / f"{attempt}.log").touch()
        (tmp_path / f"{attempt}.log.20200101-000000.gz").touch()
    log_files.remove_oldest(tmp_path)
    assert sorted(int(path.stem) for path in tmp_path.glob("*.log")) == [7, 8, 9, 10, 11]
    assert len(list(tmp_path.iterdir())) == 10


def message(path: Path, policy: str = "File", code: int = 1, log: str = "", runtime: str = "") -> str:
    return termination_message(str(path), policy, exit_code=code, log_path=log, runtime_message=runtime)


def test_the_last_4096_bytes_of_the_file_are_the_message(tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_text("a" + "b" * 4096)
    assert message(file) == "b" * 4096


def test_an_empty_file_falls_back_to_the_log_only_by_policy_and_on_failure(tmp_path: Path) -> None:
    file, log = tmp_path / "message", tmp_path / "0.log"
    file.touch()
    stamp = "2026-11-22T19:05:57.1Z"
    log.write_text(f"{stamp} stdout F one\n{stamp} stderr P tw\n{stamp} stderr F o\n")
    assert message(file, "FallbackToLogsOnError", 1, str(log)) == "one\ntwo\n"
    assert message(file, "FallbackToLogsOnError", 0, str(log)) == ""
    assert message(file, "File", 1, str(log)) == ""


def test_at_most_80_lines_and_2048_bytes_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("".join(f"2026-11-22T19:05:57Z stdout F line {n}\n" for n in range(500)))
    text = message(tmp_path / "none", "FallbackToLogsOnError", 1, str(log))
    assert text.splitlines()[0] == "line 420"
    log.write_text("".join(f"2026-11-22T19:05:57Z stdout F {'x' * 100}\n" for _ in range(80)))
    assert len(message(tmp_path / "none", "FallbackToLogsOnError", 1, str(log))) == 2048


def test_a_hostile_termination_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert message(tmp_path / "link").startswith("Error on reading termination log")
    os.mkfifo(tmp_path / "fifo")
    assert message(tmp_path / "fifo") == ""


def test_the_runtimes_own_message_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_text("mine")
    assert message(file, runtime="theirs") == "theirs: mine"
