"""`./dev test`: every test on the kernel it needs, and one summary at the end.

    tests/unit                      here, on any kernel
    tests/guest                     here, where the guest is used: they boot it
    tests/kernel, e2e, contract     here, if this machine's kernel has all they need; else
        those with the mark `limits`    in the guest
        all others                      beside it and here, if pods can run here at all; else in two guests

The guest is a slow kernel, so only what needs it goes there; `--guest` sends all kernel tests to it. Two
guests of one processor use two cores better than one guest of two. All other arguments are pytest's: paths
are sent where they belong, options go to every pytest. The results meet in build/test/junit.xml; the last
line printed is the total. Runs in the venv; the guests are started through `./dev guest`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn
from xml.etree import ElementTree

from tests.guest import machine

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "build/test"
DURATIONS = CHECKOUT / "tests/durations.json"
# Of this run alone: it does not stumble over what others left.
TEMPORARY = Path(tempfile.gettempdir(), f"pytest-of-{os.getpid()}")

UNIT = ("unit",)
KERNEL = ("kernel", "e2e", "contract")
BOOT = ("guest",)

GUESTS = 2
IN_GUEST = (
    *(str(CHECKOUT / "dev"), "guest"),
    *("--mem", "3G", "--timeout", "4500", "--share", str(RESULTS), "--"),
)
FACTOR_BESIDE_A_GUEST = "2"  # it takes a processor
GUEST_DIED = 125
NO_TESTS = 5  # pytest's code for "nothing was selected"; in a share of the tests that is no failure
OPTIONS_WITH_VALUE = ("-k", "-m", "-o", "-p", "-c", "-W", "-n", "-r")


@dataclass(frozen=True)
class Job:
    """One pytest and where it runs."""

    name: str
    command: Sequence[str]
    junit: Path


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code, and the last it said, which is why if no test failed."""

    job: Job
    code: int
    last_line: str


@dataclass
class Count:
    """What came of a job's tests, read from the XML its pytest wrote."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    seconds_by_file: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(arguments: Sequence[str]) -> int:
    own = {"--record", "--guest"} & set(arguments)
    paths, options = split_arguments([word for word in arguments if word not in own])
    RESULTS.mkdir(parents=True, exist_ok=True)
    remove(TEMPORARY)  # of a process that had our number before us
    TEMPORARY.mkdir(mode=0o700)
    for old in RESULTS.glob("*.xml"):
        old.unlink()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    began = time.monotonic()
    missing = ["--guest was said"] if "--guest" in own else machine.missing()
    rounds = plan(paths, options, missing, bool(missing) and "--guest" not in own and pods_can_run())
    if {"boot", "guest", "guest1"} & {job.name for jobs in rounds for job in jobs}:
        # Once and here, not by each of two guests.
        subprocess.run([CHECKOUT / "dev", "guest", "--prepare"], check=True)
    ended: list[Ended] = []
    for jobs in rounds:
        ended += run_side_by_side(jobs, prefixed=sum(map(len, rounds)) > 1)
    code = report(ended, time.monotonic() - began, "--record" in own)
    if code:
        say(f"what the tests left is in {TEMPORARY}")
    else:
        remove(TEMPORARY)
    return code


def remove(directory: Path) -> None:
    """Whatever is in it. What is about to end may still write there: then it is not empty at once."""
    limit = time.monotonic() + 30
    while subprocess.run(["rm", "-rf", directory], check=False).returncode and time.monotonic() < limit:
        time.sleep(0.5)
    if directory.exists():
        raise SystemExit(f"test: cannot remove {directory}")


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """pytest's arguments as (paths, options). A path is what exists, up to "::"."""
    paths: list[str] = []
    options: list[str] = []
    for word in arguments:
        is_value = bool(options) and options[-1] in OPTIONS_WITH_VALUE
        is_path = not word.startswith("-") and not is_value and os.path.exists(word.partition("::")[0])
        (paths if is_path else options).append(word)
    return paths, options


