"""The system calls Python lacks, and the only ctypes in the program.

Each wrapper is a few lines: encode, call, check. A failure becomes `OSError` with the name of the call and
the path, in one place (`_checked`). Constants stand beside the call that takes them, under the names the
man pages use.

Calls numbered 424 and above have the same number on every architecture, so no table of machines is needed;
everything older is reached through libc, which knows its own numbers. Calls the standard library already
has (`os.pidfd_open`, `signal.pidfd_send_signal`, `os.waitid` with `P_PIDFD`, `os.mknod` with `dir_fd`) are
used from there.

Used by `linux/` and `shim/`; this file knows nothing about pods.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint32, c_uint64, c_ulong, c_void_p
from typing import Any

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str, path: str | None = None) -> int:
    """The result of a call, or the OSError it means."""
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", path)


def path_bytes(path: str | bytes | os.PathLike[str]) -> bytes:
    """A path as the kernel reads it: to its first null byte. OSError EINVAL where more would follow, which
    ctypes would lose in silence.
    """
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fsdecode(path))
    return encoded


def _system_call(number: int, *types: Any) -> Callable[..., int]:
    """syscall(2) for one number, its prototype included."""
    prototype = ctypes.CFUNCTYPE(c_long, c_long, *types, use_errno=True)
    function = prototype(("syscall", _libc))
    return lambda *arguments: function(number, *arguments)


# Processes

CLONE_FS = 0x0000_0200
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
CLONE_PIDFD = 0x1000
CLONE_INTO_CGROUP = 0x2_0000_0000

_SIGCHLD = 17


class _CloneArguments(ctypes.Structure):
    """`struct clone_args` of <linux/sched.h>."""

    _fields_ = tuple(
        (name, c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
            "set_tid", "set_tid_size", "cgroup",
        )
    )  # fmt: skip


# It returns twice. The child must not find the interpreter lock released by a thread it does not have, so
# this one call goes through PyDLL, which keeps the lock.
_clone3 = ctypes.PyDLL(None, use_errno=True)["syscall"]
_clone3.argtypes = (c_long, c_void_p, c_size_t)
_clone3.restype = c_long


def clone3(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """clone3(2) as fork: (pid, pidfd) in the parent, (0, -1) in the child.

    `cgroup` is a descriptor of the cgroup directory the child is born in. Python's own at-fork handlers do
    not run: the caller has one thread, and the child ends in execve or _exit.
    """
    pidfd = c_int(-1)
    arguments = _CloneArguments(
        flags=flags | CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=_SIGCHLD
    )
    if cgroup >= 0:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup
    pid = _checked(_clone3(435, ctypes.byref(arguments), ctypes.sizeof(arguments)), "clone3")
    return pid, pidfd.value


_libc.unshare.argtypes = (c_int,)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


_libc.setns.argtypes = (c_int, c_int)


def setns(fd: int, flags: int) -> None:
    """setns(2): `fd` is a namespace file, or a pidfd, from which several namespaces are joined at once."""
    _checked(_libc.setns(fd, flags), "setns")


CLOSE_RANGE_CLOEXEC = 4


_close_range = _system_call(436, c_uint, c_uint, c_uint)


def close_range(first: int, last: int = 0xFFFF_FFFF, flags: int = 0) -> None:
    """close_range(2)."""
    _checked(_close_range(first, last, flags), "close_range")


PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECBIT_NO_SETUID_FIXUP = 1 << 2

_libc.prctl.argtypes = (c_int, c_ulong, c_ulong, c_ulong, c_ulong)


def prctl(option: int, argument: int = 0) -> int:
    """prctl(2) with one argument."""
    return _checked(_libc.prctl(option, argument, 0, 0, 0), "prctl")


class _CapabilityHeader(ctypes.Structure):
    """`struct __user_cap_header_struct`, version 3."""

    _fields_ = (("version", c_uint32), ("pid", c_int))


class _CapabilityData(ctypes.Structure):
    """`struct __user_cap_data_struct`: 32 capabilities."""

    _fields_ = (("effective", c_uint32), ("permitted", c_uint32), ("inheritable", c_uint32))


_libc.capset.argtypes = (c_void_p, c_void_p)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of this process; each argument is a 64-bit mask."""
    header = _CapabilityHeader(0x2008_0522, 0)
    words = [
        _CapabilityData(*((mask >> shift) & 0xFFFF_FFFF for mask in (effective, permitted, inheritable)))
        for shift in (0, 32)
    ]
    data = (_CapabilityData * 2)(*words)
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")


class _FilterProgram(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", c_void_p))


SECCOMP_SET_MODE_FILTER = 1

_SECCOMP = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine, -1)  # older than 424, too
_seccomp = _system_call(_SECCOMP, c_uint, c_uint, c_void_p)


def seccomp(program: bytes, flags: int) -> None:
    """seccomp(2): from now on the filter, an array of `struct sock_filter`, judges every system call."""
    instructions = ctypes.create_string_buffer(program, len(program))
    filter_ = _FilterProgram(len(program) // 8, ctypes.addressof(instructions))
    _checked(_seccomp(SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filter_)), "seccomp")


# Paths

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64))


_openat2 = _system_call(437, c_int, c_char_p, c_void_p, c_size_t)


_UNSURE_LIMIT = 1000


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2), always close-on-exec.

    When anything on the machine is renamed or mounted while `..` is resolved, the kernel cannot be sure that
    it stayed inside, says EAGAIN and leaves it to the caller to try again.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_UNSURE_LIMIT):
        result = _openat2(directory, path_bytes(path), ctypes.byref(how), ctypes.sizeof(how))
        if result >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    return _checked(result, "openat2", path)


PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x6265_6572
CGROUP2_SUPER_MAGIC = 0x6367_7270
DEVPTS_SUPER_MAGIC = 0x1CD1
TMPFS_MAGIC = 0x0102_1994


class _FilesystemStatus(ctypes.Structure):
    """`struct statfs`, of which only the first field is looked at."""

    _fields_ = (("f_type", c_long), ("rest", c_long * 31))


_libc.fstatfs.argtypes = (c_int, c_void_p)


def filesystem_type(fd: int) -> int:
    """fstatfs(2): the magic number of the file system `fd` lives on."""
    status = _FilesystemStatus()
    _checked(_libc.fstatfs(fd, ctypes.byref(status)), "fstatfs")
    return int(status.f_type)


# Mounts

MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

OPEN_TREE_CLONE = 1

_open_tree = _system_call(428, c_int, c_char_p, c_uint)


def open_tree(directory: int, path: str, flags: int) -> int:
    """open_tree(2), close-on-exec:

    With OPEN_TREE_CLONE a detached copy of a mount, as `mount --bind` makes.
    """
    return _checked(_open_tree(directory, path_bytes(path), flags | os.O_CLOEXEC), "open_tree", path)


MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

_move_mount = _system_call(429, c_int, c_char_p, c_int, c_char_p, c_uint)


def move_mount(tree: int, target: int) -> None:
    """move_mount(2): attach the mount `tree` on the file `target`, both given by descriptor."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    _checked(_move_mount(tree, b"", target, b"", flags), "move_mount")


FSOPEN_CLOEXEC = 1

_fsopen = _system_call(430, c_char_p, c_uint)


def fsopen(kind: str) -> int:
    """fsopen(2): a file system about to be made."""
    return _checked(_fsopen(kind.encode(), FSOPEN_CLOEXEC), "fsopen", kind)


FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

_fsconfig = _system_call(431, c_int, c_uint, c_char_p, c_char_p, c_int)


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """fsconfig(2). What the kernel has to say about a refusal waits in `fd` and is put into the error."""
    encoded = (key.encode() if key else None, path_bytes(value) if value is not None else None)
    result = _fsconfig(fd, command, *encoded, 0)
    if result < 0:
        number = ctypes.get_errno()
        what = f"fsconfig {key}={value}" if value is not None else "fsconfig"
        raise OSError(number, f"{what}: {_filesystem_messages(fd) or os.strerror(number)}")


def _filesystem_messages(fd: int) -> str:
    """The messages of a file system context, one a read, each behind "e ", "w " or "i "."""
    messages = []
    try:
        while message := os.read(fd, 4096):
            messages.append(message.decode(errors="replace")[2:].strip())
    except OSError:  # ENODATA: that was the last one
        return "; ".join(messages)
    return "; ".join(messages)


MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_IDMAP = 0x0010_0000


FSMOUNT_CLOEXEC = 1

_fsmount = _system_call(432, c_int, c_uint, c_uint)


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2): the file system as a detached mount."""
    return _checked(_fsmount(fd, FSMOUNT_CLOEXEC, attributes), "fsmount")


class _MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("attr_set", c_uint64),
        ("attr_clr", c_uint64),
        ("propagation", c_uint64),
        ("userns_fd", c_uint64),
    )


_mount_setattr = _system_call(442, c_int, c_char_p, c_uint, c_void_p, c_size_t)


def mount_setattr(
    fd: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    recursive: bool = False,
    user_namespace: int = 0,
) -> None:
    """mount_setattr(2) on the mount `fd` stands on; with `recursive` on all mounts below it too.

    `user_namespace` is the file of the one whose ids MOUNT_ATTR_IDMAP uses.
    """
    attributes = _MountAttributes(attr_set, attr_clr, propagation, user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    result = _mount_setattr(fd, b"", flags, ctypes.byref(attributes), ctypes.sizeof(attributes))
    _checked(result, "mount_setattr")


_libc.pivot_root.argtypes = (c_char_p, c_char_p)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _checked(_libc.pivot_root(path_bytes(new_root), path_bytes(put_old)), "pivot_root", new_root)


MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_libc.umount2.argtypes = (c_char_p, c_int)


def umount2(path: str | bytes, flags: int) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(path_bytes(path), flags), "umount2", os.fsdecode(path))


# BPF: only what a cgroup's device policy needs.

BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8


_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, -1)  # older than 424: a number per machine
_bpf = _system_call(_BPF, c_int, c_void_p, c_uint)


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2): `attributes` is the packed beginning of `union bpf_attr`, the rest is zero."""
    return _checked(_bpf(command, ctypes.create_string_buffer(attributes, 128), 128), "bpf")


def buffer_of(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """Memory that stays where it is as long as it is referenced, for structures that hold pointers."""
    return ctypes.create_string_buffer(data, len(data))


def address_of(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Where it is."""
    return ctypes.addressof(buffer)


# Watching files

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x0100_0000
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC


def inotify_init1(flags: int) -> int:
    """inotify_init1(2): a descriptor that reads as `struct inotify_event`s."""
    return _checked(_libc.inotify_init1(c_int(flags)), "inotify_init1")


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """inotify_add_watch(2): the watch's number; the same inode has the same one."""
    number = _libc.inotify_add_watch(c_int(fd), path_bytes(path), c_uint32(mask))
    return _checked(number, "inotify_add_watch", path)


def inotify_rm_watch(fd: int, watch: int) -> None:
    """inotify_rm_watch(2)."""
    _checked(_libc.inotify_rm_watch(c_int(fd), c_int(watch)), "inotify_rm_watch")
