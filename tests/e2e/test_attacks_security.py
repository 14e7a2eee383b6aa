"""Attacks on the security context, from images and from inside, against a whole node."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Agent, simple_pod, until
from .images import directory, link, load_image

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
MODPROBE = Path("/proc/sys/kernel/modprobe")  # a kernel without modules has none
ONCE = {"restartPolicy": "Never"}


def said(agent: Agent, name: str) -> str:
    """The log of a pod that has ended."""
    until(lambda: agent.phase(name) in ("Succeeded", "Failed"), what=f"{name} has ended")
    return agent.run("logs", name)


def answers(agent: Agent, name: str) -> dict[str, str]:
    """Lines `what=answer` of its log."""
    return dict(line.split("=", 1) for line in said(agent, name).splitlines() if "=" in line)


TRAPS = """
echo null=$(stat -c %F /dev/null)
echo console=$(stat -c %F /dev/console)
echo pts=$(stat -f -c %T /dev/pts)
echo proc=$(stat -f -c %T /proc)
echo score=$(cat /proc/self/oom_score_adj)
echo hacked > /dev/null
echo hacked > /proc/sys/kernel/core_pattern || echo core=refused
echo traps=$(cat /etc/trap)
"""


def test_an_image_full_of_traps(agent: Agent) -> None:
    """A5 (CVE-2025-31133), A6 (CVE-2025-52565), A7 (CVE-2025-52881): what the image has in /dev and /proc.

    Defences: /dev is a fresh tmpfs and every name in it is made by `linux.mounts.Devices`; masking takes the
    null device only once it is sure of it (`linux.mounts._null_device`); the terminal is bound by its
    descriptor (`linux.mounts.Console`) and comes from the container's own devpts; /proc is mounted over what
    lies there (`linux.mounts.Filesystem`), and what is written there is written to procfs
    (`linux.paths.write_kernel_file`).
    """
    load_image(
        agent, "example.com/traps:1",
        directory("etc"), ("etc/trap", b"untouched"), directory("dev"),
        link("dev/null", "/proc/sys/kernel/core_pattern"), link("dev/console", "/etc/trap"),
        link("dev/pts", "/etc"), link("dev/ptmx", "/etc/trap"),
        directory("proc"), directory("proc/self"), ("proc/self/oom_score_adj", b"prepared"),
        directory("proc/sys"), directory("proc/sys/kernel"), ("proc/sys/kernel/core_pattern", b"prepared"),
    )  # fmt: skip
    before = CORE_PATTERN.read_text()
    trap = {"image": "example.com/traps:1", "imagePullPolicy": "Never", "tty": True}
    agent.apply(simple_pod("traps", "sh", "-c", TRAPS, container=trap, **ONCE))
    seen = {name: answer.strip() for name, answer in answers(agent, "traps").items()}
    assert CORE_PATTERN.read_text() == before
    assert seen == {
        "null": "character special file",
        "console": "character special file",
        "pts": "devpts",
        "proc": "proc",
        "score": "1000",
        "core": "refused",
        "traps": "untouched",
    }
    agent.run("delete", "pod", "traps")


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_an_image_whose_system_directories_are_links_does_not_start(agent: Agent, name: str) -> None:
    """A7 (CVE-2019-19921). Defence: RESOLVE_NO_SYMLINKS in `linux.mounts.Filesystem` and `Devices`."""
    load_image(agent, f"example.com/{name}:1", directory("fake"), link(name, "fake"))
    linked = {"image": f"example.com/{name}:1", "imagePullPolicy": "Never"}
    agent.apply(simple_pod(f"link-{name}", "sh", "-c", "true", container=linked, **ONCE))
    until(lambda: agent.phase(f"link-{name}") == "Failed", what="refused")
    assert "symbolic links" in agent.container(f"link-{name}")["state"]["terminated"]["message"]
    agent.run("delete", "pod", f"link-{name}")


def test_the_images_user_is_the_user_of_every_run(agent: Agent) -> None:
    """A20 (CVE-2019-11245). Defence: `Preparation.container` in `runtime` looks it up at each start."""
    load_image(agent, "example.com/user:1", directory("etc"), User="1000")
    runs = "id -u >> /runs/uids; test $(grep -c . /runs/uids) -ge 2 || exit 1; sleep 100000"
    main = {
        "image": "example.com/user:1",
        "imagePullPolicy": "Never",
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
    }
    volumes = [{"name": "runs", "emptyDir": {}}]
    agent.apply(simple_pod("user", "sh", "-c", runs, container=main, volumes=volumes))
    until(
        lambda: agent.container("user").get("restartCount") == 1 and agent.phase("user") == "Running",
        what="1",
    )
    until(
        lambda: agent.call("exec", "user", "--", "cat", "/runs/uids").stdout == "1000\n1000\n",
        what="two runs",
    )
    assert agent.run("exec", "user", "--", "id", "-u") == "1000\n"
    agent.run("delete", "pod", "user")


@pytest.mark.parametrize("uid", [0, 1000])
def test_capabilities_after_start_and_after_exec(agent: Agent, uid: int) -> None:
    """A22 (CVE-2022-27649, CVE-2022-29162).

    Defences: `linux.capabilities.limit` and `drop_bounding`, called by `shim.credentials.assume`; for an exec
    `shim.exec.Exec.__init__`, which takes capabilities, no_new_privs and filter from the container.
    """
    context = {
        "runAsUser": uid,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]},
    }
    show = "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status"
    name = f"caps-{uid}"
    agent.apply(simple_pod(name, "sh", "-c", f"{show}; sleep 100000", container={"securityContext": context}))
    agent.wait_running(name)
    started = until(lambda: agent.call("logs", name).stdout, what="its status")
    listed, none = f"{1 << 10 | 1 << 0:016x}", "0" * 16
    for status in (started, agent.run("exec", name, "--", "sh", "-c", show)):
        assert dict(line.split(":\t") for line in status.splitlines()) == {
            "CapInh": none,
            "CapPrm": none if uid else listed,
            "CapEff": none if uid else listed,
            "CapBnd": listed,
            "CapAmb": none,
            "NoNewPrivs": "1",
            "Seccomp": "2",
        }
    agent.run("delete", "pod", name)


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        (
            {"type": "Localhost"},
            "localhostProfile: Required value: must be set when seccomp type is Localhost",
        ),
        ({"type": "Localhost", "localhostProfile": "/etc/x"}, "must be a relative path"),
        ({"type": "Localhost", "localhostProfile": "../x"}, "must not contain '..'"),
        (
            {"type": "RuntimeDefault", "localhostProfile": "x"},
            "can only be set when seccomp type is Localhost",
        ),
    ],
)
def test_a_localhost_profile_that_makes_no_sense_is_refused(
    agent: Agent, profile: dict[str, str], text: str
) -> None:
    """A23 (CVE-2023-2431). Defence: `v1.validation.security._seccomp`."""
    pod = simple_pod("bad", "true", securityContext={"seccompProfile": profile})
    done = agent.call("apply", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode == 1
    assert text in done.stderr


def test_a_localhost_profile_is_used_and_a_missing_one_is_an_error(agent: Agent) -> None:
    """A23: the file is not there, so nothing runs. Defence: `runtime.seccomp.filters.Filters._localhost`."""
    profile = {"type": "Localhost", "localhostProfile": "profiles/no-mkdir.json"}
    manifest = simple_pod("local", "sh", "-c", "mkdir /x; touch /y && echo fine", **ONCE)
    manifest["spec"]["securityContext"] = {"seccompProfile": profile}
    agent.apply(manifest)
    until(lambda: waiting(agent, "local").get("reason") == "CreateContainerError", what="an error")
    assert waiting(agent, "local")["message"].endswith("/profiles/no-mkdir.json: no such file or directory")
    file = agent.root / "lib/seccomp/profiles/no-mkdir.json"
    file.parent.mkdir(parents=True)
    file.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW",'
        ' "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    log = said(agent, "local")
    assert "Operation not permitted" in log
    assert log.endswith("fine\n")
    agent.run("delete", "pod", "local")


def waiting(agent: Agent, name: str) -> dict[str, Any]:
    found: dict[str, Any] = agent.container(name).get("state", {}).get("waiting", {})
    return found


# From inside: each line is `attempt=outcome`, where the outcome is "in" if it worked.
ATTEMPTS = r"""
try() { what=$1; shift; if ("$@") >/dev/null 2>&1; then echo $what=in; else echo $what=kept out; fi; }
write() { echo "${2:-1}" > "$1"; }
first() { test "$(head -c 1 "$1" | wc -c)" -gt 0; }
mkdir -p /made
try cgroup-mount mount -t cgroup2 none /mnt
try cgroup-v1-mount mount -t cgroup -o memory none /mnt
try cgroup-remount mount -o remount,rw /sys/fs/cgroup
try cgroup-procs write /sys/fs/cgroup/cgroup.procs
try cgroup-parent write /sys/fs/cgroup/../../fs/cgroup/cgroup.procs
try cgroup-child mkdir /sys/fs/cgroup/child
try release-agent write /sys/fs/cgroup/release_agent /evil
try new-cgroups unshare -C true
try new-mounts unshare -m true
try new-users unshare -Ur true
try proc-remount mount -o remount,rw /proc/sys
try proc-mount mount -t proc none /mnt
try proc-unmask umount /proc/kcore
for node in disk:b:8:0 virtual:b:254:0 user-mode:b:98:0 mem:c:1:1 kmem:c:1:2 port:c:1:4 kmsg:c:1:11; do
  name=${node%%:*}; rest=${node#*:}
  mknod /made/$name $(echo $rest | tr : ' ') && try "open-$name" first /made/$name
  try "write-$name" dd if=/dev/zero of=/made/$name bs=1 count=1 conv=notrunc
done
for path in sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches sys/kernel/hostname \
  sys/net/ipv4/ip_forward irq/default_smp_affinity bus/pci/devices acpi/wakeup; do
  [ ! -e /proc/$path ] || try "write-proc-$path" write /proc/$path
done
for path in kernel/uevent_helper kernel/mm/ksm/run power/state class/net/lo/mtu firmware/x; do
  [ ! -e /sys/$path ] || try "write-sys-$path" write /sys/$path
done
for path in kcore keys timer_list sched_debug latency_stats interrupts scsi/scsi; do
  [ ! -e /proc/$path ] || try "read-proc-$path" first /proc/$path
done
try "read-firmware" sh -c 'ls /sys/firmware | grep .'
try "control" touch /made/control
"""


@pytest.mark.parametrize("profile", ["RuntimeDefault", "Unconfined"])
def test_what_can_be_tried_from_inside_with_the_default_capabilities(agent: Agent, profile: str) -> None:
    """A25 (CVE-2022-0492, CVE-2023-25809), A26, A45: mounts, cgroups, devices, the kernel's files.

    Without the filter nothing may get through either: it is the second line. Defences: the capabilities
    (`linux.capabilities.DEFAULT`), the cgroup namespace and the read-only mounts (`shim.container.run`,
    `shim.rootfs._usual`), the masked and read-only paths (`runtime.container_spec.MASKED_PATHS`,
    `READONLY_PATHS`), the device policy (`linux.devices`). A user namespace of one's own is up to the filter
    alone.
    """
    before = {path: path.read_text() for path in (CORE_PATTERN, MODPROBE) if path.exists()}
    name = f"attempts-{profile.lower()}"
    context = {"seccompProfile": {"type": profile}}
    agent.apply(simple_pod(name, "sh", "-c", ATTEMPTS, container={"securityContext": context}, **ONCE))
    outcomes = answers(agent, name)
    assert len(outcomes) > 35, outcomes
    got_in = {attempt for attempt, outcome in outcomes.items() if outcome == "in"}
    assert got_in - {"new-users"} == {"control"}, outcomes
    if profile == "RuntimeDefault":
        assert outcomes["new-users"] == "kept out"
    assert before == {path: path.read_text() for path in before}
    agent.run("delete", "pod", name)


PRIVILEGED = """
grep -E 'CapEff|Seccomp:' /proc/self/status
mount -t tmpfs none /mnt && echo mount=in
mkdir /sys/fs/cgroup/child && rmdir /sys/fs/cgroup/child && echo cgroup=in
head -c 0 /dev/kmsg && echo kmsg=in
pattern=$(cat /proc/sys/kernel/core_pattern)
echo "$pattern" > /proc/sys/kernel/core_pattern && echo sys=in
stat -f -c devpts=%T /dev/pts
"""


def test_privileged_is_what_it_says(agent: Agent) -> None:
    """All capabilities the agent has, devices, no masks, no filter; and its own pts: terminals work."""
    agent.apply(
        simple_pod(
            "mighty", "sh", "-c", PRIVILEGED, container={"securityContext": {"privileged": True}}, **ONCE
        )
    )
    log = said(agent, "mighty")
    assert "Seccomp:\t0" in log
    for line in ("mount=in", "cgroup=in", "kmsg=in", "sys=in", "devpts=devpts"):
        assert line in log.splitlines(), log
    assert re.findall("CapEff:.*", log) == re.findall("CapEff:.*", Path("/proc/self/status").read_text())
    agent.run("delete", "pod", "mighty")


def test_sysctls_are_the_pods_own_and_the_unsafe_ones_are_rejected(agent: Agent) -> None:
    """7.1 SysctlForbidden; and a safe one is set in the pod and nowhere else."""
    path = "/proc/sys/net/ipv4/ip_local_port_range"
    before = Path(path).read_text()
    context = {"sysctls": [
        {"name": "net.ipv4.ip_local_port_range", "value": "30000 31000"},
        {"name": "kernel.shm_rmid_forced", "value": "1"},
    ]}  # fmt: skip
    show = f"cat {path} /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start"
    agent.apply(simple_pod("tuned", "sh", "-c", show, securityContext=context, **ONCE))
    assert said(agent, "tuned").split() == ["30000", "31000", "1", "0"]
    assert Path(path).read_text() == before
    unsafe = {"sysctls": [{"name": "kernel.msgmax", "value": "9000"}]}
    agent.apply(simple_pod("untuned", "true", securityContext=unsafe, **ONCE))
    until(lambda: agent.phase("untuned") == "Failed", what="rejected")
    status = agent.pod("untuned")["status"]
    assert status["reason"] == "SysctlForbidden"
    assert status["message"].endswith('forbidden sysctl: "kernel.msgmax" not allowlisted')
    agent.run("delete", "pod", "tuned", "untuned")


def test_a_profile_of_app_armor_is_rejected_and_strict_groups_are_kept(agent: Agent) -> None:
    """7.1 AppArmor; supplementalGroupsPolicy Strict, as the process and the status show it."""
    confined = {"appArmorProfile": {"type": "RuntimeDefault"}}
    agent.apply(simple_pod("armored", "true", securityContext=confined, **ONCE))
    load_image(
        agent, "example.com/groups:1", directory("etc"),
        ("etc/passwd", b"web:x:1000:1000::/:/bin/sh\n"),
        ("etc/group", b"web:x:1000:\nstaff:x:50:web\n"), User="web",
    )  # fmt: skip
    main = {"image": "example.com/groups:1", "imagePullPolicy": "Never"}
    for policy in ("Strict", "Merge"):
        context = {"supplementalGroupsPolicy": policy, "supplementalGroups": [4]}
        agent.apply(
            simple_pod(
                policy.lower(), "sh", "-c", "id -G; sleep 100000", container=main, securityContext=context
            )
        )
    for policy, groups in (("strict", [1000, 4]), ("merge", [1000, 50, 4])):
        agent.wait_running(policy)
        shown = until(lambda name=policy: agent.call("logs", name).stdout, what="groups")
        assert sorted(map(int, shown.split())) == sorted(groups)
        user = agent.container(policy)["user"]["linux"]
        assert user == {"uid": 1000, "gid": 1000, "supplementalGroups": groups}
    node = json.loads(agent.run("get", "node", "node1", "-o", "json"))
    assert node["status"]["features"] == {"supplementalGroupsPolicy": True}
    until(lambda: agent.phase("armored") == "Failed", what="rejected")
    status = agent.pod("armored")["status"]
    assert (status["reason"], os.path.exists("/sys/kernel/security/apparmor")) == ("AppArmor", False)
    assert status["message"].endswith("Cannot enforce AppArmor: AppArmor is not enabled on the host")
    agent.run("delete", "pod", "armored", "strict", "merge")
