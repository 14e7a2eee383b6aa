"""Is this machine fit to be a node? One small check per thing the node cannot, or should not, do without.

`checks` is called by `minikubelet doctor` (no agent needed) and by the agent before it changes anything. A
check that is `required` and not `ok` keeps the agent from starting; any other says what pods will have to do
without. Each carries its remedy. What can only be found out by trying (link types, nftables) is tried by a
child process in a network namespace of its own, which takes every trace with it when it ends.

Nothing here needs ptrace, user namespaces or a container engine; nothing is changed on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minikubelet.linux import capabilities, cgroup, syscalls
from minikubelet.runtime.seccomp.filters import lacking as seccomp_lacking

OLDEST_KERNEL = (5, 14)
SWAPLESS_TMPFS = (6, 4)  # mount option noswap
CONTROLLERS = ("cpu", "memory", "pids")
# What the runtime itself uses; containers' default ones come on top.
OWN_CAPABILITIES = ("DAC_OVERRIDE", "FOWNER", "KILL", "NET_ADMIN", "SETPCAP", "SYS_ADMIN", "SYS_CHROOT")
MIN_WATCHES, MIN_INSTANCES = 1024, 8

CLONE_NEWNET = 0x40000000
RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 16, 1, 4, 0x400
IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, NLMSG_ERROR = 3, 18, 1, 2
NFT_TRIAL = """
add table inet minikubelet_doctor
add chain inet minikubelet_doctor c { type nat hook postrouting priority 100; }
add rule inet minikubelet_doctor c ip saddr 192.0.2.0/24 masquerade
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `remedy` is empty when all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    required: bool = True


def checks(state: Path = Path("/var/lib/minikubelet")) -> list[Check]:
    """Every finding, in the order of importance. `state` is where containers' layers will be."""
    root = check_root(os.geteuid())
    found = [root, check_kernel(platform.release()), check_capabilities(capabilities.held())]
    found += check_cgroups(_cgroup_mount())
    found += [
        check_overlay(_read("/proc/filesystems"), _loadable()),
        check_state(state, _read("/proc/self/mountinfo")),
    ]
    trial = _try_network() if root.ok else {}
    found += [check_link(kind, trial.get(kind, "needs root to be tried")) for kind in ("bridge", "veth")]
    found += [check_nftables(shutil.which("nft"), trial.get("nftables", "needs root to be tried"))]
    found += [check_seccomp(seccomp_lacking())]
    found += [check_mqueue(_read("/proc/filesystems")), check_inotify(*_inotify()), check_oom_score()]
    found.append(check_swap(platform.release(), _read("/proc/swaps")))
    return found


def check_root(uid: int) -> Check:
    if uid == 0:
        return Check("root", True, "running as root")
    return Check("root", False, f"running as uid {uid}", "run it with sudo")


def check_kernel(release: str) -> Check:
    wanted = ".".join(map(str, OLDEST_KERNEL))
    if _version(release) >= OLDEST_KERNEL:
        return Check("kernel", True, f"Linux {release}; {wanted} or later is needed for cgroup.kill")
    return Check("kernel", False, f"Linux {release} has no cgroup.kill", f"boot Linux {wanted} or later")


def _version(release: str) -> tuple[int, ...]:
    """Major and minor number."""
    return tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())


def check_capabilities(held: Collection[str]) -> Check:
    wanted = sorted({*OWN_CAPABILITIES, *capabilities.DEFAULT}, key=capabilities.NAMES.index)
    missing = [name for name in wanted if name not in held]
    if not missing:
        return Check("capabilities", True, "all that the runtime and its containers need")
    names = ", ".join(f"CAP_{name}" for name in missing)
    remedy = "run it as root outside of a container, or in one with --privileged"
    return Check("capabilities", False, f"lacks {names}", remedy)


