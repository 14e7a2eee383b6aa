"""Attacks by way of the network, from pods that may do all a pod can (A27, A44 in part, issue 4.4)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from .conftest import Agent, simple_pod, until

REACH = """
import json, socket, sys
def attempt(target):
    kind, _, where = target.partition("=")
    try:
        if kind == "unix":
            socket.socket(socket.AF_UNIX).connect(where)
        elif kind == "abstract":
            socket.socket(socket.AF_UNIX).connect("\\0" + where)
        else:
            host, _, port = where.rpartition(":")
            socket.create_connection((host, int(port)), timeout=20)
    except OSError as error:
        return type(error).__name__
    return "connected"
print(json.dumps({target: attempt(target) for target in sys.argv[1:]}))
"""

# A UDP packet in IPv4 in Ethernet, with whatever source: SOURCE TARGET TEXT
SPOOF = """
import fcntl, socket, struct, sys
source, target, text = sys.argv[1:]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack(">HHHH", 1, 9999, 8 + len(text), 0) + text.encode()
head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                   socket.inet_aton(source), socket.inet_aton(target))
raw.sendto(head + udp, (target, 0))
"""
LISTEN = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 9999))
print("listening", flush=True)
while True:
    data, peer = server.recvfrom(2048)
    print(data.decode(), "from", peer[0], flush=True)
"""
ALMIGHTY = {"securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]}}}


def reach(agent: Agent, pod: str, *targets: str) -> dict[str, str]:
    """How each attempt to connect from the pod ended."""
    found: dict[str, str] = json.loads(agent.run("exec", pod, "--", "python3", "-c", REACH, *targets))
    return found


def sleeper(agent: Agent, name: str, **spec: Any) -> dict[str, Any]:
    agent.apply(simple_pod(name, "sleep", "infinity", **spec))
    return agent.wait_running(name)


def port_of_api(agent: Agent) -> str:
    """HOST:PORT of the HTTPS door."""
    return agent.ready_line.partition("https=https://")[2].split()[0]


def test_a_pod_does_not_reach_the_node_s_loopback(agent: Agent) -> None:
    """What listens on 127.0.0.1 of the node is not reached by any of the node's addresses: the chain `guard`
    (`nftables.replace_forwarding`) stands against packets for 127.0.0.1: see tests/kernel/test_senders.py.
    """
    sleeper(agent, "inside", container=ALMIGHTY)
    gateway = agent.cidr.replace("0/24", "1")
    port = port_of_api(agent).rpartition(":")[2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
        commands = (
            f"ip route add 127.0.0.77/32 via {gateway} dev eth0; "
            "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet"
        )
        agent.call("exec", "inside", "--", "sh", "-c", commands)
        # (At the gateway's own port the API listens for pods, by TLS and with credentials: test_access.py.)
        targets = [f"tcp={gateway}:{closed}", *(f"tcp=127.0.0.1:{p}" for p in (closed, port))]
        assert set(reach(agent, "inside", *targets).values()) == {"ConnectionRefusedError"}
        server.settimeout(0)
        try:
            server.accept()
        except BlockingIOError:
            pass
        else:
            raise AssertionError("somebody came in")
    agent.run("delete", "pod", "inside")


def test_no_socket_of_ours_has_an_abstract_name(agent: Agent) -> None:
    """CVE-2020-15257: abstract names belong to the network namespace, and hostNetwork pods are in it (A27).
    All our sockets are files: `api.server`, `shim.connection`, `shim.zygote`.
    """
    sleeper(agent, "on-host", hostNetwork=True)
    inodes = {inode for pid in processes_of(agent) for inode in socket_inodes(pid)}
    assert inodes, "the agent, its zygote and its shims have sockets"
    abstract = [
        line
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]
        if line.split()[6] in inodes and line.split()[7:] and line.split()[7].startswith("@")
    ]
    assert abstract == []
    agent.run("delete", "pod", "on-host")


def processes_of(agent: Agent) -> list[int]:
    """The agent, and what it forked: the zygote and the shims, which are in a cgroup of their own."""
    assert agent.process is not None
    names = ("mk-zygote", "mk-shim")
    others = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and comm(int(pid)).startswith(names)]
    return [agent.process.pid, *others]


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def socket_inodes(pid: int) -> list[str]:
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                found.append(target[8:-1])
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def test_a_pod_in_the_node_s_network_cannot_connect_to_the_agent_s_socket(agent: Agent) -> None:
    """A27. It is a file the container does not have: its mount namespace shows the image (`shim.rootfs`), and
    what /proc of another process leads to is closed to it (no SYS_PTRACE).
    """
    path = next(agent.root.glob("run/*.sock"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    sleeper(agent, "neighbour", hostNetwork=True, hostPID=True)
    assert agent.process is not None
    ways = [str(path), f"/proc/1/root{path}", f"/proc/{agent.process.pid}/root{path}"]
    ended = reach(agent, "neighbour", *(f"unix={way}" for way in ways), f"abstract={path}")
    assert "connected" not in ended.values(), ended
    listening = port_of_api(agent)
    assert reach(agent, "neighbour", f"tcp={listening}") == {f"tcp={listening}": "connected"}
    ask = (
        "import ssl, urllib.error, urllib.request as u\n"
        "anyone = ssl._create_unverified_context()\n"
        f"try: u.urlopen('https://{listening}/api/v1/pods', context=anyone, timeout=5)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    assert agent.run("exec", "neighbour", "--", "python3", "-c", ask).strip() in ("401", "403"), (
        "no credentials"
    )
    agent.run("delete", "pod", "neighbour")


def test_the_socket_asks_who_is_there(agent: Agent) -> None:
    """A27, when the mode was changed: `api.access.doors` asks the kernel for the peer's credentials."""
    path = next(agent.root.glob("run/*.sock"))
    parents = [path, path.parent, *list(path.parents)[1:4]]
    before = [(each, each.stat().st_mode & 0o777) for each in parents]
    ask = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})\n"
        "s.sendall(b'GET /api/v1/pods HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "print(s.recv(100).split()[1].decode())"
    )
    try:
        for each in parents:
            each.chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-I", "-c", ask], capture_output=True, text=True, check=True, timeout=60
        )
    finally:
        for each, mode in before:
            each.chmod(mode)
    assert done.stdout.strip() == "403"


