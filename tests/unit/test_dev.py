"""What ./dev decides: which kernel, which tests run where, who gets which share, and what came of it."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import conftest
from tests.guest import launch, machine, suite

CHECKOUT = Path(__file__).resolve().parents[2]

HYBRID = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / {} rw,relatime shared:7 - cgroup2 cgroup2 rw
"""


# --- which kernel ---


def a_machine(tmp_path: Path, controllers: str) -> Path:
    mount = tmp_path / "unified"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text(controllers)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(HYBRID.format(mount))
    return mountinfo


def test_a_kernel_with_the_three_controllers_will_do(tmp_path: Path) -> None:
    assert machine.missing(a_machine(tmp_path, "cpuset cpu io memory hugetlb pids\n"), uid=0) == []


def test_a_hybrid_machine_is_told_what_its_cgroup_v2_lacks(tmp_path: Path) -> None:
    reasons = machine.missing(a_machine(tmp_path, "cpuset memory\n"), uid=0)
    assert reasons == [f"cgroup v2 at {tmp_path}/unified lacks cpu, pids"]


def test_a_kernel_is_no_use_to_one_who_is_not_root(tmp_path: Path) -> None:
    assert machine.missing(a_machine(tmp_path, "cpu memory pids\n"), uid=1000) == ["you are not root"]


def test_a_machine_without_cgroup_v2_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
    assert machine.missing(tmp_path / "mountinfo", uid=0) == ["no cgroup2 file system is mounted"]


# --- what the guest is given ---


def test_directories_the_guest_would_hide_are_kept_and_only_once() -> None:
    paths = [
        Path(name)
        for name in ("/tmp/checkout", "/tmp/checkout/tests", "/home/x", "/run/y", "/tmp", "/tmpfoo/z")
    ]
    assert launch.hidden_by_fresh(paths) == [Path("/run/y"), Path("/tmp/checkout")]


def test_the_guest_gets_only_what_steers_tests_from_the_environment() -> None:
    ours = {
        "PATH": "/shims",
        "CI": "true",
        "MK_X": "1",
        "SECRET_TOKEN": "no",
        "PYTHONPATH": "/x",
        "MK_TEST_FACTOR": "9",
    }
    given = launch.guest_environment(ours)
    assert given["PATH"] == launch.PATH
    assert (given["CI"], given["MK_X"], given["MK_GUEST"], given["MK_TEST_FACTOR"]) == ("true", "1", "1", "9")
    assert not {"SECRET_TOKEN", "PYTHONPATH"} & set(given)


@pytest.mark.parametrize(("text", "size"), [("2G", 2 << 30), ("512M", 512 << 20), ("8192k", 8192 << 10)])
def test_memory_sizes_are_read(text: str, size: int) -> None:
    assert launch.size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["2", "G", "2GB", "-1G", "lots"])
def test_other_memory_sizes_are_refused(text: str) -> None:
    with pytest.raises(launch.GuestError, match="cannot read memory size"):
        launch.size_in_bytes(text)


# --- which tests run where ---


def names(rounds: list[list[suite.Job]]) -> list[list[str]]:
    return [[job.name for job in jobs] for jobs in rounds]


NO_LIMITS = ["cgroup v2 lacks cpu"]


@pytest.mark.parametrize(
    ("paths", "missing", "pods_run", "expected"),
    [
        pytest.param([], [], False, [["unit"], ["kernel"]], id="everything natively"),
        pytest.param(
            [], NO_LIMITS, False, [["unit"], ["boot"], ["guest1", "guest2"]], id="everything, two guests"
        ),
        pytest.param(
            [], NO_LIMITS, True, [["unit"], ["boot"], ["kernel", "guest"]], id="only limits in a guest"
        ),
        pytest.param(["tests/unit"], NO_LIMITS, False, [["unit"]], id="unit tests need no guest"),
        pytest.param(["tests"], [], False, [["unit"], ["kernel"]], id="tests is everything"),
        pytest.param(["tests/e2e"], NO_LIMITS, False, [["guest1", "guest2"]], id="a folder is shared out"),
        pytest.param(
            ["tests/kernel/test_this_kernel.py"], NO_LIMITS, False, [["guest"]], id="one file is not"
        ),
        pytest.param(
            ["tests/kernel/test_this_kernel.py::test_every_kind_of_namespace_can_be_made"],
            NO_LIMITS,
            False,
            [["guest"]],
            id="nor is one test",
        ),
        pytest.param(
            ["tests/unit/test_dev.py", "tests/kernel"],
            [],
            False,
            [["unit"], ["kernel"]],
            id="paths are sent where they belong",
        ),
    ],
)
def test_each_test_is_sent_to_the_kernel_it_needs(
    paths: list[str], missing: list[str], pods_run: bool, expected: list[list[str]]
) -> None:
    assert names(suite.plan(paths, [], missing, pods_run)) == expected