def check_cgroups(mount: str) -> list[Check]:
    """The mount is required; without a controller only the limits that need it are refused."""
    if not mount:
        remedy = "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1"
        return [Check("cgroup2", False, "no cgroup2 file system is mounted", remedy)]
    if os.statvfs(mount).f_flag & os.ST_RDONLY:
        return [Check("cgroup2", False, f"{mount} is read-only", f"mount -o remount,rw {mount}")]
    found = [Check("cgroup2", True, f"mounted at {mount}")]
    try:
        offered = set(cgroup.controllers(mount))
    except OSError as error:
        return [*found, Check("cgroup controllers", False, str(error), "", required=False)]
    missing = [name for name in CONTROLLERS if name not in offered]
    if not missing:
        return [*found, Check("cgroup controllers", True, ", ".join(sorted(offered)), required=False)]
    return [*found, _lacks_controllers(missing)]


def _lacks_controllers(missing: list[str]) -> Check:
    held = [name for name in missing if f",{name}" in _v1_controllers()]
    why = " (cgroup v1 holds them)" if held else ""
    remedy = (
        "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all)"
        if held
        else "write them to cgroup.subtree_control of the parents; for memory, boot with cgroup_enable=memory"
    )
    detail = f"lacks {', '.join(missing)}{why}: pods with such limits are refused, pods without limits run"
    return Check("cgroup controllers", False, detail, remedy, required=False)


def check_overlay(filesystems: str, loadable: Callable[[str], bool]) -> Check:
    if "\toverlay\n" in filesystems:
        return Check("overlayfs", True, "known to the kernel")
    if loadable("overlay"):
        return Check("overlayfs", True, "a module that is loaded on demand")
    return Check(
        "overlayfs", False, "the kernel does not know it", "modprobe overlay, or boot a kernel that has it"
    )


def check_state(state: Path, mountinfo: str) -> Check:
    """The layers' file system: an overlay or FUSE below overlay's upper directory does not work."""
    kind = _filesystem_of(state, mountinfo)
    if kind in ("overlay", "fuse", "fuseblk", "nfs", "nfs4", "vfat"):
        remedy = "choose a directory on ext4, xfs, btrfs or tmpfs with --root"
        return Check(
            "state directory",
            False,
            f"{state} is on {kind}, which cannot hold layers",
            remedy,
            required=False,
        )
    return Check("state directory", True, f"{state} is on {kind or 'an unknown file system'}", required=False)


def check_link(kind: str, problem: str) -> Check:
    if not problem:
        return Check(kind, True, "can be made")
    remedy = f"modprobe {kind}, or boot a kernel that has it"
    return Check(kind, False, f"cannot make a {kind}: {problem}", remedy)


def check_nftables(program: str | None, problem: str) -> Check:
    if program is None:
        return Check("nftables", False, "the program nft is missing", "apt install nftables")
    if problem:
        remedy = (
            "modprobe nf_tables nft_chain_nat nft_masq, or boot a kernel that has NF_TABLES_INET and NFT_MASQ"
        )
        return Check("nftables", False, f"cannot masquerade: {problem}", remedy)
    return Check("nftables", True, f"{program}; masquerading works")


def check_seccomp(lacking: str) -> Check:
    """Every container has a filter unless it says no, so without it only those run that do."""
    if not lacking:
        return Check("seccomp", True, "system calls can be filtered")
    remedy = "set seccompDefault: false in the file for agent --config, and know that pods are less confined"
    return Check("seccomp", False, lacking, remedy, required=False)


def check_mqueue(filesystems: str) -> Check:
    if "\tmqueue\n" in filesystems:
        return Check("message queues", True, "POSIX message queues", required=False)
    remedy = "boot a kernel with CONFIG_POSIX_MQUEUE"
    return Check("message queues", False, "no POSIX message queues in pods", remedy, required=False)


def check_inotify(free_watches: int, free_instances: int) -> Check:
    detail = f"{free_watches} watches and {free_instances} instances free"
    if free_watches >= MIN_WATCHES and free_instances >= MIN_INSTANCES:
        return Check("inotify", True, detail, required=False)
    remedy = "sysctl fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=8192"
    return Check("inotify", False, f"only {detail}", remedy, required=False)


def check_oom_score() -> Check:
    if "SYS_RESOURCE" in capabilities.held():
        return Check("oom_score_adj", True, "can be lowered", required=False)
    detail = "cannot be lowered: the agent and guaranteed pods are not protected when memory runs out"
    return Check("oom_score_adj", False, detail, "give the agent CAP_SYS_RESOURCE", required=False)