def folder(path: str) -> str:
    """The folder of tests/ a path belongs to; "" for tests/ itself."""
    inside = Path(path.partition("::")[0]).resolve().relative_to(CHECKOUT / "tests").parts
    return inside[0] if inside else ""


def pods_can_run() -> bool:
    """On this machine, if without limits: its own doctor knows."""
    doctor = [str(Path(sys.executable).with_name("minikubelet")), "doctor"]
    return subprocess.run(doctor, capture_output=True, check=False).returncode == 0


def plan(
    paths: Sequence[str], options: Sequence[str], missing: Sequence[str], pods_run: bool
) -> list[list[Job]]:
    """Which pytests to run: rounds one after another, the jobs of a round side by side.

    `missing` is what this machine's kernel lacks for all of the tests, `pods_run` that it does for most.
    """
    everything = not paths or "" in map(folder, paths)

    def chosen(folders: Iterable[str]) -> list[str]:
        if everything:
            return [f"tests/{name}" for name in folders if (CHECKOUT / "tests" / name).is_dir()]
        return [path for path in paths if folder(path) in folders]

    unit, kernel, boot = chosen(UNIT), chosen(KERNEL), chosen(BOOT)
    if everything and not missing:
        boot = []  # this machine has no use for the guest
    rounds = [[job("unit", [*options, *unit])]] if unit else []
    if kernel and not missing:
        say("this machine's kernel will do: all tests run on it")
        rounds.append([job("kernel", ["-v", *options, *kernel])])
    elif kernel and pods_run:
        say(f"tests of limits run in the guest: {'; '.join(missing)}")
        beside = ["env", f"MK_TEST_FACTOR={os.environ.get('MK_TEST_FACTOR', FACTOR_BESIDE_A_GUEST)}"]
        rounds.append(
            [
                job("kernel", ["-v", "--limits=without", *options, *kernel], beside),
                job("guest", ["-v", "--limits=only", *options, *kernel], IN_GUEST),
            ]
        )
    elif kernel:
        say(f"kernel tests run in the guest: {'; '.join(missing)}")
        rounds.append(guest_jobs(kernel, options))
    if boot:
        rounds.insert(1 if unit else 0, [job("boot", [*options, *boot])])
    return rounds


def guest_jobs(paths: Sequence[str], options: Sequence[str]) -> list[Job]:
    """Two halves, or one whole when there is but one file."""
    if len(paths) == 1 and not os.path.isdir(paths[0]):
        return [job("guest", ["-v", *options, *paths], IN_GUEST)]
    return [
        job(f"guest{number}", ["-v", f"--shard={number}/{GUESTS}", *options, *paths], IN_GUEST)
        for number in range(1, GUESTS + 1)
    ]


def job(name: str, arguments: Sequence[str], around: Sequence[str] = ()) -> Job:
    """One pytest; `around` is the command that runs it."""
    junit = RESULTS / f"{name}.xml"
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    pytest += [
        "--color=no",
        "--no-header",
        "-o",
        "faulthandler_timeout=300",
        f"--junitxml={junit}",
        *([] if around is IN_GUEST else [f"--basetemp={TEMPORARY / name}"]),
        *arguments,
    ]
    return Job(name, [*around, *pytest], junit)


# --- running ---

_printing = threading.Lock()
_running: set[subprocess.Popen[str]] = set()


def run_side_by_side(jobs: Sequence[Job], prefixed: bool) -> list[Ended]:
    with ThreadPoolExecutor(len(jobs)) as pool:
        try:
            return list(pool.map(lambda each: run_job(each, prefixed), jobs))
        except SystemExit:
            for process in list(_running):
                process.terminate()  # the launcher takes its guest along
            raise


