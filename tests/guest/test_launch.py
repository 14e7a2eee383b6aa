"""`./dev guest`, for real: each test boots a kernel. These run where the guest is used, never inside it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DEV = str(CHECKOUT / "dev")


def guest(*argv: str, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [DEV, "guest", *argv],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_of_the_command_is_ours(code: int) -> None:
    assert guest("sh", "-c", f"exit {code}").returncode == code


def test_a_command_killed_by_a_signal_ends_as_a_shell_reports_it() -> None:
    assert guest("sh", "-c", "kill -SEGV $$").returncode == 128 + signal.SIGSEGV


def test_a_command_that_is_not_there_is_127() -> None:
    done = guest("no-such-command")
    assert done.returncode == 127
    assert b"no-such-command" in done.stderr


def test_output_and_errors_arrive_apart_and_byte_by_byte() -> None:
    script = "import os; os.write(1, bytes(range(256)) * 4000); os.write(2, b'e\\n\\r\\0' * 9999)"
    done = guest("/usr/bin/python3", "-c", script)
    assert done.stdout == bytes(range(256)) * 4000
    assert done.stderr == b"e\n\r\0" * 9999


def test_arguments_and_working_directory_arrive_unchanged(tmp_path: Path) -> None:
    place = tmp_path / "a place with spaces"
    place.mkdir()
    (place / "file").write_text("from the host")
    script = 'pwd; cat file; printf "<%s>" "$@"'
    done = guest("sh", "-c", script, "sh", "two words", "$HOME", "it's", "", "*", cwd=place)
    assert done.stdout.decode() == f"{place}\nfrom the host<two words><$HOME><it's><><*>"


def test_what_the_guest_writes_is_gone_except_in_a_share(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    name = f"minikubelet-{uuid.uuid4()}"
    places = [Path("/etc") / name, Path("/var/lib") / name, Path("/tmp") / name, CHECKOUT / name]
    done = guest(
        "--share",
        str(share),
        "sh",
        "-ec",
        'touch "$@"; echo kept >"$0"',
        f"{share}/result",
        *map(str, places),
    )
    assert done.returncode == 0, done.stderr
    assert (share / "result").read_text() == "kept\n"
    assert [place for place in places if place.exists()] == []


def test_a_command_that_takes_too_long_is_killed_and_is_124() -> None:
    done = guest("--timeout", "30", "sh", "-c", "echo begun; sleep 1000")
    assert done.returncode == 124
    assert done.stdout == b"begun\n"
    assert b"30 s are over" in done.stderr


def test_a_guest_that_dies_is_125_and_shows_its_log() -> None:
    done = guest("sh", "-c", "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 1000")
    assert done.returncode == 125
    assert b"sysrq triggered crash" in done.stderr


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGTERM, id="term"),
        pytest.param(signal.SIGKILL, id="kill"),
    ],
)
def test_a_launcher_that_is_ended_takes_its_guest_along(number: signal.Signals) -> None:
    mark = f"minikubelet-{uuid.uuid4()}"
    with subprocess.Popen(
        [DEV, "guest", "sh", "-c", f"echo {mark}; sleep 1000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline().decode().strip() == mark
        kernels = processes_below(launcher.pid)
        assert kernels
        launcher.send_signal(number)
        # End of file: nobody in the guest holds the pipe any more.
        assert launcher.wait(timeout=30) == (-number if number == signal.SIGKILL else 128 + number)
    for pidfd in kernels:
        wait_for_exit(pidfd)


def processes_below(pid: int) -> list[int]:
    """A pidfd for every descendant; those that end while we look are none."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in thread.read_text().split():
                with suppress(ProcessLookupError):
                    found.append(os.pidfd_open(int(child)))
                found += processes_below(int(child))
    return found


def wait_for_exit(pidfd: int) -> None:
    with os.fdopen(pidfd) as process:
        readable, _, _ = select.select([process], [], [], 30)
    assert readable, "a process of the guest is still alive after 30 s"


def test_two_guests_run_side_by_side() -> None:
    with (
        subprocess.Popen([DEV, "guest", "sh", "-c", "exit 3"]) as one,
        subprocess.Popen([DEV, "guest", "true"]) as two,
    ):
        assert (one.wait(timeout=120), two.wait(timeout=120)) == (3, 0)


def test_mounts_are_shared_and_the_network_is_up() -> None:
    done = guest(
        "sh", "-c", "findmnt -no PROPAGATION /; cat /proc/sys/net/ipv4/ip_forward; ip -br link show lo"
    )
    words = done.stdout.decode().split()
    assert words[:2] == ["shared", "1"]
    assert "UP" in done.stdout.decode()
