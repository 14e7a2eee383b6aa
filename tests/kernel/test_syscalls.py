"""The system call wrappers against the kernel: the effect on success, errno and path on failure."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minikubelet.linux import capabilities, cgroup, namespaces, paths, processes, syscalls
from minikubelet.runtime.volumes import host_path
from minikubelet.v1 import HostPathVolumeSource


def in_child(story: Callable[[], None], flags: int = 0) -> int:
    """Run a function in a clone of this process; its exit code: 0, or 1 if it raised."""
    pid, pidfd = syscalls.clone3(flags)
    if pid == 0:
        code = 1
        try:
            story()
            code = 0
        finally:
            os._exit(code)
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert ended is not None
    assert ended.si_pid == pid
    return ended.si_status


def test_clone3_gives_a_pidfd_that_names_the_child() -> None:
    read, write = os.pipe()
    pid, pidfd = syscalls.clone3(0)
    if pid == 0:
        os.read(read, 1)
        os._exit(9)
    assert f"Pid:\t{pid}\n" in Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert ended is not None
    assert (ended.si_pid, ended.si_code, ended.si_status) == (pid, os.CLD_KILLED, signal.SIGKILL)
    for fd in (pidfd, read, write):
        os.close(fd)


def test_clone3_into_a_cgroup() -> None:
    path = f"{cgroup.find_mount()}/mk-test-{os.getpid()}"
    cgroup.create(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    read, write = os.pipe()
    pid, pidfd = syscalls.clone3(0, fd)
    if pid == 0:
        os.read(read, 1)
        os._exit(0)
    assert cgroup.processes(path) == [pid]
    assert cgroup.populated(path)
    cgroup.kill(path)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert not cgroup.populated(path)
    cgroup.remove(path)
    assert not cgroup.populated(path)
    assert cgroup.processes(path) == []
    for opened in (fd, pidfd, read, write):
        os.close(opened)


def test_a_cgroup_is_killed_one_by_one_where_the_kernel_cannot_do_it_at_once() -> None:
    path = f"{cgroup.find_mount()}/mk-test-{os.getpid()}"
    cgroup.create(f"{path}/below")
    fd = os.open(f"{path}/below", os.O_RDONLY | os.O_DIRECTORY)
    pid, pidfd = syscalls.clone3(0, fd)
    if pid == 0:
        signal.pause()
        os._exit(0)
    cgroup.kill_one_by_one(path)
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert ended is not None
    assert ended.si_status == signal.SIGKILL
    cgroup.remove(path)
    os.close(pidfd)
    os.close(fd)


def test_a_cgroup_that_is_removed_while_it_is_read_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was opened already says then ENODEV, not ENOENT."""
    path = f"{cgroup.find_mount()}/mk-test-{os.getpid()}"

    def removed_once_opened(*arguments: Any, **keywords: Any) -> Any:
        opened = open(*arguments, **keywords)  # noqa: SIM115
        os.rmdir(path)
        return opened

    monkeypatch.setattr(cgroup, "open", removed_once_opened, raising=False)
    for verb, answer in (
        (cgroup.thaw, None),
        (cgroup.kill, None),
        (cgroup.populated, False),
        (cgroup.processes, []),
    ):
        cgroup.create(path)
        assert verb(path) == answer


@pytest.mark.parametrize("flags", [0, syscalls.CLONE_NEWPID], ids=["a process", "process 1"])
@pytest.mark.parametrize("when", ["before it is said", "later"])
def test_a_process_dies_with_its_parent(flags: int, when: str) -> None:
    alive, held = os.pipe()  # the child holds it as long as it lives
    said, say = os.pipe()

    def parent() -> None:
        pidfd = os.pidfd_open(os.getpid())
        if syscalls.clone3(flags)[0] == 0:
            if when == "before it is said":
                select.select([pidfd], [], [])
            processes.die_with(pidfd)
            os.write(say, b"x")
            signal.pause()
        if when == "later":
            os.read(said, 1)

    assert in_child(parent) == 0
    os.close(held)
    readable, _, _ = select.select([alive], [], [], 10)
    assert readable
    for fd in (alive, said, say):
        os.close(fd)


def test_a_failed_call_says_its_name_and_its_path() -> None:
    root = os.open("/", os.O_PATH)
    with pytest.raises(FileNotFoundError, match=r"openat2: No such file or directory: 'no/such'"):
        syscalls.openat2(root, "no/such", os.O_PATH, 0)
    with pytest.raises(OSError, match="unshare: Invalid argument") as raised:
        syscalls.unshare(1)
    assert raised.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="fsopen: No such device: 'nosuchfs'"):
        syscalls.fsopen("nosuchfs")
    os.close(root)


def test_fsconfig_brings_the_kernels_own_words() -> None:
    context = syscalls.fsopen("tmpfs")
    with pytest.raises(OSError, match="fsconfig nosuch=1: tmpfs: Unknown parameter 'nosuch'"):
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "nosuch", "1")
    os.close(context)


