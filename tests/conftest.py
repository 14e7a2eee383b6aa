"""What all tests share: which of them need a kernel, what becomes of them where there is none, and their
sharing out.

A test below tests/kernel, tests/e2e and tests/contract needs root; one with the marker `limits` also needs
the cgroup v2 controllers. Where these are not there it is skipped with the reason, natively and by hand. In
CI, and in the guest, such a skip is a failure: there everything must run.

`--shard 1/2` keeps the first of two shares. Files stay whole, as their fixtures are dear, and go, the
heaviest first, to the share that has least; weights are seconds of an earlier run (tests/durations.json),
else a guess.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest import machine
from tests.stock_kubectl import KUBECTLS

HERE = Path(__file__).parent
NEED_ROOT = ("kernel", "e2e", "contract")
GUESSED_SECONDS_PER_TEST = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shard", metavar="I/N", help="run only the I-th of N shares of the test files")
    parser.addoption(
        "--limits", choices=("only", "without"), help="run only the tests that need limits, or all the others"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Ignored where a script started us in its background, and so in all that we start: no Ctrl-C is heard.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.addinivalue_line("markers", "limits: needs the cpu, memory and pids controllers of cgroup v2")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lacking = machine.missing()
    for item in items:
        if folder_of(item) in NEED_ROOT:
            item.add_marker(pytest.mark.kernel)
        if item.get_closest_marker("kernel") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("limits") and lacking:
            item.add_marker(pytest.mark.skip(reason="; ".join(lacking)))
    drop_those_for_newer_kubectls(config, items)
    if limits := config.getoption("--limits"):
        keep(config, items, lambda item: bool(item.get_closest_marker("limits")) is (limits == "only"))
    if share := config.getoption("--shard"):
        keep_share(config, items, *(int(number) for number in share.split("/")))


def drop_those_for_newer_kubectls(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`kubectl(since=27)`: about something that kubectl 1.27 brought. They say nothing of an older one."""
    newest = KUBECTLS[-1].minor if KUBECTLS else 0
    marks = {item: item.get_closest_marker("kubectl") for item in items}
    keep(
        config, items, lambda item: not (mark := marks[item]) or not mark.kwargs.get("since", 0) > newest > 0
    )


def folder_of(item: pytest.Item) -> str:
    """The folder of tests/ an item comes from."""
    return item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""


def keep_share(config: pytest.Config, items: list[pytest.Item], number: int, of: int) -> None:
    files = Counter(str(item.path.relative_to(HERE.parent)) for item in items)
    chosen = shares(weights(files), of)[number - 1]
    keep(config, items, lambda item: str(item.path.relative_to(HERE.parent)) in chosen)


def keep(config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]) -> None:
    kept = [item for item in items if wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = kept


def weights(files: Counter[str]) -> dict[str, float]:
    """Seconds each file takes: recorded by `./dev test --record`, else guessed."""
    recorded = json.loads((HERE / "durations.json").read_text())
    return {name: recorded.get(name, count * GUESSED_SECONDS_PER_TEST) for name, count in files.items()}


def shares(weight: dict[str, float], of: int) -> list[set[str]]:
    """Deal out the heaviest first, each to the lightest share; the same everywhere."""
    dealt: list[set[str]] = [set() for _ in range(of)]
    load = [0.0] * of
    for name in sorted(weight, key=lambda name: (-weight[name], name)):
        lightest = load.index(min(load))
        dealt[lightest].add(name)
        load[lightest] += weight[name]
    return dealt


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Nothing is skipped for lack of a kubectl: `./dev test` brings one."""
    if item.get_closest_marker("kubectl") and not KUBECTLS:
        pytest.fail("there is no kubectl: `./dev test` unpacks one, MK_KUBECTLS names one")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Where everything must run, a skipped test is a failed one: in CI each, in the guest those that need a
    kernel.
    """
    report = yield
    in_ci, in_guest = os.environ.get("CI"), os.environ.get("MK_GUEST")
    must_run = in_ci or (in_guest and item.get_closest_marker("kernel"))
    if report.skipped and must_run and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where everything must run: {report.longrepr}"
    return report
