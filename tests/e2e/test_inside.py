"""What a program inside a pod of two containers sees; it reports, the test compares."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from .conftest import Agent, until

# Each container prints one JSON line about itself. The first makes the IPC objects, the second looks for
# them.
REPORT = """
import ctypes, json, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
librt = ctypes.CDLL("librt.so.1", use_errno=True)
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
make = sys.argv[1] == "make"
flags = 0o1000 | 0o600 if make else 0
deadline = time.monotonic() + 60
while True:
    segment = libc.shmget(0x6d6b, 4096, flags)
    queue = librt.mq_open(b"/mk", 0o102 if make else 0o2, 0o600, None)
    if (segment >= 0 and queue >= 0) or time.monotonic() > deadline:
        break
    time.sleep(0.05)
own = [line.split("::")[1].strip() for line in open("/proc/self/cgroup") if "::" in line][0]
def read(name):
    try:
        return open("/sys/fs/cgroup/" + name).read().strip()
    except OSError as error:
        return str(error)
print(json.dumps({
    "ns": {n: os.stat("/proc/self/ns/" + n).st_ino for n in ("net", "ipc", "uts", "mnt", "pid", "cgroup")},
    "hostname": socket.gethostname(),
    "address": os.popen("ip -4 -o addr show dev eth0").read().split()[3],
    "segment": segment >= 0, "queue": queue >= 0, "cgroup": own, "pid": os.getpid(),
    "fds": fds,
    "cpu.max": read("cpu.max"), "memory.max": read("memory.max"),
    "dev": sorted(os.listdir("/dev")), "environ": dict(os.environ),
    "caps": [l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapInh", "CapEff", "CapBnd"))],
}), flush=True)
time.sleep(100000)
"""


def two_containers(name: str, limits: dict[str, str] | None = None) -> dict[str, Any]:
    def container(name: str, role: str) -> dict[str, Any]:
        made: dict[str, Any] = {"name": name, "image": "localhost/host"}
        made["command"] = ["python3", "-c", REPORT, role]
        if limits:
            made["resources"] = {"limits": limits}
        return made

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container("a", "make"), container("b", "look")],
        },
    }


def reports(agent: Agent, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    def line(container: str) -> str:
        return agent.call("logs", name, "-c", container).stdout

    return (
        json.loads(until(lambda: line("a"), what="report of a")),
        json.loads(until(lambda: line("b"), what="report of b")),
    )


@pytest.mark.limits
def test_two_containers_share_what_a_pod_shares_and_nothing_else(agent: Agent) -> None:
    agent.apply(two_containers("two", {"cpu": "200m", "memory": "64Mi"}))
    a, b = reports(agent, "two")
    for shared in ("net", "ipc", "uts"):
        assert a["ns"][shared] == b["ns"][shared], shared
    for own in ("mnt", "pid", "cgroup"):
        assert a["ns"][own] != b["ns"][own], own
    assert a["address"] == b["address"]
    assert a["address"].split("/")[0] == agent.pod("two")["status"]["podIP"]
    assert a["hostname"] == b["hostname"] == "two"
    assert (a["segment"], b["segment"]) == (True, True), "the System V segment of a is seen by b"
    assert (a["queue"], b["queue"]) == (True, True), "the POSIX queue of a is seen by b"
    assert a["pid"] == b["pid"] == 1
    assert a["cgroup"] == "/", "its own cgroup is the root of what it sees"
    assert a["cpu.max"] == "20000 100000"
    assert a["memory.max"] == str(64 << 20)
    assert a["fds"] == [0, 1, 2, 3], "0 to 2, and the one that lists the directory"
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd"} <= set(a["dev"])
    inheritable, effective, bounding = a["caps"]
    assert int(inheritable, 16) == 0
    assert effective == bounding == "00000000a80425fb", "the fourteen default capabilities"
    assert a["environ"]["HOSTNAME"] == "two"
    assert not [name for name in a["environ"] if name.startswith(("MK_", "PYTEST", "NOTIFY"))]
    agent.run("delete", "pod", "two")


def test_etc_files_are_the_pods(agent: Agent) -> None:
    agent.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "etc"},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["elsewhere", "far"]}],
                "dnsPolicy": "None",
                "dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["a.example"]},
                "containers": [{"name": "main", "image": "localhost/host", "command": ["sleep", "infinity"]}],
            },
        }
    )
    pod = agent.wait_running("etc")
    hosts = agent.run("exec", "etc", "--", "cat", "/etc/hosts")
    assert hosts.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert f"\n{pod['status']['podIP']}\tetc\n" in hosts
    assert hosts.endswith("\n# Entries added by HostAliases.\n10.0.0.9\telsewhere\tfar\n")
    assert agent.run("exec", "etc", "--", "cat", "/etc/hostname") == "etc\n"
    resolv = agent.run("exec", "etc", "--", "cat", "/etc/resolv.conf")
    assert resolv == "search a.example\nnameserver 192.0.2.1\n"
    agent.run("delete", "pod", "etc")


def test_share_process_namespace(agent: Agent) -> None:
    manifest = two_containers("procs")
    manifest["spec"]["shareProcessNamespace"] = True
    agent.apply(manifest)
    a, b = reports(agent, "procs")
    assert a["ns"]["pid"] == b["ns"]["pid"]
    assert a["pid"] != 1
    agent.run("delete", "pod", "procs")


def test_host_namespaces(agent: Agent) -> None:
    manifest = two_containers("nodes")
    manifest["spec"] |= {"hostNetwork": True, "hostPID": True, "hostIPC": True}
    for container in manifest["spec"]["containers"]:
        container["command"] = ["sh", "-c", "readlink /proc/self/ns/* ; sleep infinity"]
    agent.apply(manifest)
    agent.wait_running("nodes")
    seen = until(lambda: agent.call("logs", "nodes", "-c", "a").stdout, what="the links")
    for shared in ("net", "pid", "ipc"):
        assert os.readlink(f"/proc/self/ns/{shared}") in seen
    for own in ("mnt", "cgroup"):
        assert os.readlink(f"/proc/self/ns/{own}") not in seen
    agent.run("delete", "pod", "nodes")