def test_a_pod_cannot_send_under_another_s_address(agent: Agent) -> None:
    """The defence is the chain `source` in `nftables.replace_senders`; each way to try is in
    tests/kernel/test_senders.py.
    """
    victim = simple_pod("victim", "python3", "-c", LISTEN)
    agent.apply(victim)
    target = str(agent.wait_running("victim")["status"]["podIP"])
    until(lambda: "listening" in agent.run("logs", "victim"))
    other = str(sleeper(agent, "other")["status"]["podIP"])
    attacker = str(sleeper(agent, "attacker", container=ALMIGHTY)["status"]["podIP"])
    gateway = agent.cidr.replace("0/24", "1")
    for source, text in ((other, "FALSE"), (gateway, "FALSE"), ("192.0.2.1", "FALSE"), (attacker, "TRUE")):
        agent.run("exec", "attacker", "--", "python3", "-c", SPOOF, source, target, text)
    said = until(
        lambda: "TRUE" in (seen := agent.run("logs", "victim")) and seen, what="the true one arrives"
    )
    assert said.splitlines() == ["listening", f"TRUE from {attacker}"]
    # An address it gave itself is no address.
    take = f"ip address add {other}/32 dev lo; ip route replace {target} dev eth0 src {other}"
    agent.call("exec", "attacker", "--", "sh", "-c", take)
    agent.run("exec", "attacker", "--", "python3", "-c", SPOOF, other, target, "FALSE")
    agent.run("exec", "other", "--", "python3", "-c", SPOOF, other, target, "TRUE")
    said = until(lambda: f"from {other}" in (seen := agent.run("logs", "victim")) and seen)
    assert "FALSE" not in said
    agent.run("delete", "pods", "victim", "other", "attacker")


def test_ipv6_leads_nowhere(agent: Agent) -> None:
    """Link-local addresses come up by themselves on eth0: the bridge takes nothing but IPv4 and ARP."""
    sleeper(agent, "one", container=ALMIGHTY)
    sleeper(agent, "two", container=ALMIGHTY)
    show = ("--", "python3", "-c", "print(open('/proc/net/if_inet6').read())")
    lines = [line.split() for line in agent.run("exec", "two", *show).splitlines() if line.endswith("eth0")]
    if lines:
        address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(lines[0][0]))
        ask = (
            "import socket\ns = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.settimeout(2)\n"
            f"try: s.connect(('{address}', 9, 0, socket.if_nametoindex('eth0'))); print('connected')\n"
            "except ConnectionRefusedError: print('reached')\n"
            "except OSError as error: print(type(error).__name__)"
        )
        assert agent.run("exec", "one", "--", "python3", "-c", ask).strip() not in ("connected", "reached")
    agent.run("delete", "pods", "one", "two")
