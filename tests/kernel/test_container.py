"""Containers as they see themselves: what a small program inside finds, read from its log."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from minikubelet.linux import syscalls
from minikubelet.shim import sandbox
from minikubelet.shim.protocol import MountSpec
from tests.kernel.shims import Node, until

IDENTITY = (
    "for n in net ipc uts mnt pid cgroup; do stat -L -c $n=%i /proc/self/ns/$n; done; hostname; sleep 100"
)


def facts(text: str) -> dict[str, str]:
    """Lines of key=value."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_containers_of_a_pod_share_network_ipc_and_uts_and_nothing_else(node: Node) -> None:
    pod = node.pod(hostname="shared-name")
    first, second = pod.start("sh", "-c", IDENTITY), pod.start("sh", "-c", IDENTITY)
    for container in (first, second):
        container.wait_output("shared-name\n")
    one, two = facts(first.output()), facts(second.output())
    assert {name for name in one if one[name] == two[name]} == {"net", "ipc", "uts"}
    for name in one:
        assert int(one[name]) != os.stat(f"/proc/self/ns/{name}").st_ino


def test_a_container_is_process_one_with_three_descriptors_and_an_empty_neighbourhood(node: Node) -> None:
    pod = node.pod()
    said = pod.run(
        "/usr/bin/python3",
        "-c",
        "import os; print(os.getpid(), os.getsid(0), sorted(os.listdir('/proc/self/fd')))",
    )
    assert said == "1 1 ['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_the_exit_code_of_process_one_and_its_end_are_recorded_and_told(node: Node) -> None:
    pod = node.pod()
    container = pod.start("sh", "-c", "exit 7")
    event = pod.wait_event(container.id)
    record = container.record()
    assert (record.state, record.exit_code, record.error) == ("stopped", 7, "")
    assert 0 < record.created_at <= record.started_at <= record.finished_at
    assert event == {"event": "container_died", "container": event["container"]}
    assert event["container"]["exit_code"] == 7


def test_death_by_a_signal_is_128_and_the_signal(node: Node) -> None:
    container = node.pod().start("/usr/bin/python3", "-c", "import ctypes; ctypes.string_at(0)")
    assert container.ended().exit_code == 128 + signal.SIGSEGV


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        pytest.param(["nosuch"], 'exec: "nosuch": executable file not found in $PATH', id="not in PATH"),
        pytest.param(
            ["/nosuch"], 'exec: "/nosuch": stat /nosuch: no such file or directory', id="no such file"
        ),
        pytest.param(["/etc/passwd"], 'exec: "/etc/passwd": permission denied', id="not executable"),
        pytest.param(["/etc"], 'exec: "/etc": is a directory', id="directory"),
        pytest.param(
            ["/etc/passwd/x"], 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory', id="below a file"
        ),
    ],
)
def test_a_program_that_cannot_be_found_is_reported_in_runcs_words(
    node: Node, argv: list[str], error: str
) -> None:
    pod = node.pod()
    record = pod.start(*argv).first
    assert (record.state, record.exit_code, record.error) == ("stopped", 128, error)
    assert record.started_at == 0
    assert record.finished_at > 0


def test_a_file_that_is_no_program_is_an_exec_format_error(node: Node) -> None:
    image = node.image(**{"bin/text": "no program\n"})
    (image / "bin/text").chmod(0o755)
    assert node.pod().start(
        "text", image=image
    ).first.error == "exec /usr/local/sbin/text: exec format error".replace("/usr/local/sbin", "/bin")


def test_dev_has_what_a_program_expects_and_no_more(node: Node) -> None:
    script = (
        "cd /dev; ls; for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' $d; done;"
        "readlink fd ptmx; head -c 3 zero | wc -c; echo x > null; echo x > full || echo full is full"
    )
    said = node.pod().sh(script)
    assert said.split("null character")[0].split() == sorted(
        [
            "core",
            "fd",
            "full",
            "mqueue",
            "null",
            "ptmx",
            "pts",
            "random",
            "shm",
            "stderr",
            "stdin",
            "stdout",
            "tty",
            "urandom",
            "zero",
        ]
    )
    assert "null character special file 1:3 666" in said
    assert "/proc/self/fd\npts/ptmx\n3\n" in said
    assert "full is full" in said


def test_shared_memory_belongs_to_the_pod_and_has_its_size(node: Node) -> None:
    pod = node.pod(shm_size=1 << 20)
    pod.sh("echo hello > /dev/shm/greeting")
    assert pod.sh("cat /dev/shm/greeting; df -k /dev/shm | tail -1 | awk '{print $2}'") == "hello\n1024\n"
    assert node.pod().sh("ls /dev/shm") == ""


def test_sysv_and_posix_ipc_reach_from_container_to_container_but_not_out_of_the_pod(node: Node) -> None:
    pod = node.pod()
    pod.sh("ipcmk -Q >/dev/null; touch /dev/mqueue/queue")
    assert pod.sh("ipcs -q | grep -c 0x; ls /dev/mqueue") == "1\nqueue\n"
    assert node.pod().sh("ipcs -q | grep -c 0x; ls /dev/mqueue; true") == "0\n"