def test_no_test_is_left_out_where_limits_have_a_guest_of_their_own() -> None:
    here, guest = suite.plan(["tests/kernel"], [], NO_LIMITS, True)[0]
    assert "--limits=without" in here.command
    assert "guest" not in here.command
    assert "--limits=only" in guest.command
    assert "guest" in guest.command


def test_arguments_are_told_apart_from_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    arguments = ["-k", "tests", "tests/unit", "-x", "tests/unit/test_dev.py::test_x", "--maxfail=2"]
    assert suite.split_arguments(arguments) == (
        ["tests/unit", "tests/unit/test_dev.py::test_x"],
        ["-k", "tests", "-x", "--maxfail=2"],
    )


# --- shares ---


def test_shares_are_disjoint_complete_and_even() -> None:
    weight = {f"tests/e2e/test_{number}.py": float(number) for number in range(1, 20)}
    one, two = conftest.shares(weight, 2)
    assert one | two == set(weight)
    assert not one & two
    assert abs(sum(weight[name] for name in one) - sum(weight[name] for name in two)) <= 2


def test_shares_do_not_depend_on_the_order_of_collection() -> None:
    weight = dict.fromkeys("abcdefg", 1.0)
    assert conftest.shares(weight, 2) == conftest.shares(dict(reversed(weight.items())), 2)


def test_a_file_never_run_before_is_weighed_by_its_number_of_tests() -> None:
    assert conftest.weights(Counter({"tests/e2e/test_new.py": 7})) == {"tests/e2e/test_new.py": 14.0}


# --- what came of it ---

JUNIT = """\
<testsuites><testsuite>
  <testcase file="tests/unit/test_a.py" name="test_good" time="1.5"/>
  <testcase file="tests/unit/test_a.py" name="test_bad[x]" time="0.5">
    <failure message="assert 1 == 2&#10; more"/></testcase>
  <testcase file="tests/unit/test_b.py" name="test_left_out" time="0">
    <skipped message="needs root"/></testcase>
  <testcase file="tests/unit/test_b.py" name="test_unready" time="1"><error message="no bridge"/></testcase>
</testsuite></testsuites>
"""


def test_results_are_counted_and_failures_named(tmp_path: Path) -> None:
    junit = tmp_path / "unit.xml"
    junit.write_text(JUNIT)
    count = suite.count_of(suite.Ended(suite.Job("unit", [], junit), 1, ""))
    assert str(count) == "1 passed, 2 failed, 1 skipped"
    assert count.failures == [
        "tests/unit/test_a.py::test_bad[x] - assert 1 == 2",
        "tests/unit/test_b.py::test_unready - no bridge",
    ]
    assert count.seconds_by_file == {"tests/unit/test_a.py": 2.0, "tests/unit/test_b.py": 1.0}


def test_a_pytest_that_left_no_results_is_a_failure(tmp_path: Path) -> None:
    count = suite.count_of(suite.Ended(suite.Job("guest1", [], tmp_path / "none.xml"), 124, "killed"))
    assert (count.failed, count.failures) == (1, ["guest1 - ended with exit code 124: killed"])


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        pytest.param([0, 0], 0, id="all is well"),
        pytest.param([0, 5], 0, id="a share without tests"),
        pytest.param([5, 5], 5, id="nothing was selected"),
        pytest.param([0, 1, 124], 1, id="the first that is bad"),
    ],
)
def test_one_exit_code_for_all(codes: list[int], code: int) -> None:
    assert suite.exit_code(codes) == code


# --- the service unit ---


def test_the_service_unit_leaves_pods_alone_and_systemd_accepts_it(tmp_path: Path) -> None:
    text = (CHECKOUT / "packaging/minikubelet.service").read_text()
    unit = configparser.RawConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert (service["Type"], service["KillMode"], service["Delegate"]) == ("notify", "process", "yes")
    if shutil.which("systemd-analyze"):
        copy = tmp_path / "minikubelet.service"
        copy.write_text(
            text.replace("/usr/local/bin/minikubelet agent", "/bin/true")
        )  # verify wants to see the program
        done = subprocess.run(
            ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