def test_links_do_not_lead_out_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "absolute").symlink_to("/etc")
    (tmp_path / "dots").symlink_to("../../../../etc")
    (tmp_path / "magic").symlink_to("/proc/self/root/etc")
    root = os.open(tmp_path, os.O_PATH)
    for name in ("absolute/passwd", "dots/passwd", "../etc/passwd", "magic/passwd"):
        with pytest.raises(OSError, match="openat2"):
            paths.open_inside(root, name)
    os.close(root)


@pytest.mark.parametrize("path", ["a/b/c", "/a/b/c", "dangling/c", "loop/c"])
def test_missing_directories_are_made_inside(tmp_path: Path, path: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/dangling").symlink_to("/made/by/link")
    (tmp_path / "root/loop").symlink_to("../../loop2")
    (tmp_path / "root/loop2").symlink_to("made2")
    root = os.open(tmp_path / "root", os.O_PATH)
    os.close(paths.open_or_make_directory(root, path))
    os.close(paths.open_or_make_file(root, f"{path}/file"))
    os.close(paths.open_or_make_file(root, f"{path}/file"))
    assert len([file for file in (tmp_path / "root").rglob("file") if file.is_file()]) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]
    os.close(root)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(OSError, match="symbolic links"):
        paths.open_or_make_directory(root, "self/below")
    os.close(root)


def test_a_file_that_only_looks_like_procfs_is_not_written(tmp_path: Path) -> None:
    fake = tmp_path / "oom_score_adj"
    fake.write_text("0")
    with pytest.raises(PermissionError, match="not the kernel's own file system"):
        paths.write_kernel_file(str(fake), "1000", syscalls.PROC_SUPER_MAGIC)
    assert fake.read_text() == "0"


def test_a_namespace_can_be_entered_and_left() -> None:
    def story() -> None:
        before = os.stat("/proc/self/ns/uts").st_ino
        own = namespaces.open_own(syscalls.CLONE_NEWUTS)
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        other = os.stat("/proc/self/ns/uts").st_ino
        with namespaces.entered(own, syscalls.CLONE_NEWUTS):
            assert os.stat("/proc/self/ns/uts").st_ino == before
        assert os.stat("/proc/self/ns/uts").st_ino == other != before

    assert in_child(story) == 0


def test_capabilities_are_limited_for_good() -> None:
    def story() -> None:
        keep = capabilities.mask(["CHOWN", "CAP_KILL"])
        capabilities.drop_bounding(keep)
        capabilities.limit(keep)
        status = Path("/proc/self/status").read_text()
        for line in ("CapInh:\t0", "CapPrm:\t21", "CapEff:\t21", "CapBnd:\t21", "CapAmb:\t0"):
            name, _, value = line.partition("\t")
            assert f"{name}\t{value:0>16}\n" in status

    assert in_child(story) == 0


def test_close_range_spares_what_is_below(tmp_path: Path) -> None:
    def story() -> None:
        kept, closed = os.open("/", os.O_PATH), os.open("/", os.O_PATH)
        syscalls.close_range(closed)
        os.fstat(kept)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)

    assert in_child(story) == 0


def test_a_process_has_the_name_it_is_given() -> None:
    def story() -> None:
        processes.set_name("a name that is too long")
        assert Path("/proc/self/comm").read_text() == "a name that is \n"

    assert in_child(story) == 0


def test_cgroup2_is_found_wherever_it_is_mounted(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "41 31 0:38 / /sys/fs/cgroup/a\\040b rw shared:1 - cgroup2 cgroup2 rw\n"
    )
    assert cgroup.find_mount(str(mountinfo)) == "/sys/fs/cgroup/a b"
    mountinfo.write_text("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n")
    with pytest.raises(FileNotFoundError, match="no cgroup2 file system is mounted"):
        cgroup.find_mount(str(mountinfo))


def test_what_was_given_up_is_not_held() -> None:
    before = capabilities.held()
    assert "SYS_ADMIN" in before

    def story() -> None:
        capabilities.limit(capabilities.mask(set(before) - {"MKNOD", "SYS_TIME"}))
        capabilities.held.cache_clear()
        assert set(capabilities.held()) == set(before) - {"MKNOD", "SYS_TIME"}

    assert in_child(story) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda root: syscalls.openat2(root, "tmp\0evil", os.O_PATH, 0),
        lambda root: paths.open_or_make_directory(root, "tmp\0evil"),
        lambda root: syscalls.open_tree(root, "tmp\0evil", 0),
        lambda root: syscalls.umount2(b"/nowhere\0evil", 0),
        lambda root: host_path.check(HostPathVolumeSource(path="/tmp\0evil")),
    ],
)
def test_a_path_with_a_null_byte_is_refused_and_not_cut(call: Callable[[int], Any]) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with pytest.raises(OSError, match="Invalid argument") as caught:
            call(root)
    finally:
        os.close(root)
    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename.endswith("\0evil")