def run_job(job: Job, prefixed: bool) -> Ended:
    """Run it; a guest that died is tried once more, and that is said: it is never normal."""
    ended = stream(job, prefixed)
    if ended.code == GUEST_DIED and "guest" in job.name:
        say(f"{job.name}: THE GUEST DIED (its log is above). Trying once more; please look into it.")
        ended = stream(job, prefixed)
    return ended


def stream(job: Job, prefixed: bool) -> Ended:
    prefix = f"{job.name:7}| " if prefixed else ""
    line = ""
    process = subprocess.Popen(
        job.command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    _running.add(process)
    with process:
        assert process.stdout
        for line in process.stdout:
            with _printing:
                print(prefix + line, end="", flush=True)
    _running.discard(process)
    return Ended(job, process.returncode, line.strip())


def interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def say(text: str) -> None:
    print(f"test: {text}", file=sys.stderr, flush=True)


# --- the summary ---


def report(ended: Sequence[Ended], seconds: float, record: bool) -> int:
    """One summary in pytest's words. Returns the exit code."""
    counts = [count_of(each) for each in ended]
    merge([each.job.junit for each in ended])
    if record:
        write_durations(counts)
    print(" summary ".center(100, "="))
    for each, count in zip(ended, counts, strict=True):
        print("".join(f"FAILED {line}\n" for line in count.failures), end="")
        print(f"{each.job.name:7} {count}")
    total = Count(
        passed=sum(count.passed for count in counts),
        failed=sum(count.failed for count in counts),
        skipped=sum(count.skipped for count in counts),
    )
    print(f"{total} in {seconds:.0f} s", flush=True)
    return exit_code([each.code for each in ended])


def exit_code(codes: Sequence[int]) -> int:
    """The first that is bad; "no tests" is bad only when all say so."""
    bad = [code for code in codes if code not in (0, NO_TESTS)]
    if bad:
        return bad[0]
    return 0 if 0 in codes else NO_TESTS


def count_of(ended: Ended) -> Count:
    count = Count()
    if ended.job.junit.exists():
        for case in ElementTree.parse(ended.job.junit).iter("testcase"):
            add_case(count, case)
    if ended.code not in (0, NO_TESTS) and not count.failed:
        # The tests that did run say nothing of how this ended: killed, broken off, or never begun.
        count.failed += 1
        count.failures.append(f"{ended.job.name} - ended with exit code {ended.code}: {ended.last_line}")
    return count


def add_case(count: Count, case: ElementTree.Element) -> None:
    """A test whose tear-down fails after it failed itself has two entries of one name: it failed once."""
    file = case.get("file", "?")
    count.seconds_by_file[file] = count.seconds_by_file.get(file, 0.0) + float(case.get("time", "0"))
    bad = case.find("failure") if case.find("failure") is not None else case.find("error")
    if bad is not None:
        count.failed += 1
        first_line = (bad.get("message") or "").splitlines()[:1]
        name = "" if bad.get("message") == "collection failure" else f"::{case.get('name')}"
        count.failures.append(f"{file}{name} - {''.join(first_line)[:200]}")
    elif case.find("skipped") is not None:
        count.skipped += 1
    else:
        count.passed += 1


def merge(files: Sequence[Path]) -> None:
    suites = ElementTree.Element("testsuites")
    for file in files:
        if file.exists():
            suites.extend(ElementTree.parse(file).iter("testsuite"))
    ElementTree.ElementTree(suites).write(RESULTS / "junit.xml", encoding="utf-8", xml_declaration=True)


def write_durations(counts: Iterable[Count]) -> None:
    """What conftest shares out by. Only files that need a kernel are shared out."""
    recorded = {
        file: round(seconds, 1)
        for count in counts
        for file, seconds in count.seconds_by_file.items()
        if file.startswith(tuple(f"tests/{name}/" for name in KERNEL))
    }
    DURATIONS.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    say(f"recorded the seconds of {len(recorded)} files in {DURATIONS.relative_to(CHECKOUT)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