def check_swap(release: str, swaps: str) -> Check:
    """Volumes of Secrets lie in memory, and that may be written to a disk behind our back."""
    if len(swaps.splitlines()) < 2:  # the first line is a heading
        return Check("swap", True, "no swap is on", required=False)
    if _version(release) >= SWAPLESS_TMPFS:
        return Check("swap", True, "swap is on; volumes of Secrets stay out of it", required=False)
    detail = "swap is on, and before Linux 6.4 volumes of Secrets may be written to it"
    remedy = "swapoff -a, or encrypt it, or use a newer kernel"
    return Check("swap", False, detail, remedy, required=False)


# What the machine says


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _cgroup_mount() -> str:
    try:
        return cgroup.find_mount()
    except OSError:
        return ""


def _v1_controllers() -> str:
    """`,cpu,memory,…`: everything that version 1 hierarchies hold."""
    lines = _read("/proc/self/mountinfo").splitlines()
    return "," + ",".join(line.rpartition(" ")[2] for line in lines if " - cgroup " in line)


def _loadable() -> Callable[[str], bool]:
    modules = Path("/lib/modules", platform.release())
    listed = _read(str(modules / "modules.dep")) + _read(str(modules / "modules.builtin"))
    return lambda name: f"/{name}.ko" in listed


def _filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that `path`, or the nearest directory above it, is on."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        # The last mount on a point covers the others.
        if len(point) >= len(best) and (path == Path(point) or Path(point) in path.parents):
            best, kind = point, right.split(" ")[0]
    return kind


def _inotify() -> tuple[int, int]:
    """Free watches and instances of this user."""
    uid, instances, watches = os.geteuid(), 0, 0
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is not ours to look at
            if not process.name.isdigit() or process.stat().st_uid != uid:
                continue
            for link in (process / "fd").iterdir():
                if os.readlink(link) == "anon_inode:inotify":
                    instances += 1
                    watches += (process / "fdinfo" / link.name).read_text().count("inotify wd:")
    limit = Path("/proc/sys/fs/inotify")
    most_watches, most_instances = (
        int(_read(str(limit / name)) or 0) for name in ("max_user_watches", "max_user_instances")
    )
    return most_watches - watches, most_instances - instances


# What has to be tried


def _try_network() -> dict[str, str]:
    """bridge, veth, nftables → what went wrong, empty when it worked."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        _network_trial(send)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        answer = stream.read()
    os.waitpid(pid, 0)
    result: dict[str, str] = json.loads(answer or b"{}")
    return result


def _network_trial(send: int) -> None:
    """The child's whole life."""
    result: dict[str, str] = {}
    try:
        syscalls.unshare(CLONE_NEWNET)
        for kind in ("bridge", "veth"):
            result[kind] = _make_link(kind)
        result["nftables"] = _masquerade()
    except OSError as error:
        cause = error.strerror or str(error)
        result = dict.fromkeys(("bridge", "veth", "nftables"), cause)
    finally:
        os.write(send, json.dumps(result).encode())
        os._exit(0)


def _make_link(kind: str) -> str:
    """rtnetlink(7): one RTM_NEWLINK."""
    info = _attribute(IFLA_LINKINFO, _attribute(IFLA_INFO_KIND, kind.encode()))
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, f"mk{kind}\0".encode()) + info
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.sendto(struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body, (0, 0))
        answer = netlink.recv(4096)
    (kind_of_answer,) = struct.unpack_from("=H", answer, 4)
    (code,) = struct.unpack_from("=i", answer, 16)
    return os.strerror(-code) if kind_of_answer == NLMSG_ERROR and code else ""


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _masquerade() -> str:
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=NFT_TRIAL, capture_output=True, text=True, timeout=20, check=False
        )
    except FileNotFoundError:
        return "the program nft is missing"
    except subprocess.TimeoutExpired:
        return "nft does not end"
    return done.stderr.strip().splitlines()[0] if done.returncode else ""