def test_proc_and_sys_are_masked_and_read_only(node: Node) -> None:
    said = node.pod().sh(
        "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_seqnum; do"
        " { echo x > $f; } 2>&1 | grep -o 'Read-only file system'; done;"
        " for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && wc -c < $f; done;"
        " ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | wc -w"
    )
    lines = said.splitlines()
    assert lines.count("Read-only file system") >= 2
    assert set(lines) == {"Read-only file system", "0"}


def test_the_cgroup_is_seen_as_the_root_and_read_only(node: Node) -> None:
    said = node.pod().sh(
        "grep ^0:: /proc/self/cgroup; head -1 /sys/fs/cgroup/cgroup.procs;"
        "mkdir /sys/fs/cgroup/x 2>&1 | grep -o Read-only.*"
    )
    assert said == "0::/\n1\nRead-only file system\n"


def test_it_cannot_leave_its_cgroup_by_any_door(node: Node) -> None:
    said = node.pod().sh(
        "mount -t cgroup2 none /mnt 2>&1; mount -o remount,rw /sys/fs/cgroup 2>&1; unshare -m true 2>&1;"
        "echo 1 > /sys/fs/cgroup/../cgroup/cgroup.procs; true"
    )
    assert said.count("denied") + said.count("not permitted") >= 3
    assert "Read-only" in said


def test_default_capabilities_and_nothing_inherited(node: Node) -> None:
    said = node.pod().sh("grep -E 'Cap|NoNewPrivs' /proc/self/status")
    assert facts(said.replace(":\t", "="))["CapInh"] == "0" * 16
    caps = facts(said.replace(":\t", "="))
    assert caps["CapBnd"] == caps["CapPrm"] == caps["CapEff"] == "00000000a80425fb"
    assert caps["CapAmb"] == "0" * 16
    assert caps["NoNewPrivs"] == "0"


def test_an_ordinary_user_has_its_groups_and_no_capabilities(node: Node) -> None:
    said = node.pod().sh(
        "id -u; id -g; id -G; grep -E 'CapPrm|CapEff|NoNewPrivs' /proc/self/status;"
        "echo again > /dev/stdout; umask",
        uid=1000, gid=2000, groups=[3000], no_new_privileges=True,
    )  # fmt: skip
    lines = said.replace("\t", "").splitlines()
    assert lines[:3] == ["1000", "2000", "2000 3000"]
    assert lines[3:6] == [f"CapPrm:{'0' * 16}", f"CapEff:{'0' * 16}", "NoNewPrivs:1"]
    assert lines[6:] == ["again", "0022"]


def test_signals_and_environment_are_the_default_and_the_specs(node: Node) -> None:
    said = node.pod().sh(
        "grep -E 'SigBlk|SigIgn' /proc/self/status; env | grep -v -E '^(PWD|SHLVL|_)='",
        env=["PATH=/bin:/usr/bin", "A=1=2", "B="],
    )
    assert sorted(said.replace("\t", "").splitlines()) == [
        "A=1=2", "B=", "PATH=/bin:/usr/bin", f"SigBlk:{'0' * 16}", f"SigIgn:{'0' * 16}",
    ]  # fmt: skip


def test_a_missing_working_directory_is_made(node: Node) -> None:
    assert node.pod().sh("pwd", cwd="/not/yet/there") == "/not/yet/there\n"


@pytest.mark.parametrize("number", [3, 5, 7, 11, 20, 63])
def test_a_working_directory_on_a_descriptor_is_refused(node: Node, number: int) -> None:
    record = node.pod().start("sh", "-c", "pwd", cwd=f"/proc/self/fd/{number}").first
    assert record.state == "stopped"
    assert "working directory" in record.error


