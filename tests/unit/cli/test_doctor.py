"""Each finding from what a machine might say; and the whole on this machine."""

from __future__ import annotations

import json

import pytest

from minikubelet.cli.commands.doctor import fit
from minikubelet.cli.main import run
from minikubelet.linux import capabilities
from minikubelet.runtime import doctor


@pytest.mark.parametrize(
    ("release", "ok"),
    [("5.14.0", True), ("6.1.0-28-amd64", True), ("10.0.1", True), ("5.13.9", False), ("4.19.0-x", False)],
)
def test_the_kernel_must_have_cgroup_kill(release, ok):
    check = doctor.check_kernel(release)
    assert (check.ok, check.required) == (ok, True)
    assert bool(check.remedy) is not ok


SWAP = "Filename\tType\tSize\tUsed\tPriority\n"


@pytest.mark.parametrize(
    ("release", "swaps", "ok"),
    [
        pytest.param("6.1.0", SWAP, True, id="no swap"),
        pytest.param("6.1.0", f"{SWAP}/dev/vda2 partition 1 0 -2\n", False, id="swap, and no tmpfs without"),
        pytest.param("6.4.0", f"{SWAP}/dev/vda2 partition 1 0 -2\n", True, id="swap, and noswap"),
    ],
)
def test_swap_is_told_of_where_secrets_could_get_into_it(release, swaps, ok):
    check = doctor.check_swap(release, swaps)
    assert (check.ok, check.required) == (ok, False)


def test_missing_capabilities_are_named():
    assert doctor.check_capabilities(capabilities.NAMES).ok
    check = doctor.check_capabilities(set(capabilities.NAMES) - {"SYS_ADMIN", "MKNOD"})
    assert not check.ok
    assert check.detail == "lacks CAP_SYS_ADMIN, CAP_MKNOD"


def test_no_cgroup2_is_fatal_and_says_how_to_mount_it():
    (check,) = doctor.check_cgroups("")
    assert (check.ok, check.required) == (False, True)
    assert "mount -t cgroup2" in check.remedy


def test_missing_controllers_are_no_reason_to_refuse_the_node(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    mount, controllers = doctor.check_cgroups(str(tmp_path))
    assert mount.ok
    assert (controllers.ok, controllers.required) == (False, False)
    assert controllers.detail.startswith("lacks memory, pids")
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    assert all(check.ok for check in doctor.check_cgroups(str(tmp_path)))


@pytest.mark.parametrize(
    ("filesystems", "loadable", "ok"),
    [("nodev\toverlay\n", False, True), ("\text4\n", True, True), ("nodev\toverlayish\n", False, False)],
)
def test_overlay_is_there_or_can_be_loaded(filesystems, loadable, ok):
    assert doctor.check_overlay(filesystems, lambda name: loadable).ok is ok


MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:5 / /var/lib rw - overlay overlay rw
3 1 0:6 / /var/lib/minikubelet rw - xfs /dev/sdb rw
4 1 0:7 / /odd\\040name rw - nfs server:/x rw
"""


@pytest.mark.parametrize(
    ("path", "ok"),
    [("/srv", True), ("/var/lib/x", False), ("/var/lib/minikubelet/images", True), ("/odd name/x", False)],
)
def test_layers_need_a_file_system_that_can_hold_them(path, ok):
    from pathlib import Path

    assert doctor.check_state(Path(path), MOUNTS).ok is ok


def test_what_was_tried_and_failed_is_told_with_its_remedy():
    assert doctor.check_link("veth", "").ok
    check = doctor.check_link("veth", "Operation not supported")
    assert "Operation not supported" in check.detail
    assert "modprobe veth" in check.remedy
    assert doctor.check_nftables(None, "").remedy == "apt install nftables"
    assert not doctor.check_nftables("/usr/sbin/nft", "no masquerade").ok
    assert not doctor.check_inotify(10, 100).ok
    assert not doctor.check_inotify(9999, 1).ok
    assert not doctor.check_mqueue("").ok


def test_every_finding_of_this_machine_has_a_detail_and_a_failing_one_a_remedy():
    for check in doctor.checks():
        assert check.detail, check
        assert check.ok or check.remedy, check


def test_the_exit_code_says_whether_the_node_is_fit(capsys):
    code = run(["doctor", "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    assert {"name", "ok", "detail", "remedy", "required"} == set(found[0])
    assert code == (0 if fit([doctor.Check(**check) for check in found]) else 1)
    assert run(["doctor"]) == code
    assert "This machine can" in capsys.readouterr().out