def test_mounts_appear_with_their_options_and_their_destinations_are_made(node: Node, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("from the node\n")
    mounts = [
        MountSpec("bind", "/data/deep", str(tmp_path / "data"), ["rbind", "ro"]),
        MountSpec("bind", "/etc/one-file", str(tmp_path / "data/file"), ["bind"]),
        MountSpec("tmpfs", "/scratch", options=["size=1m", "mode=700"]),
    ]
    said = node.pod().sh(
        "cat /data/deep/file /etc/one-file; touch /data/deep/x 2>&1 | grep -o Read-only.*;"
        "df -k /scratch | tail -1 | awk '{print $2}'; stat -c %a /scratch; echo changed > /etc/one-file",
        mounts=mounts,
    )
    assert said == "from the node\nfrom the node\nRead-only file system\n1024\n700\n"
    assert (tmp_path / "data/file").read_text() == "changed\n"
    assert not os.path.exists("/scratch")


def test_a_read_only_root_leaves_volumes_writable(node: Node, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    mounts = [MountSpec("bind", "/volume", str(tmp_path / "volume"))]
    said = node.pod().sh(
        "touch /x 2>&1 | grep -o Read-only.*; touch /volume/x /dev/shm/x && echo ok",
        mounts=mounts,
        readonly=True,
    )
    assert said == "Read-only file system\nok\n"


def test_a_mount_replaces_the_usual_one_at_its_place(node: Node, tmp_path: Path) -> None:
    (tmp_path / "shm").mkdir()
    (tmp_path / "shm/mine").touch()
    assert (
        node.pod().sh("ls /dev/shm", mounts=[MountSpec("bind", "/dev/shm", str(tmp_path / "shm"))])
        == "mine\n"
    )


def test_what_it_writes_stays_in_its_layer(node: Node) -> None:
    pod = node.pod()
    pod.sh("echo mine > /etc/hostname; rm -rf /opt; mkdir /new")
    assert not Path("/new").exists()
    assert pod.sh("ls -d /new 2>/dev/null | wc -l") == "0\n"


def test_a_link_in_the_image_does_not_lead_a_mount_out(node: Node, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").touch()
    image = node.image()
    (image / "link").symlink_to(tmp_path / "secret")
    mounts = [MountSpec("bind", "/link/inside", str(tmp_path / "volume"))]
    assert node.pod().sh("ls /link/inside", image=image, mounts=mounts) == "file\n"
    assert list((tmp_path / "secret").iterdir()) == []


def test_dev_null_of_the_image_is_no_trap(node: Node) -> None:
    """CVE-2025-31133: masking binds /dev/null; if the image made it a link, its target became writable."""
    image = node.image()
    (image / "dev").mkdir()
    (image / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    said = node.pod().sh(
        "stat -c %F /dev/null; echo x > /dev/null;echo x > /proc/sys/kernel/core_pattern || echo refused",
        image=image,
    )
    assert said.startswith("character special file\n")
    assert "refused\n" in said
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_an_image_whose_system_directories_are_links_is_refused(node: Node, name: str) -> None:
    """CVE-2019-19921: what is written below /proc must be the kernel's."""
    image = node.image()
    (image / "fake").mkdir()
    (image / name).symlink_to("fake")
    record = node.pod().start("sh", "-c", "true", image=image).first
    assert record.error
    assert "symbolic links" in record.error


def test_a_fake_proc_in_the_image_is_covered(node: Node) -> None:
    image = node.image()
    (image / "proc/self").mkdir(parents=True)
    (image / "proc/self/oom_score_adj").write_text("0\n")
    node.pod().sh("test -d /proc/1", image=image)
    assert (image / "proc/self/oom_score_adj").read_text() == "0\n"


def test_the_state_of_a_container_is_nobody_elses_business(node: Node) -> None:
    pod = node.pod()
    pod.sh("true")
    for path in pod.directory.iterdir():
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_a_shared_process_namespace_has_one_init_that_reaps_and_hides_the_node(node: Node) -> None:
    pod = node.pod(share_process_namespace=True)
    first = pod.start("sleep", "1000")
    assert first.first.state == "running"
    said = pod.sh(
        "cat /proc/1/comm; ls /proc/1/root/ 2>&1 | tail -1; readlink /proc/1/exe; sh -c 'sleep 0.01 &'"
    )
    assert said.startswith("mk-init\n")
    assert "denied" in said
    init = next(pid for pid in children(pod.pid) if Path(f"/proc/{pid}/comm").read_text() == "mk-init\n")
    until(lambda: not children(init), what="the orphan is reaped")


def test_process_one_of_a_pod_reaps_who_ended_before_it_was_ready() -> None:
    """It was just born, and held up, when a container of the pod left a process behind."""
    shim = os.pidfd_open(os.getpid())
    init, pidfd = syscalls.clone3(syscalls.CLONE_NEWPID)
    if init == 0:
        try:
            orphan = os.fork()
            if orphan == 0:
                os._exit(0)
            os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
            sandbox._be_init(shim, -1, None)
        finally:
            os._exit(1)
    try:
        until(lambda: Path(f"/proc/{init}/comm").read_text() == "mk-init\n" and not children(init))
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        os.close(shim)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_end_of_process_one_is_the_end_of_all_in_its_cgroup(node: Node) -> None:
    pod = node.pod(share_process_namespace=True)
    container = pod.start("sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & sleep 0.1; exit 4")
    assert container.ended().exit_code == 4
    assert (Path(container.spec.cgroup) / "cgroup.procs").read_text() == ""


DEVICES = """
mknod /disk b 254 0; mknod /mem c 1 1; mknod /some c 240 7; mknod /zero c 1 5
for node in disk mem some; do dd if=/$node bs=1 count=1 2>&1 | grep -o 'Operation not permitted'; done
head -c 4 /zero | wc -c
"""


def test_devices_of_the_node_cannot_be_opened(node: Node) -> None:
    """A26: mknod is allowed to root, as in every runtime; opening is judged by the cgroup's device policy."""
    pod = node.pod()
    refused = "Operation not permitted\n" * 3 + "4\n"
    assert pod.sh(DEVICES) == refused
    container = pod.start("sleep", "1000")
    assert container.exec("sh", "-c", DEVICES)[1] == refused
    said = pod.sh("mknod /some c 240 7; dd if=/some 2>&1 || true", privileged=True)
    assert "No such device or address" in said
